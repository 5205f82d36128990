/**
 * One request of one client, as the client saw it.
 *
 * Times come from one clock that never goes back, in any unit. Two operations whose times touch count as concurrent: a clock that is
 * too coarse makes the check weaker, never wrong.
 */
export interface Operation<Input, Output> {
  /** For people: who asked. A client may have several operations open. */
  readonly client: string;
  readonly input: Input;
  /** When it was asked for. It takes effect later than this. */
  readonly called: number;
  /**
   * The answer, and when it came: the effect is earlier. Null if no answer came: it may take effect at any time after `called`, or never.
   * A request that was certainly not carried out (refused) belongs in no history.
   */
  readonly answer: Answer<Output> | null;
}

export interface Answer<Output> {
  readonly time: number;
  readonly output: Output;
}

/** The object that a history is checked against: what it answers when requests come one at a time. */
export interface Model<State, Input, Output> {
  readonly initial: State;
  /**
   * The state after `input`; undefined if it cannot give this output in this state. An output of `undefined` is not known: every one
   * will do, and there is always a next state.
   */
  step(state: State, input: Input, output: Output | undefined): State | undefined;
  /**
   * Equal for two states if and only if they are the same. With `isOfInterest`, two may also be called the same if what is of interest is
   * the same in both, and stays so whatever is done to both.
   */
  describeState(state: State, isOfInterest?: (trace: Trace) => boolean): string;
  describeOperation(input: Input, output: Output | undefined): string;
  /** True if an operation with this output changes nothing in any state. The search takes it as soon as it fits, and never back. */
  isReadOnly(input: Input, output: Output | undefined): boolean;
  /** Parts of the history that know nothing of each other, by name: a history is linearizable if every part is. */
  partition(history: History<Input, Output>): ReadonlyMap<string, History<Input, Output>>;
  /** What `input` leaves behind, if it has an effect. Nothing if this output says that it has none. */
  leaves(input: Input, output: Output | undefined): readonly Trace[];
  /** What was there, as this output shows; without an output: what must be there for `input` to have an effect. */
  saw(input: Input, output: Output | undefined): readonly Trace[];
  /** Of these at least one was not there, as this output shows. That, and what it saw, is all that an answer tells of a state. */
  missed(input: Input, output: Output): readonly Trace[];
  valueAt(state: State, place: string): string;
}

/** A place in the state, such as a key, with the value there. They are what operations know one another by. */
export interface Trace {
  readonly place: string;
  readonly value: string;
}

export type History<Input, Output> = readonly Operation<Input, Output>[];

/** A text for people, one operation a line, in the order of the calls. */
export function describeHistory<Input, Output>(
  model: Pick<Model<unknown, Input, Output>, "describeOperation">,
  history: History<Input, Output>,
): string {
  return [...history]
    .sort((a, b) => a.called - b.called)
    .map(({ client, input, called, answer }) => {
      const what = model.describeOperation(input, answer?.output);
      return `${called} .. ${answer?.time ?? "?"}  ${client}: ${what}`;
    })
    .join("\n");
}

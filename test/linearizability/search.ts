import { BitSet } from "./bit-set.ts";
import type { Answer, History, Model, Operation } from "./history.ts";
import { Traces } from "./traces.ts";

export type SearchResult<State, Input, Output> =
  /** All answered operations, and of those without an answer what they need, in an order that explains them. */
  | {
      readonly kind: "found";
      readonly states: number;
      readonly order: History<Input, Output>;
      readonly state: State;
    }
  | { readonly kind: "none" | "gave-up"; readonly states: number };

type Answered<Input, Output> = Operation<Input, Output> & { readonly answer: Answer<Output> };

/** One step of the order that is being tried: where it was taken, what could stand there too, and what does. */
interface Frame<State> {
  readonly state: State;
  readonly choices: Iterator<number, undefined>;
  taken: number;
}

/**
 * Looks for an order of the operations that the model allows and that keeps what was over before what began later: the algorithm of
 * Wing and Gong (1993), depth first, with Lowe's memory (2017): a set of operations done that leads to a state seen before is
 * not looked at again.
 *
 *   answered   |-- a --|    |-- b --|          The next in the order is one that was called before the first answer
 *              ^     |-- c --|                 still outstanding (here a or c: the deadline is the end of a).
 *              |       deadline
 *   open       |-- d ----- - - -               Without an answer: it may come at any time or not at all. So it is tried last, and
 *                                              only while it is of use.
 *
 * An order is found when all answered operations stand in it. Operations are numbered by call: the answered ones 0..n-1, the
 * open ones from n.
 *
 * With nothing more, each subset of the open operations would make another set done, and their number is exponential. But nearly all of
 * them are seen by nobody and cannot be told apart (see `Traces`). So one of each sort is tried, only when the answered ones do not
 * fit; the memory holds how many of each sort are done, and of a state what is still of interest. And no step is taken that
 * makes an answer impossible for good.
 */
export class Search<State, Input, Output> {
  readonly #model: Model<State, Input, Output>;
  readonly #operations: History<Input, Output>;
  readonly #answered: readonly Answered<Input, Output>[];
  readonly #statesMax: number;
  readonly #traces: Traces<Input, Output>;
  /** Of the answered operations. */
  readonly #done: BitSet;
  readonly #openDone = new Set<number>();
  readonly #seen = new Set<string>();
  readonly #frames: Frame<State>[] = [];
  /** All answered operations before this one are done. */
  #firstOutstanding = 0;
  /** No answered operation from this one on is done. */
  #doneEnd = 0;
  #doneCount = 0;

  /** Beyond `statesMax` states it gives up. */
  constructor(model: Model<State, Input, Output>, history: History<Input, Output>, statesMax: number) {
    const byCall = [...history].sort((a, b) => a.called - b.called);
    this.#model = model;
    this.#answered = byCall.filter((operation) => operation.answer !== null) as Answered<Input, Output>[];
    for (const { answer, called } of this.#answered)
      if (answer.time < called) throw new RangeError("An answer came before the call");
    const open = byCall.filter(({ answer, input }) => answer === null && !model.isReadOnly(input, undefined));
    this.#operations = [...this.#answered, ...open];
    this.#statesMax = statesMax;
    this.#done = new BitSet(this.#answered.length);
    this.#traces = new Traces(model, this.#operations, (nth) => this.#openDone.has(nth));
  }

  run(): SearchResult<State, Input, Output> {
    let state = this.#model.initial;
    for (;;) {
      const states = this.#seen.size;
      if (this.#doneCount === this.#answered.length)
        return { kind: "found", states, state, order: this.#order() };
      if (states > this.#statesMax) return { kind: "gave-up", states };
      this.#frames.push({ state, choices: this.#choicesIn(state), taken: -1 });
      let next = this.#stepOn();
      while (next === undefined) {
        this.#frames.pop();
        const frame = this.#frames.at(-1);
        if (frame === undefined) return { kind: "none", states: this.#seen.size };
        this.#undo(frame.taken);
        next = this.#stepOn();
      }
      state = next;
    }
  }

  /** Takes the next choice of the newest frame that leads somewhere new. Undefined if there is none. */
  #stepOn(): State | undefined {
    const frame = this.#frames.at(-1);
    if (frame === undefined) return undefined;
    const { state, choices } = frame;
    for (let choice = choices.next().value; choice !== undefined; choice = choices.next().value) {
      const next = this.#stateAfter(state, choice);
      if (next === undefined) continue;
      const replaced = this.#traces.replacedBy(choice, this.#valuesOf(state));
      this.#do(choice);
      if (!this.#traces.isMissing(replaced) && this.#isNew(next)) {
        frame.taken = choice;
        return next;
      }
      this.#undo(choice);
    }
    return undefined;
  }

  /** What could come next, the likely first. Only the one, where there is one that is right in any case. */
  *#choicesIn(state: State): Generator<number, undefined> {
    const choices: number[] = [];
    let deadline = Infinity;
    for (let nth = this.#firstOutstanding; nth < this.#answered.length; nth++) {
      const operation = this.#answered[nth];
      if (operation === undefined || operation.called > deadline) break;
      if (this.#done.has(nth)) continue;
      // It forbids nothing that could be done without it, so no order needs it later.
      if (this.#isReadOnly(operation) && this.#stateAfter(state, nth) !== undefined) {
        yield nth;
        return;
      }
      deadline = Math.min(deadline, operation.answer.time);
      choices.push(nth);
    }
    // Earliest answer first: that is nearly always the order in which things happened.
    yield* choices.sort((a, b) => this.#answerTime(a) - this.#answerTime(b));
    yield* this.#openChoicesIn(state, deadline);
  }

  /** One of each sort that is of use now. */
  *#openChoicesIn(state: State, deadline: number): Generator<number, undefined> {
    const sorts = new Set<string | null>();
    for (let nth = this.#answered.length; nth < this.#operations.length; nth++) {
      if ((this.#operations[nth]?.called ?? Infinity) > deadline) break;
      if (this.#openDone.has(nth) || !this.#traces.isOfUse(nth, this.#valuesOf(state))) continue;
      const sort = this.#traces.sortOf(nth);
      if (!sorts.has(sort)) yield nth;
      sorts.add(sort);
    }
  }

  #stateAfter(state: State, nth: number): State | undefined {
    const operation = this.#operations[nth];
    if (operation === undefined) return undefined;
    const next = this.#model.step(state, operation.input, operation.answer?.output);
    if (operation.answer !== null || next === undefined) return next;
    // One that may as well not happen is kept for later if it would change nothing now.
    return this.#describe(next) === this.#describe(state) ? undefined : next;
  }

  #valuesOf(state: State): (place: string) => string {
    return (place) => this.#model.valueAt(state, place);
  }

  /** Equal for two states that nothing to come tells apart. */
  #describe(state: State): string {
    return this.#model.describeState(state, (trace) => this.#traces.isOfInterest(trace));
  }

  #isNew(state: State): boolean {
    const answered = this.#done.textOf(this.#firstOutstanding, this.#doneEnd);
    // The lengths keep the parts apart.
    const key = `${this.#firstOutstanding},${answered.length},${answered}${this.#doneSorts()};${this.#describe(state)}`;
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }

  /** How many open operations of each sort are done, as text. Those that are of no use any more may as well be to come. */
  #doneSorts(): string {
    const counts = new Map<string, number>();
    for (const nth of this.#openDone) {
      const sort = this.#traces.sortOf(nth);
      if (sort !== null) counts.set(sort, (counts.get(sort) ?? 0) + 1);
    }
    return Array.from(counts, ([sort, count]) => `${count}*${sort}`)
      .sort()
      .join(" ");
  }

  #do(nth: number): void {
    this.#traces.stands(nth);
    if (nth >= this.#answered.length) {
      this.#openDone.add(nth);
      return;
    }
    this.#done.add(nth);
    this.#doneCount++;
    this.#doneEnd = Math.max(this.#doneEnd, nth + 1);
    while (this.#firstOutstanding < this.#doneEnd && this.#done.has(this.#firstOutstanding))
      this.#firstOutstanding++;
  }

  #undo(nth: number): void {
    this.#traces.comes(nth);
    if (nth >= this.#answered.length) {
      this.#openDone.delete(nth);
      return;
    }
    this.#done.delete(nth);
    this.#doneCount--;
    this.#firstOutstanding = Math.min(this.#firstOutstanding, nth);
    while (this.#doneEnd > 0 && !this.#done.has(this.#doneEnd - 1)) this.#doneEnd--;
  }

  #order(): History<Input, Output> {
    return this.#frames.flatMap(({ taken }) => this.#operations[taken] ?? []);
  }

  #isReadOnly({ input, answer }: Answered<Input, Output>): boolean {
    return this.#model.isReadOnly(input, answer.output);
  }

  #answerTime(nth: number): number {
    return this.#answered[nth]?.answer.time ?? Infinity;
  }
}

import { BitSet } from "./bit-set.ts";
import type { Answer, History, Model, Operation } from "./history.ts";
import { Traces } from "./traces.ts";

/** How far a search came that found no order: what it had put in order, and what it could not get past. */
export interface Impasse<Input, Output> {
  /** The longest order that explains all answers up to the impasse. */
  readonly order: History<Input, Output>;
  readonly state: string;
  /** The operation whose answer no continuation explains in time. */
  readonly stuck: Operation<Input, Output>;
}

export type SearchResult<Input, Output> =
  | { readonly kind: "found"; readonly states: number }
  | { readonly kind: "none"; readonly states: number; readonly impasse: Impasse<Input, Output> }
  | { readonly kind: "gave-up"; readonly states: number };

type Answered<Input, Output> = Operation<Input, Output> & { readonly answer: Answer<Output> };

export interface SearchOptions {
  /** Beyond this number of states the search gives up. */
  readonly statesMax: number;
  /**
   * Also tries operations without an answer of which only `mayHaveSeen` knows. Not being thorough takes far less time, and an order
   * that is found is right all the same; that there is none, only a thorough search can tell.
   */
  readonly isThorough: boolean;
}

/** One step of the order that is being tried: where it was taken, what could stand there, and which of it is tried. */
interface Frame<State> {
  readonly state: State;
  readonly choices: readonly number[];
  nextChoice: number;
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
 *                                              only while somebody is still to see something of it.
 *
 * An order is found when all answered operations stand in it. Operations are numbered by call: the answered ones 0..n-1, the
 * open ones from n.
 */
export class Search<State, Input, Output> {
  readonly #model: Model<State, Input, Output>;
  readonly #operations: History<Input, Output>;
  readonly #answered: readonly Answered<Input, Output>[];
  readonly #statesMax: number;
  readonly #traces: Traces;
  readonly #done: BitSet;
  readonly #seen = new Set<string>();
  readonly #frames: Frame<State>[] = [];
  /** All answered operations before this one are done. */
  #firstOutstanding = 0;
  /** No answered operation from this one on is done. */
  #doneEnd = 0;
  #doneCount = 0;
  #impasse: Impasse<Input, Output> | null = null;

  constructor(model: Model<State, Input, Output>, history: History<Input, Output>, options: SearchOptions) {
    const { statesMax, isThorough } = options;
    const byCall = [...history].sort((a, b) => a.called - b.called);
    this.#model = model;
    this.#answered = byCall.filter((operation) => operation.answer !== null) as Answered<Input, Output>[];
    const open = byCall.filter(({ answer, input }) => answer === null && !model.isReadOnly(input, undefined));
    this.#operations = [...this.#answered, ...open];
    this.#statesMax = statesMax;
    this.#done = new BitSet(this.#operations.length);
    this.#traces = new Traces({
      left: open.map(({ input }) => model.leaves(input)),
      needed: open.flatMap(({ input }) => model.saw(input, undefined)),
      seen: this.#answered.map(({ input, answer: { output } }) => [
        ...model.saw(input, output),
        ...(isThorough ? model.mayHaveSeen(input, output) : []),
      ]),
    });
    for (const { answer, called } of this.#answered)
      if (answer.time < called) throw new RangeError("An answer came before the call");
  }

  run(): SearchResult<Input, Output> {
    let state = this.#model.initial;
    for (;;) {
      if (this.#doneCount === this.#answered.length) return { kind: "found", states: this.#seen.size };
      if (this.#seen.size > this.#statesMax) return { kind: "gave-up", states: this.#seen.size };
      this.#frames.push({ state, choices: this.#choicesIn(state), nextChoice: 0, taken: -1 });
      let next = this.#stepOn();
      while (next === undefined) {
        this.#noteImpasse();
        this.#frames.pop();
        if (this.#frames.length === 0) return this.#none();
        this.#takeBack();
        next = this.#stepOn();
      }
      state = next;
    }
  }

  /** Takes the next choice of the newest frame that leads somewhere new. Undefined if there is none. */
  #stepOn(): State | undefined {
    const frame = this.#frames.at(-1);
    if (frame === undefined) return undefined;
    while (frame.nextChoice < frame.choices.length) {
      const choice = frame.choices[frame.nextChoice++] ?? -1;
      const next = this.#stateAfter(frame.state, choice);
      if (next === undefined) continue;
      this.#do(choice);
      if (this.#isNew(next)) {
        frame.taken = choice;
        return next;
      }
      this.#undo(choice);
    }
    return undefined;
  }

  #takeBack(): void {
    const frame = this.#frames.at(-1);
    if (frame !== undefined) this.#undo(frame.taken);
  }

  /** What could come next, the likely first. Only the one, where there is one that is right in any case. */
  #choicesIn(state: State): readonly number[] {
    const choices: number[] = [];
    let deadline = Infinity;
    for (let nth = this.#firstOutstanding; nth < this.#answered.length; nth++) {
      const operation = this.#answered[nth];
      if (operation === undefined || operation.called > deadline) break;
      if (this.#done.has(nth)) continue;
      // It forbids nothing that could be done without it, so no order needs it later.
      if (this.#isReadOnly(operation) && this.#stateAfter(state, nth) !== undefined) return [nth];
      deadline = Math.min(deadline, operation.answer.time);
      choices.push(nth);
    }
    // Earliest answer first: that is nearly always the order in which things happened.
    choices.sort((a, b) => this.#answerTime(a) - this.#answerTime(b));
    for (let nth = this.#answered.length; nth < this.#operations.length; nth++) {
      if ((this.#operations[nth]?.called ?? Infinity) > deadline) break;
      if (!this.#done.has(nth) && this.#traces.isToBeSeen(nth - this.#answered.length)) choices.push(nth);
    }
    return choices;
  }

  #stateAfter(state: State, nth: number): State | undefined {
    const operation = this.#operations[nth];
    if (operation === undefined) return undefined;
    const next = this.#model.step(state, operation.input, operation.answer?.output);
    if (operation.answer !== null || next === undefined) return next;
    // One that may as well not happen is kept for later if it would change nothing now.
    return this.#model.describeState(next) === this.#model.describeState(state) ? undefined : next;
  }

  #isNew(state: State): boolean {
    const { length } = this.#answered;
    const answered = this.#done.textOf(this.#firstOutstanding, this.#doneEnd);
    const open = this.#done.textOf(length, this.#operations.length);
    // The lengths keep the parts apart.
    const key = `${this.#firstOutstanding},${answered.length},${answered}${open}${this.#model.describeState(state)}`;
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }

  #do(nth: number): void {
    this.#done.add(nth);
    if (nth >= this.#answered.length) return;
    this.#doneCount++;
    this.#traces.explain(nth);
    this.#doneEnd = Math.max(this.#doneEnd, nth + 1);
    while (this.#firstOutstanding < this.#doneEnd && this.#done.has(this.#firstOutstanding))
      this.#firstOutstanding++;
  }

  #undo(nth: number): void {
    this.#done.delete(nth);
    if (nth >= this.#answered.length) return;
    this.#doneCount--;
    this.#traces.unexplain(nth);
    this.#firstOutstanding = Math.min(this.#firstOutstanding, nth);
    while (this.#doneEnd > 0 && !this.#done.has(this.#doneEnd - 1)) this.#doneEnd--;
  }

  /** Remembers the dead end that explains most: the one whose deadline is latest. */
  #noteImpasse(): void {
    const frame = this.#frames.at(-1);
    let stuck: Answered<Input, Output> | null = null;
    for (let nth = this.#firstOutstanding; nth < this.#answered.length; nth++) {
      const operation = this.#answered[nth];
      if (operation === undefined || this.#done.has(nth)) continue;
      if (stuck !== null && operation.called > stuck.answer.time) break;
      if (stuck === null || operation.answer.time < stuck.answer.time) stuck = operation;
    }
    if (frame === undefined || stuck === null) return;
    if (stuck.answer.time <= (this.#impasse?.stuck.answer?.time ?? -Infinity)) return;
    const order = this.#frames.slice(0, -1).flatMap(({ taken }) => this.#operations[taken] ?? []);
    this.#impasse = { order, stuck, state: this.#model.describeState(frame.state) };
  }

  #none(): SearchResult<Input, Output> {
    if (this.#impasse === null) throw new Error("A search that found nothing met no dead end");
    return { kind: "none", states: this.#seen.size, impasse: this.#impasse };
  }

  #isReadOnly({ input, answer }: Answered<Input, Output>): boolean {
    return this.#model.isReadOnly(input, answer.output);
  }

  #answerTime(nth: number): number {
    return this.#answered[nth]?.answer.time ?? Infinity;
  }
}

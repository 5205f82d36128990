import { describeHistory, type History, type Model, type Operation } from "./history.ts";
import { Search } from "./search.ts";

/** Enough for thousands of operations; about 100 MB at worst. */
const STATES_MAX = 500_000;

export type Verdict<State, Input, Output> =
  | { readonly kind: "linearizable"; readonly states: number }
  | Violation<State, Input, Output>
  /** Of this part it is not known, after this many states. No part is known to be wrong. */
  | { readonly kind: "undecided"; readonly part: string; readonly states: number };

export interface Violation<State, Input, Output> {
  readonly kind: "violation";
  /** The part of the history, such as its key. */
  readonly part: string;
  /** The shortest beginning of that part that no order explains: what was called up to the answer that fits nowhere. */
  readonly prefix: History<Input, Output>;
  /** The operation with that answer. */
  readonly stuck: Operation<Input, Output>;
  /** An order that explains all answers before that one, and what it leads to. Null if the search for it gave up. */
  readonly explained: { readonly order: History<Input, Output>; readonly state: State } | null;
}

/** Whether the answers of a history can be those of one object that does one thing at a time, in an order that real time allows. */
export function checkLinearizable<State, Input, Output>(
  history: History<Input, Output>,
  model: Model<State, Input, Output>,
  options: { readonly statesMax?: number } = {},
): Verdict<State, Input, Output> {
  const { statesMax = STATES_MAX } = options;
  let states = 0;
  let undecided: Verdict<State, Input, Output> | null = null;
  for (const [part, operations] of model.partition(history)) {
    const result = new Search(model, operations, statesMax).run();
    states += result.states;
    if (result.kind === "none") return shortestViolation(part, operations, model, statesMax);
    if (result.kind === "gave-up") undecided ??= { kind: "undecided", part, states: result.states };
  }
  return undecided ?? { kind: "linearizable", states };
}

/** Says what a person needs to see the fault. */
export function describeVerdict<State, Input, Output>(
  verdict: Verdict<State, Input, Output>,
  model: Model<State, Input, Output>,
): string {
  switch (verdict.kind) {
    case "linearizable":
      return `linearizable (${verdict.states} states)`;
    case "undecided":
      return `undecided: ${verdict.part} after ${verdict.states} states`;
    case "violation": {
      const { part, prefix, stuck, explained } = verdict;
      return [
        `violation in ${part}: no order explains these ${prefix.length} operations`,
        describeHistory(model, prefix),
        ...(explained === null ? ["the answer that does not fit:"] : describeExplained(explained, model)),
        describeHistory(model, [stuck]),
      ].join("\n");
    }
  }
}

function describeExplained<State, Input, Output>(
  { order, state }: NonNullable<Violation<State, Input, Output>["explained"]>,
  model: Model<State, Input, Output>,
): readonly string[] {
  return [
    `${order.length} of them can be put in order; the last ones:`,
    ...order
      .slice(-10)
      .map(({ client, input, answer }) => `  ${client}: ${model.describeOperation(input, answer?.output)}`),
    `which leads to ${model.describeState(state)}, where no continuation explains`,
  ];
}

/** A beginning of a linearizable history is linearizable, so the shortest one that is not is found by halving. */
function shortestViolation<State, Input, Output>(
  part: string,
  history: History<Input, Output>,
  model: Model<State, Input, Output>,
  statesMax: number,
): Violation<State, Input, Output> {
  const answered = history
    .filter(({ answer }) => answer !== null)
    .sort((a, b) => answerTime(a) - answerTime(b));
  const beginning = (answers: number) => beginningOf(history, answered.slice(0, answers));
  let explained: Violation<State, Input, Output>["explained"] = { order: [], state: model.initial };
  // So many answers can be explained, and so many cannot.
  let [good, bad] = [0, answered.length];
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    const result = new Search(model, beginning(middle), statesMax).run();
    if (result.kind === "none") {
      bad = middle;
    } else {
      good = middle;
      explained = result.kind === "found" ? result : null;
    }
  }
  const stuck = answered[bad - 1];
  if (stuck === undefined) throw new Error("A history without an answer cannot be explained");
  return { kind: "violation", part, prefix: beginning(bad), stuck, explained };
}

/** What was seen until the last of these answers: of what was answered later, only the call. */
function beginningOf<Input, Output>(
  history: History<Input, Output>,
  answered: History<Input, Output>,
): History<Input, Output> {
  const end = Math.max(...answered.map(answerTime));
  return history
    .filter(({ called }) => called <= end)
    .map((operation) => (answered.includes(operation) ? operation : { ...operation, answer: null }));
}

function answerTime({ answer }: Operation<unknown, unknown>): number {
  return answer?.time ?? Number.POSITIVE_INFINITY;
}

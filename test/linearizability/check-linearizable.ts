import { describeHistory, type History, type Model } from "./history.ts";
import { type Impasse, Search, type SearchResult } from "./search.ts";

/** Enough for thousands of operations; about 100 MB at worst. */
const STATES_MAX = 500_000;

export type Verdict<Input, Output> =
  | { readonly kind: "linearizable"; readonly states: number }
  | Violation<Input, Output>
  /** Of this part it is not known, after this many states. No part is known to be wrong. */
  | { readonly kind: "undecided"; readonly part: string; readonly states: number };

export interface Violation<Input, Output> {
  readonly kind: "violation";
  /** The part of the history, such as its key. */
  readonly part: string;
  /** The shortest beginning of that part that no order explains: what was called up to the answer that fits nowhere. */
  readonly prefix: History<Input, Output>;
  readonly impasse: Impasse<Input, Output>;
}

/** Whether the answers of a history can be those of one object that does one thing at a time, in an order that real time allows. */
export function checkLinearizable<State, Input, Output>(
  history: History<Input, Output>,
  model: Model<State, Input, Output>,
  options: { readonly statesMax?: number } = {},
): Verdict<Input, Output> {
  const { statesMax = STATES_MAX } = options;
  let states = 0;
  let undecided: Verdict<Input, Output> | null = null;
  for (const [part, operations] of model.partition(history)) {
    const result = search(model, operations, statesMax);
    states += result.states;
    if (result.kind === "none") return shortestViolation(part, operations, result.impasse, model, statesMax);
    if (result.kind === "gave-up") undecided ??= { kind: "undecided", part, states: result.states };
  }
  return undecided ?? { kind: "linearizable", states };
}

/** Says what a person needs to see the fault. */
export function describeVerdict<State, Input, Output>(
  verdict: Verdict<Input, Output>,
  model: Model<State, Input, Output>,
): string {
  switch (verdict.kind) {
    case "linearizable":
      return `linearizable (${verdict.states} states)`;
    case "undecided":
      return `undecided: ${verdict.part} after ${verdict.states} states`;
    case "violation": {
      const { part, prefix, impasse } = verdict;
      const { order, state, stuck } = impasse;
      return [
        `violation in ${part}: no order explains these ${prefix.length} operations`,
        describeHistory(model, prefix),
        `${order.length} of them can be put in order; the last ones:`,
        ...order
          .slice(-10)
          .map(
            ({ client, input, answer }) => `  ${client}: ${model.describeOperation(input, answer?.output)}`,
          ),
        `which leads to ${state}, where no continuation explains`,
        describeHistory(model, [stuck]),
      ].join("\n");
    }
  }
}

/** The quick way first: nearly always there is an order, and it is found. */
function search<State, Input, Output>(
  model: Model<State, Input, Output>,
  history: History<Input, Output>,
  statesMax: number,
): SearchResult<Input, Output> {
  const quick = new Search(model, history, { statesMax, isThorough: false }).run();
  const isMore = history.some(
    ({ input, answer }) => answer !== null && model.mayHaveSeen(input, answer.output).length > 0,
  );
  if (quick.kind === "found" || !isMore) return quick;
  return new Search(model, history, { statesMax, isThorough: true }).run();
}

/**
 * A beginning of a linearizable history is linearizable, so the shortest one that is not is found by halving. It ends with an answer,
 * not before the one that the whole search was stuck at: everything earlier was explained there.
 */
function shortestViolation<State, Input, Output>(
  part: string,
  history: History<Input, Output>,
  impasse: Impasse<Input, Output>,
  model: Model<State, Input, Output>,
  statesMax: number,
): Violation<Input, Output> {
  const from = impasse.stuck.answer?.time ?? -Infinity;
  const times = [...new Set(history.flatMap(({ answer }) => answer?.time ?? []))]
    .filter((time) => time >= from)
    .sort((a, b) => a - b);
  let found: Violation<Input, Output> = { kind: "violation", part, prefix: history, impasse };
  let [low, high] = [0, times.length - 1];
  while (low <= high) {
    const middle = Math.floor((low + high) / 2);
    const prefix = beginningOf(history, times[middle] ?? Infinity);
    const result = search(model, prefix, statesMax);
    if (result.kind === "none") {
      found = { kind: "violation", part, prefix, impasse: result.impasse };
      high = middle - 1;
    } else {
      low = middle + 1;
    }
  }
  return found;
}

/** What was seen until then: of what was answered later, only the call. */
function beginningOf<Input, Output>(history: History<Input, Output>, time: number): History<Input, Output> {
  return history
    .filter(({ called }) => called <= time)
    .map((operation) =>
      operation.answer !== null && operation.answer.time > time ? { ...operation, answer: null } : operation,
    );
}

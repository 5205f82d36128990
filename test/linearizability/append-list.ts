import type { Model, Trace } from "./history.ts";
import { partitionByKeys } from "./partition-by-keys.ts";

export type AppendListInput =
  | { readonly kind: "append"; readonly key: string; readonly value: string | number }
  | { readonly kind: "read"; readonly key: string };

/** Of a read the whole list, of an append null. */
export type AppendListOutput = readonly (string | number)[] | null;

type List = readonly (string | number)[];

/**
 * Independent lists by key, each empty at first. A read tells everything that happened before it and in which order, so this
 * finds more than a register does: an append that is lost, done twice or out of order shows in every later read.
 */
export const APPEND_LIST: Model<List, AppendListInput, AppendListOutput> = {
  initial: [],

  step(state, input, output) {
    if (input.kind === "append") return [...state, input.value];
    if (output === undefined) return state;
    if (output === null || output.length !== state.length) return undefined;
    return output.every((value, nth) => value === state[nth]) ? state : undefined;
  },

  describeState: (state) => JSON.stringify(state),

  describeOperation(input, output) {
    if (input.kind === "append")
      return `append ${JSON.stringify(input.value)} to ${input.key}${output === undefined ? " -> ?" : ""}`;
    return `read ${input.key} -> ${output === undefined ? "?" : JSON.stringify(output)}`;
  },

  isReadOnly: ({ kind }) => kind === "read",

  partition: (history) => partitionByKeys(history, ({ key }) => [key]),

  /** Each value is a place of its own: what is appended takes nothing away. */
  leaves: (input) => (input.kind === "append" ? [traceOf(input.value)] : []),

  saw: (_, output) => (output ?? []).map(traceOf),

  missed: () => [],

  valueAt: (state, place) => String(state.some((value) => traceOf(value).place === place)),
};

function traceOf(value: string | number): Trace {
  return { place: JSON.stringify(value), value: "true" };
}

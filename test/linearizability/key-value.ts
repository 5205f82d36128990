import type { History, Model } from "./history.ts";
import { partitionByKeys } from "./partition-by-keys.ts";
import type { Value } from "./register.ts";

export type Values = Readonly<Record<string, Value>>;

export type KeyValueInput =
  | { readonly kind: "read"; readonly keys: readonly string[] }
  /** Sets all of `values` in one step if all keys of `expected` have those values; else nothing. */
  | { readonly kind: "update"; readonly expected: Values; readonly values: Values };

/** Of a read the values in the order of its keys, of an update whether it was made. */
export type KeyValueOutput = readonly Value[] | boolean;

type State = ReadonlyMap<string, Value>;

/** Many keys that are read and written several at a time, each step atomic; a key without a value has null. */
export const KEY_VALUE: Model<State, KeyValueInput, KeyValueOutput> = {
  initial: new Map(),

  step(state, input, output) {
    if (input.kind === "read") {
      if (output === undefined) return state;
      if (typeof output === "boolean") return undefined;
      return input.keys.every((key, nth) => valueIn(state, key) === output[nth]) ? state : undefined;
    }
    const isMet = Object.entries(input.expected).every(([key, value]) => valueIn(state, key) === value);
    if (output !== undefined && output !== isMet) return undefined;
    return isMet ? new Map([...state, ...Object.entries(input.values)]) : state;
  },

  describeState(state) {
    const entries = [...state].filter(([, value]) => value !== null).sort(([a], [b]) => (a < b ? -1 : 1));
    return JSON.stringify(Object.fromEntries(entries));
  },

  describeOperation(input, output) {
    const gives = output === undefined ? "?" : JSON.stringify(output);
    if (input.kind === "read") return `read ${input.keys.join(" ")} -> ${gives}`;
    const isConditional = Object.keys(input.expected).length > 0;
    const condition = isConditional ? ` if ${JSON.stringify(input.expected)}` : "";
    return `set ${JSON.stringify(input.values)}${condition} -> ${gives}`;
  },

  isReadOnly: ({ kind }, output) => kind === "read" || output === false,

  partition: (history) => partitionByKeys(history, keysOf),

  /** An update none of whose values a read gave or an update expected was not seen. A refused update may have seen any. */
  withoutIrrelevant(history: History<KeyValueInput, KeyValueOutput>) {
    const seen = new Set<string>();
    for (const { input, answer } of history) {
      if (input.kind === "update" && answer?.output === false) return history;
      if (input.kind === "update") {
        for (const [key, value] of Object.entries(input.expected)) seen.add(pairOf(key, value));
      } else if (answer !== null && typeof answer.output !== "boolean") {
        for (const [nth, value] of answer.output.entries()) seen.add(pairOf(input.keys[nth] ?? "", value));
      }
    }
    return history.filter(({ input, answer }) => {
      if (answer !== null || input.kind === "read") return answer !== null;
      return Object.entries(input.values).some(([key, value]) => seen.has(pairOf(key, value)));
    });
  },
};

function keysOf(input: KeyValueInput): readonly string[] {
  return input.kind === "read"
    ? input.keys
    : [...new Set([...Object.keys(input.values), ...Object.keys(input.expected)])];
}

function valueIn(state: State, key: string): Value {
  return state.get(key) ?? null;
}

function pairOf(key: string, value: Value): string {
  return JSON.stringify([key, value]);
}

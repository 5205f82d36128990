import type { Model, Trace } from "./history.ts";
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

  describeState(state, isOfInterest = () => true) {
    const entries = [...state]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([key, value]) => {
        if (!isOfInterest(traceOf(key, value))) return `${JSON.stringify(key)}:*`;
        return value === null ? [] : `${JSON.stringify(key)}:${JSON.stringify(value)}`;
      });
    return `{${entries.join()}}`;
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

  leaves: (input, output) => (input.kind === "read" || output === false ? [] : tracesOf(input.values)),

  saw(input, output) {
    if (input.kind === "update") return output === false ? [] : tracesOf(input.expected);
    if (output === undefined || typeof output === "boolean") return [];
    return input.keys.map((key, nth) => traceOf(key, output[nth] ?? null));
  },

  missed: (input, output) => (input.kind === "update" && output === false ? tracesOf(input.expected) : []),

  valueAt: (state, place) => traceOf(place, valueIn(state, place)).value,
};

function keysOf(input: KeyValueInput): readonly string[] {
  return input.kind === "read"
    ? input.keys
    : [...new Set([...Object.keys(input.values), ...Object.keys(input.expected)])];
}

function valueIn(state: State, key: string): Value {
  return state.get(key) ?? null;
}

function tracesOf(values: Values): readonly Trace[] {
  return Object.entries(values).map(([key, value]) => traceOf(key, value));
}

function traceOf(key: string, value: Value): Trace {
  return { place: key, value: JSON.stringify(value) };
}

import type { Model, Trace } from "./history.ts";
import { partitionByKeys } from "./partition-by-keys.ts";

/** A value, or null: there is none. */
export type Value = string | number | null;

export type RegisterInput =
  | { readonly kind: "read"; readonly key: string }
  | { readonly kind: "write"; readonly key: string; readonly value: Value }
  /** Compare and set: writes `to` if the value is `from`, and says whether it was. */
  | { readonly kind: "cas"; readonly key: string; readonly from: Value; readonly to: Value };

/** Of a read the value, of a compare-and-set whether it wrote, of a write null. */
export type RegisterOutput = Value | boolean;

/** Independent registers by key, each empty (null) at first. */
export const REGISTER: Model<Value, RegisterInput, RegisterOutput> = {
  initial: null,

  step(state, input, output) {
    switch (input.kind) {
      case "read":
        return output === undefined || output === state ? state : undefined;
      case "write":
        return input.value;
      case "cas": {
        const isEqual = state === input.from;
        if (output !== undefined && output !== isEqual) return undefined;
        return isEqual ? input.to : state;
      }
    }
  },

  describeState: (state, isOfInterest) =>
    isOfInterest?.(traceOf(state)) === false ? "" : JSON.stringify(state),

  describeOperation(input, output) {
    const gives = output === undefined ? "?" : JSON.stringify(output);
    switch (input.kind) {
      case "read":
        return `read ${input.key} -> ${gives}`;
      case "write":
        return `write ${input.key} = ${JSON.stringify(input.value)}${output === undefined ? " -> ?" : ""}`;
      case "cas":
        return `cas ${input.key} ${JSON.stringify(input.from)} to ${JSON.stringify(input.to)} -> ${gives}`;
    }
  },

  isReadOnly: ({ kind }, output) => kind === "read" || (kind === "cas" && output === false),

  partition: (history) => partitionByKeys(history, ({ key }) => [key]),

  leaves(input, output) {
    if (input.kind === "read" || output === false) return [];
    return [traceOf(input.kind === "write" ? input.value : input.to)];
  },

  saw(input, output) {
    if (input.kind === "read") return output === undefined ? [] : [traceOf(output)];
    return input.kind === "cas" && output !== false ? [traceOf(input.from)] : [];
  },

  missed: (input, output) => (input.kind === "cas" && output === false ? [traceOf(input.from)] : []),

  valueAt: (state) => traceOf(state).value,
};

/** A part of a history has one key, so there is one place. */
function traceOf(value: RegisterOutput): Trace {
  return { place: "", value: JSON.stringify(value) };
}

import type { History, Model } from "./history.ts";
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

  describeState: (state) => JSON.stringify(state),

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

  /** A value that no read gave and no compare-and-set asked for was not seen. A failed compare-and-set may have seen any. */
  withoutIrrelevant(history: History<RegisterInput, RegisterOutput>) {
    const seen = new Set<RegisterOutput>();
    for (const { input, answer } of history) {
      if (input.kind === "cas" && answer?.output === false) return history;
      if (input.kind === "cas") seen.add(input.from);
      if (input.kind === "read" && answer !== null) seen.add(answer.output);
    }
    return history.filter(({ input, answer }) => {
      if (answer !== null || input.kind === "read") return answer !== null;
      return seen.has(input.kind === "write" ? input.value : input.to);
    });
  },
};

import fc from "fast-check";
import { type Test, t } from "tap";
import { APPEND_LIST, type AppendListInput, type AppendListOutput } from "./append-list.ts";
import { isLinearizableByForce } from "./brute-force.ts";
import { checkLinearizable } from "./check-linearizable.ts";
import { drawnHistory, type Requests } from "./drawn-history.ts";
import type { History, Model } from "./history.ts";
import { KEY_VALUE, type KeyValueInput, type KeyValueOutput } from "./key-value.ts";
import { REGISTER, type RegisterInput, type RegisterOutput, type Value } from "./register.ts";

/** Few, so that the same value comes from several operations. */
const value = fc.constantFrom<Value>(null, 1, 2, 3);
// One key where the model is one register or list, for brute force knows of no parts.
const key = fc.constant("x");

const REGISTERS: Requests<Value, RegisterInput, RegisterOutput> = {
  input: fc.oneof(
    fc.record({ kind: fc.constant("read" as const), key }),
    fc.record({ kind: fc.constant("write" as const), key, value }),
    fc.record({ kind: fc.constant("cas" as const), key, from: value, to: value }),
  ),
  answer(state, input) {
    if (input.kind === "write") return null;
    return input.kind === "read" ? state : state === input.from;
  },
  anyAnswer({ kind }) {
    if (kind === "write") return fc.constant(null);
    return kind === "read" ? value : fc.boolean();
  },
};

const LISTS: Requests<readonly (string | number)[], AppendListInput, AppendListOutput> = {
  input: fc.oneof(
    fc.record({ kind: fc.constant("append" as const), key, value: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ kind: fc.constant("read" as const), key }),
  ),
  answer: (state, { kind }) => (kind === "append" ? null : state),
  anyAnswer: ({ kind }) =>
    kind === "append" ? fc.constant(null) : fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
};

const keys = fc.constantFrom("x", "y", "z");
const values = (minKeys: number) =>
  fc.dictionary(keys, value, { minKeys, maxKeys: 2, noNullPrototype: true });

const KEY_VALUES: Requests<ReadonlyMap<string, Value>, KeyValueInput, KeyValueOutput> = {
  input: fc.oneof(
    fc.record({ kind: fc.constant("read" as const), keys: fc.constantFrom(["x"], ["y", "z"]) }),
    fc.record({ kind: fc.constant("update" as const), values: values(1), expected: values(0) }),
  ),
  answer(state, input) {
    const valueIn = (of: string) => state.get(of) ?? null;
    if (input.kind === "read") return input.keys.map(valueIn);
    return Object.entries(input.expected).every(([of, expected]) => valueIn(of) === expected);
  },
  anyAnswer: (input) =>
    input.kind === "update"
      ? fc.boolean()
      : fc.array(value, { minLength: input.keys.length, maxLength: input.keys.length }),
};

async function agrees<State, Input, Output>(
  t: Test,
  model: Model<State, Input, Output>,
  requests: Requests<State, Input, Output>,
  runs: number,
): Promise<void> {
  const counts = { good: 0, bad: 0 };
  const isAgreed = (history: History<Input, Output>): boolean => {
    const expected = isLinearizableByForce(history, model);
    counts[expected ? "good" : "bad"]++;
    const verdict = checkLinearizable(history, model);
    if (verdict.kind !== "violation") return expected && verdict.kind === "linearizable";
    // The prefix is wrong, and without its last answer it is not.
    const { prefix, stuck } = verdict;
    const shorter = prefix.map((operation) =>
      operation === stuck ? { ...operation, answer: null } : operation,
    );
    return !expected && !isLinearizableByForce(prefix, model) && isLinearizableByForce(shorter, model);
  };
  const spoilt = drawnHistory(model, requests, { operationsMax: 7, isSpoilt: true });
  fc.assert(fc.property(spoilt, isAgreed), { numRuns: runs });
  t.comment(`${counts.good} good and ${counts.bad} bad histories`);
  t.ok(Math.min(counts.good, counts.bad) > runs / 10, "both verdicts were put to the test");
  const sound = drawnHistory(model, requests, { operationsMax: 40, isSpoilt: false });
  fc.assert(
    fc.property(sound, (history) => checkLinearizable(history, model).kind === "linearizable"),
    { numRuns: runs / 10 },
  );
}

t.test("checkLinearizable() of registers agrees with brute force", (t) =>
  agrees(t, REGISTER, REGISTERS, 6_000),
);
t.test("checkLinearizable() of lists agrees with brute force", (t) => agrees(t, APPEND_LIST, LISTS, 2_000));
t.test("checkLinearizable() of several keys at once agrees with brute force", (t) =>
  agrees(t, KEY_VALUE, KEY_VALUES, 4_000),
);

import { t } from "tap";
import { APPEND_LIST, type AppendListInput, type AppendListOutput } from "./append-list.ts";
import { checkLinearizable, describeVerdict } from "./check-linearizable.ts";
import type { Operation } from "./history.ts";
import { HistoryRecorder } from "./history-recorder.ts";
import { KEY_VALUE, type KeyValueInput, type KeyValueOutput } from "./key-value.ts";
import { REGISTER, type RegisterInput, type RegisterOutput, type Value } from "./register.ts";

type RegisterOperation = Operation<RegisterInput, RegisterOutput>;

/** `[from, to]`: when it was called and answered; `to` null: no answer. */
type Span = readonly [from: number, to: number | null];

function read([called, to]: Span, output: Value = null, key = "x"): RegisterOperation {
  return { client: "r", input: { kind: "read", key }, called, answer: answerOf(to, output) };
}

function write([called, to]: Span, value: Value, key = "x"): RegisterOperation {
  return { client: "w", input: { kind: "write", key, value }, called, answer: answerOf(to, null) };
}

function cas(
  [called, to]: Span,
  change: readonly [from: Value, to: Value],
  output = true,
): RegisterOperation {
  const input = { kind: "cas", key: "x", from: change[0], to: change[1] } as const;
  return { client: "c", input, called, answer: answerOf(to, output) };
}

function answerOf<Output>(time: number | null, output: Output): { time: number; output: Output } | null {
  return time === null ? null : { time, output };
}

const GOOD: Readonly<Record<string, readonly RegisterOperation[]>> = {
  "nothing at all": [],
  "a read of an empty register": [read([1, 2])],
  "one after the other": [write([1, 2], 1), read([3, 4], 1), write([5, 6], 2), read([7, 8], 2)],
  "a read during a write may see it or not": [write([1, 9], 1), read([2, 3]), read([4, 5], 1)],
  "a read may see a write whose answer comes later": [write([1, 9], 1), read([2, 3], 1), read([4, 5], 1)],
  "two writes at once, in the other order": [write([1, 5], 1), write([2, 4], 2), read([6, 7], 1)],
  "a read of a write that was never acknowledged": [write([1, null], 1), read([5, 6], 1)],
  "a write that took effect long after its client gave up": [
    write([1, null], 1),
    read([2, 3]),
    write([4, 5], 2),
    read([6, 7], 2),
    read([8, 9], 1),
  ],
  "a write that never took effect": [write([1, 2], 1), write([3, null], 2), read([4, 5], 1), read([6, 7], 1)],
  "a read that was never answered": [write([1, 2], 1), read([3, null]), read([4, 5], 1)],
  "keys of their own": [write([1, 2], 1), write([3, 4], 2, "y"), read([5, 6], 1), read([5, 6], 2, "y")],
  "compare-and-set, one after the other": [cas([1, 2], [null, 1]), cas([3, 4], [1, 2]), read([5, 6], 2)],
  "of two at once, one compare-and-set wins": [
    write([1, 2], 1),
    cas([3, 6], [1, 2], false),
    cas([4, 5], [1, 3]),
    read([7, 8], 3),
  ],
  "a compare-and-set fails for a write that nobody acknowledged": [
    write([1, 2], 1),
    write([3, null], 2),
    cas([4, 5], [1, 3], false),
  ],
  "a compare-and-set without an answer took effect": [
    cas([1, null], [null, 1]),
    read([2, 3]),
    read([4, 5], 1),
  ],
  "a write that would be wasted early is there for later": [
    read([0, 2], 1),
    cas([1, null], [null, 2]),
    write([1, null], 2),
    write([2, null], 1),
    read([3, 3], 2),
  ],
  "of writes that nobody saw one more is left in another order": [
    write([1, null], 7),
    write([1, null], 8),
    write([1, 5], 1),
    write([1, 6], 2),
    cas([7, 8], [2, 3], false),
    write([9, 10], 2),
    cas([11, 12], [2, 3], false),
    write([13, 14], 2),
    cas([15, 16], [2, 3], false),
  ],
  "a call at the moment of an answer is concurrent with it": [write([1, 2], 1), read([2, 3])],
};

const BAD: Readonly<Record<string, readonly RegisterOperation[]>> = {
  "a stale read": [write([1, 2], 1), write([3, 4], 2), read([5, 6], 1)],
  "a read of nothing after a write": [write([1, 2], 1), read([3, 4])],
  "a value out of thin air": [write([1, 2], 1), read([3, 4], 7)],
  "a read of what is written only later": [read([1, 2], 1), write([3, 4], 1)],
  "a read that goes back behind another one": [write([1, 9], 1), read([2, 3], 1), read([4, 5])],
  "reads that see two writes in both orders": [
    write([1, 20], 1),
    write([1, 20], 2),
    read([2, 3], 1),
    read([4, 5], 2),
    read([6, 7], 1),
  ],
  "a lost update: both saw the same value and both won": [
    write([1, 2], 1),
    cas([3, 6], [1, 2]),
    cas([4, 5], [1, 3]),
  ],
  "an acknowledged write that is lost": [
    write([1, 2], 1),
    write([3, 4], 2),
    read([5, 6], 1),
    read([7, 8], 1),
  ],
  "a write without an answer that takes effect twice": [
    write([1, null], 1),
    read([2, 3], 1),
    write([4, 5], 2),
    read([6, 7], 2),
    read([8, 9], 1),
  ],
  "a write without an answer that takes effect before it was asked for": [
    read([1, 2], 1),
    write([3, null], 1),
  ],
  "a compare-and-set that fails though nothing was in its way": [
    write([1, 2], 1),
    cas([3, 4], [1, 2], false),
    read([5, 6], 1),
  ],
  "only one of two keys is wrong": [
    write([1, 2], 1),
    read([3, 4], 1),
    write([1, 2], 1, "y"),
    read([3, 4], null, "y"),
  ],
};

t.test("checkLinearizable() of registers", async (t) => {
  for (const [name, history] of Object.entries(GOOD)) {
    const verdict = checkLinearizable(history, REGISTER);
    t.equal(verdict.kind, "linearizable", `good: ${name}`);
  }
  for (const [name, history] of Object.entries(BAD)) {
    const verdict = checkLinearizable(history, REGISTER);
    t.equal(verdict.kind, "violation", `bad: ${name}`);
  }
});

t.test("checkLinearizable() of lists", async (t) => {
  const append = (called: number, to: number | null, value: number) =>
    ({
      client: "a",
      input: { kind: "append", key: "x", value },
      called,
      answer: answerOf(to, null),
    }) as const;
  const list = (called: number, ...output: number[]) =>
    ({
      client: "r",
      input: { kind: "read", key: "x" },
      called,
      answer: { time: called + 1, output },
    }) as const;
  const kindOf = (...history: readonly Operation<AppendListInput, AppendListOutput>[]) =>
    checkLinearizable(history, APPEND_LIST).kind;
  t.equal(kindOf(append(1, 2, 1), append(3, 4, 2), list(5, 1, 2)), "linearizable", "in order");
  t.equal(
    kindOf(append(1, 9, 1), append(2, 8, 2), list(10, 2, 1)),
    "linearizable",
    "at once, in the other order",
  );
  t.equal(kindOf(append(1, null, 1), list(2), list(4, 1)), "linearizable", "late, and never acknowledged");
  t.equal(kindOf(append(1, null, 1), list(2, 1), list(4, 1, 1)), "violation", "applied twice");
  t.equal(kindOf(append(1, 2, 1), list(3, 1, 1)), "violation", "applied twice, acknowledged once");
  t.equal(kindOf(append(1, 2, 1), append(3, 4, 2), list(5, 2, 1)), "violation", "out of order");
  t.equal(kindOf(append(1, 2, 1), append(3, 4, 2), list(5, 2)), "violation", "an acknowledged one lost");
});

t.test("checkLinearizable() of several keys at once", async (t) => {
  const set = (
    called: number,
    to: number | null,
    values: Record<string, Value>,
    expected = {},
    output = true,
  ) =>
    ({
      client: "s",
      input: { kind: "update", values, expected },
      called,
      answer: answerOf(to, output),
    }) as const;
  const get = (called: number, values: Record<string, Value>) =>
    ({
      client: "g",
      input: { kind: "read", keys: Object.keys(values) },
      called,
      answer: { time: called + 1, output: Object.values(values) },
    }) as const;
  const kindOf = (...history: readonly Operation<KeyValueInput, KeyValueOutput>[]) =>
    checkLinearizable(history, KEY_VALUE).kind;
  const both = set(1, 9, { x: 1, y: 1 });
  t.equal(kindOf(both, get(2, { x: null }), get(4, { y: 1 })), "linearizable", "between two reads");
  t.equal(kindOf(both, get(2, { x: 1 }), get(4, { y: null })), "violation", "half of an update is seen");
  t.equal(kindOf(both, get(2, { x: 1, y: null })), "violation", "half of an update is seen by one read");
  t.equal(
    kindOf(both, set(2, 3, { z: 1 }), get(4, { z: null, a: null })),
    "violation",
    "the other part is wrong",
  );
  t.equal(
    kindOf(both, set(10, 11, { x: 2 }, { y: 1 }), get(12, { x: 2 })),
    "linearizable",
    "an update whose condition is met",
  );
  t.equal(
    kindOf(both, set(10, 11, { x: 2 }, { y: 1 }, false)),
    "violation",
    "refused though its condition is met",
  );
  t.equal(
    kindOf(set(1, null, { x: 5, y: 5 }), get(2, { x: null }), get(4, { y: 5 }), get(6, { x: 5 })),
    "linearizable",
    "an update without an answer",
  );
});

t.test("a violation tells the shortest beginning that is wrong, and where it is stuck", async (t) => {
  const history = [
    write([1, 2], 1),
    read([3, 4], 1),
    write([5, 14], 2),
    read([6, 7], 2),
    read([8, 9], 1),
    read([10, 11], 2),
    write([12, 13], 3),
  ];
  const verdict = checkLinearizable(history, REGISTER);
  if (verdict.kind !== "violation") {
    t.fail(verdict.kind);
    return;
  }
  t.equal(verdict.part, "x");
  t.strictSame(verdict.prefix, [...history.slice(0, 2), write([5, null], 2), ...history.slice(3, 5)]);
  t.strictSame(verdict.stuck, history[4]);
  t.equal(verdict.explained?.state, 2);
  t.equal(verdict.explained?.order.length, 4);
  const text = describeVerdict(verdict, REGISTER);
  t.match(text, /violation in x: no order explains these 5 operations/);
  t.match(text, /5 \.\. \? {2}w: write x = 2 -> \?/);
  t.match(text, /where no continuation explains\n8 \.\. 9 {2}r: read x -> 1$/);
});

t.test("what the whole history forbids is not blamed on its beginning", async (t) => {
  // Until its answer is known, the compare-and-set may be what wrote the 2.
  const history = [write([1, 2], 1), cas([3, 20], [1, 2], false), read([5, 6], 2), read([7, 8], 2)];
  const verdict = checkLinearizable(history, REGISTER);
  t.strictSame(verdict.kind === "violation" && verdict.prefix, history);
  t.equal(
    checkLinearizable([cas([3, null], [1, 2]), ...history.filter((_, nth) => nth !== 1)], REGISTER).kind,
    "linearizable",
  );
});

t.test("checkLinearizable() gives up after the number of states it was given", async (t) => {
  // Nobody wrote what is read: every order of these has to be tried.
  const writes = Array.from({ length: 12 }, (_, value) => write([1, 100], value));
  const history = [...writes, read([101, 102], 99)];
  t.equal(checkLinearizable(history, REGISTER, { statesMax: 1_000 }).kind, "undecided");
  t.equal(checkLinearizable(history, REGISTER, { statesMax: 100_000 }).kind, "violation");
  const known = [write([1, 2], 1, "a"), read([3, 4], 2, "a")];
  t.equal(
    checkLinearizable([...history, ...known], REGISTER, { statesMax: 1_000 }).kind,
    "violation",
    "a part that is known to be wrong decides",
  );
});

t.test("two thousand operations, many at once, some without an answer, are quickly checked", async (t) => {
  const { history, stale } = longHistory(20, 100);
  const good = checkLinearizable(history, REGISTER);
  t.equal(good.kind, "linearizable");
  t.ok("states" in good && good.states < 4 * history.length, `${history.length} operations`);
  t.equal(checkLinearizable([...history, stale], REGISTER).kind, "violation");
});

t.test("writes that nobody saw are not tried in every order", async (t) => {
  const statesMax = 2_000;
  t.equal(checkLinearizable(unseenWrites(20, 20), REGISTER, { statesMax }).kind, "linearizable");
  // The last failure may be for what is read next. All others need a write that is not read.
  t.equal(checkLinearizable(unseenWrites(20, 19), REGISTER, { statesMax }).kind, "linearizable");
  t.equal(checkLinearizable(unseenWrites(20, 18), REGISTER, { statesMax }).kind, "violation");
});

t.test("HistoryRecorder keeps what was asked, answered, and left open", async (t) => {
  let now = 0;
  const recorder = new HistoryRecorder<RegisterInput, RegisterOutput>(() => ++now);
  const first = recorder.call("w", { kind: "write", key: "x", value: 1 });
  const refused = recorder.call("w", { kind: "write", key: "x", value: 2 });
  recorder.call("w", { kind: "write", key: "x", value: 3 });
  refused.refused();
  first.answered(null);
  t.strictSame(recorder.history, [write([1, 4], 1), write([3, null], 3)]);
});

/**
 * What `clients` would see of a register that works, each with `length` operations one after the other, all of them overlapping
 * others; every tenth write gets no answer, and half of those take no effect. `stale` is a read that does not fit behind it.
 */
function longHistory(
  clients: number,
  length: number,
): { history: RegisterOperation[]; stale: RegisterOperation } {
  const history: RegisterOperation[] = [];
  let value: Value = null;
  let writes = 0;
  for (let round = 0; round < length; round++) {
    for (let client = 0; client < clients; client++) {
      // The effect is at `at`; the calls and answers of a round lie around all of its effects.
      const at = (round * clients + client) * 10;
      const span = [at - client * 9, at + (clients - client) * 9] as const;
      if ((round + client) % 3 > 0) {
        history.push(read(span, value));
        continue;
      }
      const isLost = ++writes % 10 === 0;
      history.push(write(isLost ? [span[0], null] : span, writes));
      if (!isLost || writes % 20 === 0) value = writes;
    }
  }
  const end = length * clients * 10 + clients * 10;
  return { history, stale: read([end, end + 1], 1) };
}

/**
 * So many compare-and-sets fail for what was acknowledged just before, each for another write without an answer, of which there are
 * `unseen` that nobody reads; others, called before them, are read at the end.
 */
function unseenWrites(failures: number, unseen: number): readonly RegisterOperation[] {
  const nths = (count: number) => Array.from({ length: count }, (_, nth) => nth);
  return [
    ...nths(failures).map((nth) => write([1, null], `read ${nth}`)),
    ...nths(unseen).map((nth) => write([2, null], `unseen ${nth}`)),
    ...nths(failures).flatMap((nth) => [
      write([10 * nth + 3, 10 * nth + 4], nth),
      cas([10 * nth + 5, 10 * nth + 6], [nth, "never"], false),
    ]),
    ...nths(failures).map((nth) => {
      const called = 10 * (failures + nth);
      return read([called + 3, called + 4], `read ${nth}`);
    }),
  ];
}

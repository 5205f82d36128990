import { t } from "tap";
import type { KvHistory } from "./client.ts";
import { historyFault } from "./history-fault.ts";
import { failureKindOf } from "./violation.ts";

const written: KvHistory[number] = {
  client: "a",
  input: { kind: "write", key: "k", value: "1" },
  called: 0,
  answer: { time: 1, output: null },
};

function read(value: string | null): KvHistory[number] {
  return { client: "b", input: { kind: "read", key: "k" }, called: 2, answer: { time: 3, output: value } };
}

t.test("historyFault() is null only if an order was found for every history", (t) => {
  t.equal(historyFault([[written, read("1")], [written]]), null);
  const fault = historyFault([[written], [written, read(null)]]);
  t.equal(failureKindOf(fault), "wrong");
  t.end();
});

t.test(
  "historyFault() takes a search that gave up for a fault, and for a lesser one than a wrong answer",
  (t) => {
    const overlapping = { ...written, client: "c", input: { ...written.input, value: "2" } } as const;
    const both = [written, overlapping, read("1")];
    t.equal(historyFault([both]), null);
    const open = historyFault([both], { statesMax: 1 });
    t.equal(failureKindOf(historyFault([both, [written, read(null)]], { statesMax: 1 })), "wrong");
    t.equal(failureKindOf(open), "undecided");
    t.match(open?.message, /^undecided: k after \d+ states$/);
    t.end();
  },
);

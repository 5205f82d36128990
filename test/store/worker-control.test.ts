import { once } from "node:events";
import { Worker } from "node:worker_threads";
import t from "tap";
import { answerBytes } from "../../agent/store/answer-bytes.ts";
import type { StoredObject } from "../../agent/store/objects.ts";
import { WorkerControl } from "../../agent/store/worker-control.ts";

const CONTROL_URL = new URL("../../agent/store/worker-control.js", import.meta.url);

/** A thread that has sent 10 bytes, and tells how many are on their way when it may go on, which is with at most 9. */
function startWaiting(control: WorkerControl): Worker {
  const code = `
    import { parentPort, workerData } from "node:worker_threads";
    const { WorkerControl } = await import(${JSON.stringify(CONTROL_URL.href)});
    const control = new WorkerControl(workerData);
    control.send(10);
    parentPort.postMessage("sent");
    control.waitUntilTaken(9);
    parentPort.postMessage(control.untakenBytes);
  `;
  const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  return new Worker(url, { workerData: control.buffer, execArgv: [] });
}

t.test("a worker goes on once enough of its answers are taken", async (t) => {
  const control = new WorkerControl();
  const worker = startWaiting(control);
  t.same(await once(worker, "message"), ["sent"]);
  control.take(4);
  t.same(await once(worker, "message"), [6]);
  await once(worker, "exit");
});

t.test("a worker that waits for that can be ended", async (t) => {
  const worker = startWaiting(new WorkerControl());
  await once(worker, "message");
  t.equal(await worker.terminate(), 1);
});

t.test("answerBytes() weighs values and bodies", async (t) => {
  const rows = { kind: "rows", columns: ["a", "b"], types: ["", ""] } as const;
  const values = [
    [1, "é"],
    [null, Uint8Array.of(1, 2, 3)],
  ];
  t.equal(
    answerBytes({
      kind: "query",
      results: [
        { ...rows, values },
        { ...rows, values },
      ],
    }),
    42,
  );
  t.equal(answerBytes({ kind: "query", results: [{ kind: "error", code: "sql", message: "no" }] }), 0);

  const key = { kind: "a", namespace: "b", name: "c", uid: "d", revision: 2, createdRevision: 1 };
  const object: StoredObject = { ...key, body: new Uint8Array(100) };
  t.equal(answerBytes({ kind: "get-object", revision: 2, object }), 100);
  t.equal(answerBytes({ kind: "get-object", revision: 2, object: null }), 0);
  const objects = [object, object];
  t.equal(answerBytes({ kind: "list-objects", revision: 2, objects, isComplete: true }), 200);
  const events = [
    { revision: 2, type: "put", object },
    { revision: 3, type: "delete", object: key },
  ] as const;
  const history = { revision: 3, compactedRevision: 0, events, isComplete: true };
  t.equal(answerBytes({ kind: "object-history", ...history }), 100);
});

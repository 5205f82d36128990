import { once } from "node:events";
import { Worker } from "node:worker_threads";
import t from "tap";
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

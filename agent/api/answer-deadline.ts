import type { Clock } from "../platform/clock.ts";
import { TrivetError } from "../platform/trivet-error.ts";

/** How much later than its deadline a request is given up here, if the service below did not answer. */
const GRACE_MS = 1_000;

/** Settles like `answer`. The service has the same deadline and answers better; this is for the day it does not. */
export function withDeadline<T>(clock: Clock, timeoutMs: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(timeoutMs + GRACE_MS, () =>
      reject(
        new TrivetError("timeout", `No answer within ${timeoutMs} ms: it may or may not have happened.`),
      ),
    );
    answer.then(resolve, reject).finally(() => timer.cancel());
  });
}

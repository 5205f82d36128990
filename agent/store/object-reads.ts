import { invariant } from "../platform/invariant.ts";
import type { ObjectReads } from "./objects.ts";
import type { Answer, Question } from "./worker-protocol.ts";

/** The reads of objects by questions to the worker. */
export function createObjectReads(
  ask: (question: Question, timeoutMs: number) => Promise<Answer>,
): ObjectReads {
  return {
    async get(key, { timeoutMs }) {
      const { kind, namespace, name } = key;
      const answer = await ask({ kind: "get-object", key: { kind, namespace, name } }, timeoutMs);
      invariant(answer.kind === "get-object", "answered as asked");
      return answer;
    },
    async list({ kind, namespace = null, after = null, limit, timeoutMs }) {
      const answer = await ask({ kind: "list-objects", range: { kind, namespace, after }, limit }, timeoutMs);
      invariant(answer.kind === "list-objects", "answered as asked");
      return answer;
    },
    async history(afterRevision, { limit, bytesMax, timeoutMs }) {
      const limits = { limit, bytesMax };
      const answer = await ask({ kind: "object-history", afterRevision, limits }, timeoutMs);
      invariant(answer.kind === "object-history", "answered as asked");
      return answer;
    },
  };
}

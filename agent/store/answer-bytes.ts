import { bodyBytesOf } from "./objects.ts";
import { valueBytes } from "./value-size.ts";
import type { Answer } from "./worker-protocol.ts";

/** What an answer weighs on its way: values and bodies, as the limits of results count them. */
export function answerBytes(answer: Answer): number {
  switch (answer.kind) {
    case "query":
      return sum(answer.results, (result) =>
        result.kind === "rows" ? sum(result.values, (row) => sum(row, valueBytes)) : 0,
      );
    case "get-object":
      return answer.object?.body.byteLength ?? 0;
    case "list-objects":
      return sum(answer.objects, ({ body }) => body.byteLength);
    case "object-history":
      return sum(answer.events, bodyBytesOf);
    case "rehearse":
      return 0;
  }
}

function sum<Part>(parts: readonly Part[], bytesOf: (part: Part) => number): number {
  let bytes = 0;
  for (const part of parts) bytes += bytesOf(part);
  return bytes;
}

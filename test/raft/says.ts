import type { Test } from "tap";
import type { Conversation } from "./conversation.ts";

/**
 * What was said since the last time (with `only`: to, by and in that member) is exactly `expected`, a text that is
 * indented as the code around it is.
 */
export function says(t: Test, conversation: Conversation, expected: string, only?: string): void {
  const lines = expected.split("\n").slice(1, -1);
  const indent = Math.min(...lines.map((line) => line.length - line.trimStart().length));
  const actual = conversation.takeTranscript(only);
  t.equal(actual, lines.map((line) => line.slice(indent)).join("\n"));
}

import type { Test } from "tap";
import type { Conversation } from "./conversation.ts";

/**
 * Lets a test say what is said: each call expects everything since the one before, as a text that is indented like the
 * code around it.
 */
export function listen(t: Test, conversation: Conversation): (expected: string) => void {
  return (expected) => {
    const lines = expected.split("\n").slice(1, -1);
    const indent = Math.min(...lines.map((line) => line.length - line.trimStart().length));
    const actual = conversation.takeTranscript();
    t.equal(actual, lines.map((line) => line.slice(indent)).join("\n"));
  };
}

import type { Test } from "tap";
import type { Conversation } from "./conversation.ts";

/** Each call expects everything since the one before, as a text that is indented like the code around it. */
export interface Says {
  (expected: string): void;
  /** How it began; the rest is told by another test. */
  first(expected: string): void;
  /** How it ended, likewise. */
  last(expected: string): void;
}

/** Lets a test say what is said. */
export function listen(t: Test, conversation: Conversation): Says {
  const expectThat = (expected: string, choose: (said: string[], count: number) => readonly string[]) => {
    const lines = expected.split("\n").slice(1, -1);
    const indent = Math.min(...lines.map((line) => line.length - line.trimStart().length));
    const said = conversation.takeTranscript().split("\n");
    t.equal(choose(said, lines.length).join("\n"), lines.map((line) => line.slice(indent)).join("\n"));
  };
  return Object.assign((expected: string) => expectThat(expected, (said) => said), {
    first: (expected: string) => expectThat(expected, (said, count) => said.slice(0, Math.max(1, count))),
    last: (expected: string) => expectThat(expected, (said, count) => said.slice(-Math.max(1, count))),
  });
}

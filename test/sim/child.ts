import { runSeed, type SeedResult } from "./run-seed.ts";

/**
 * A process that runs seeds, one after the other, as its parent names them. The code that it loads may be rewritten
 * (`rewrite-sources.ts`), which is why it is a process of its own.
 */
export type ChildRequest = { readonly seed: number; readonly withLog: boolean };

export interface ChildReply {
  readonly result: SeedResult;
  /** Of all seeds so far in this process. */
  readonly marks: readonly string[];
}

const marks = new Set<string>();
Object.assign(globalThis, { simulatorMark: (name: string) => marks.add(name) });

process.on("message", async ({ seed, withLog }: ChildRequest) => {
  const result = await runSeed(seed, withLog ? (line) => process.stdout.write(`${line}\n`) : null);
  const reply: ChildReply = { result, marks: [...marks] };
  process.send?.(reply);
});

import { messageOf } from "../platform/trivet-error.ts";
import { readCheckedPosition } from "./database-check.ts";
import { SqliteError } from "./sqlite-error.ts";
import type { SqliteWasm } from "./sqlite-wasm.ts";
import type { LogPosition } from "./types.ts";

/** For a worker that only looks at database files which nobody has open, and ends. */
export interface CheckOptions {
  readonly kind: "check";
  readonly paths: readonly string[];
}

/** The first problem that was found; or the position of all files. */
export type CheckAnswer =
  | { readonly kind: "sound"; readonly position: LogPosition }
  | { readonly kind: "unsound"; readonly problem: string };

/** Runs in the worker: it takes as long as reading all of the files does. */
export function checkFiles(wasm: SqliteWasm, { paths }: CheckOptions): CheckAnswer {
  let common: LogPosition | undefined;
  for (const path of paths) {
    try {
      const position = readCheckedPosition(wasm, path);
      if (position === null) return { kind: "unsound", problem: `${path} is not a database of Trivet's` };
      common ??= position;
      if (position.index !== common.index) {
        return { kind: "unsound", problem: `${path} stands at entry ${position.index}, not ${common.index}` };
      }
    } catch (error) {
      if (!(error instanceof SqliteError)) throw error;
      return { kind: "unsound", problem: `${path}: ${messageOf(error)}` };
    }
  }
  return common === undefined
    ? { kind: "unsound", problem: "there are no files" }
    : { kind: "sound", position: common };
}

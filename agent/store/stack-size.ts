import { invariant } from "../platform/invariant.ts";

/** Enough for every depth that SQLite itself permits (expressions, views, triggers), several times over. */
const STACK_BYTES = 4 * 1024 * 1024;
/** C wants its stack aligned. */
const STACK_ALIGNMENT = 16;

/**
 * Gives the module a larger C stack.
 *
 * The build has 64 KiB without a guard: a few hundred nested calls in one statement (`abs(abs(...` or a view on a
 * view on a view) run off its end into SQLite's own data. On every node alike, so that no replica would be left.
 * The stack is a place in memory like any other, so it is moved while nothing is on it.
 *
 * `exports` are those of the module's instance, with names that emscripten made short; they are checked first.
 */
export function enlargeStack(
  exports: Readonly<Record<string, unknown>>,
  malloc: (size: number) => number,
): void {
  const setPointer = requireFunction(exports, "ua");
  const allocate = requireFunction(exports, "va");
  const getPointer = requireFunction(exports, "wa");
  const before = getPointer();
  const isStack =
    typeof before === "number" &&
    allocate(STACK_ALIGNMENT) === before - STACK_ALIGNMENT &&
    getPointer() === before - STACK_ALIGNMENT;
  invariant(isStack, "the stack functions of node-sqlite3-wasm have other names in this build");
  setPointer(before);
  const block = malloc(STACK_BYTES);
  invariant(block > 0, "no memory for SQLite's stack");
  const top = (block + STACK_BYTES) & -STACK_ALIGNMENT;
  setPointer(top);
  invariant(getPointer() === top, "SQLite's stack did not move");
}

function requireFunction(
  exports: Readonly<Record<string, unknown>>,
  name: string,
): (value?: number) => unknown {
  const value = exports[name];
  invariant(typeof value === "function", `node-sqlite3-wasm does not export ${name}`);
  return (...parameters) => Reflect.apply(value, undefined, parameters);
}

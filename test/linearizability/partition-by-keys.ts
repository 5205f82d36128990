import type { History, Operation } from "./history.ts";

/**
 * The parts of a history that share no key, each named by its keys. Keys that one operation touches together belong to one part, and
 * so does all else that touches one of them.
 */
export function partitionByKeys<Input, Output>(
  history: History<Input, Output>,
  keysOf: (input: Input) => readonly string[],
): ReadonlyMap<string, History<Input, Output>> {
  /** A forest: keys of one tree belong together. */
  const parents = new Map<string, string | null>();
  const rootOf = (key: string): string => {
    let root = key;
    for (let parent = parents.get(root) ?? null; parent !== null; parent = parents.get(root) ?? null)
      root = parent;
    return root;
  };
  for (const { input } of history) {
    const [first, ...others] = keysOf(input);
    if (first === undefined) throw new RangeError("An operation touches no key");
    parents.set(first, parents.get(first) ?? null);
    for (const key of others) {
      const [from, to] = [rootOf(key), rootOf(first)];
      parents.set(from, from === to ? null : to);
    }
  }
  const parts = new Map<
    string,
    { readonly keys: string[]; readonly operations: Operation<Input, Output>[] }
  >();
  for (const key of [...parents.keys()].sort()) {
    const root = rootOf(key);
    const part = parts.get(root) ?? { keys: [], operations: [] };
    parts.set(root, part);
    part.keys.push(key);
  }
  for (const operation of history)
    parts.get(rootOf(keysOf(operation.input)[0] ?? ""))?.operations.push(operation);
  return new Map([...parts.values()].map(({ keys, operations }) => [keys.join(" "), operations]));
}

import type { Edit } from "./mutation.ts";

/** A rare path, as it is tagged in the agent's code: a comment on a line of its own, where a statement may stand. */
const MARK = /^([ \t]*)\/\/ mark: (.+)$/gm;

/** The names of the marks in a source text. */
export function marksIn(text: string): readonly string[] {
  return [...text.matchAll(MARK)].map(([, , name]) => (name ?? "").trim());
}

/** Makes calls of the marks, on the same lines, and plants a bug. */
export function rewriteSource(text: string, edits: readonly Edit[]): string {
  const planted = edits.reduce(plant, text);
  return planted.replace(MARK, (_, indent: string, name: string) => {
    return `${indent}globalThis.simulatorMark(${JSON.stringify(name.trim())});`;
  });
}

function plant(text: string, { file, find, replace }: Edit): string {
  const words = find.split(/\s+/).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const [before, after, ...more] = text.split(new RegExp(words.join("\\s+")));
  if (before === undefined || after === undefined || more.length > 0) {
    const count = after === undefined ? 0 : more.length + 1;
    throw new Error(`A mutation finds its place ${count} times in ${file}, mend it: ${find}`);
  }
  return `${before}${replace}${after}`;
}

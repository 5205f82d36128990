import type { InitializeHook, LoadHook } from "node:module";
import { posix } from "node:path";
import { type Edit, editsOf } from "./mutation.ts";
import { findMutation } from "./mutations.ts";
import { rewriteSource } from "./rewrite-source.ts";

let edits: readonly Edit[] = [];

export const initialize: InitializeHook<{ readonly mutation: string | null }> = (data) => {
  edits = data.mutation === null ? [] : editsOf(findMutation(data.mutation));
};

/** Only the agent's own code, as the compiler left it in `.build/agent/`, and what stands in for its databases. */
export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context);
  const [, path] = /\/\.build\/(agent\/.+|test\/sim\/model-.+)\.js$/.exec(url) ?? [];
  if (path === undefined || loaded.source === undefined || loaded.source === null) return loaded;
  const text = typeof loaded.source === "string" ? loaded.source : new TextDecoder().decode(loaded.source);
  const own = edits.filter(({ file }) => posix.join("agent", file) === `${path}.ts`);
  return { ...loaded, source: rewriteSource(text, own) };
};

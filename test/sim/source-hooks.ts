import type { InitializeHook, LoadHook } from "node:module";
import type { Mutation } from "./mutation.ts";
import { findMutation } from "./mutations.ts";
import { rewriteSource } from "./rewrite-source.ts";

let mutation: Mutation | null = null;

export const initialize: InitializeHook<{ readonly mutation: string | null }> = (data) => {
  mutation = data.mutation === null ? null : findMutation(data.mutation);
};

/** Only the agent's own code, as the compiler left it in `.build/agent/`. */
export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context);
  const [, path] = /\/\.build\/(agent\/.+)\.js$/.exec(url) ?? [];
  if (path === undefined || loaded.source === undefined || loaded.source === null) return loaded;
  const text = typeof loaded.source === "string" ? loaded.source : new TextDecoder().decode(loaded.source);
  const own = mutation !== null && `agent/${mutation.file}` === `${path}.ts` ? mutation : null;
  return { ...loaded, source: rewriteSource(text, own) };
};

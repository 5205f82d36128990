import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../agent/cli/main.js", import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `trivet` as a process of its own, with `input` on standard input, until it ends. */
export async function runTrivet(
  args: readonly string[],
  options: { readonly input?: string; readonly env?: NodeJS.ProcessEnv; readonly readsOutput?: boolean } = {},
): Promise<Outcome> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("TRIVET_")));
  const child = spawn(process.execPath, [MAIN, ...args], { env: { ...env, ...options.env } });
  if (options.readsOutput === false) child.stdout.destroy();
  child.stdin.end(options.input ?? "");
  const [[code], stdout, stderr] = await Promise.all([
    once(child, "close") as Promise<[number | null]>,
    options.readsOutput === false ? "" : text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr };
}

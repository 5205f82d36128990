import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { BUNDLE } from "./agent-process.ts";

const DEADLINE_MS = 20_000;

/** Runs `trivet` to its end, which must come by itself, with `input` on its standard input. */
export async function runTrivet(
  args: readonly string[],
  options: { readonly uid?: number; readonly bundle?: string; readonly input?: string } = {},
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const { bundle = BUNDLE, input = "", ...spawnOptions } = options;
  const child = spawn(process.execPath, [bundle, ...args], {
    ...spawnOptions,
    stdio: "pipe",
    timeout: DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  child.stdin.end(input);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { code: child.exitCode, stdout, stderr };
}

import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { BUNDLE } from "./agent-process.ts";

const DEADLINE_MS = 20_000;

/** Runs `trivet` to its end, which must come by itself. */
export async function runTrivet(
  args: readonly string[],
  options: { readonly uid?: number; readonly bundle?: string } = {},
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const { bundle = BUNDLE, ...spawnOptions } = options;
  const child = spawn(process.execPath, [bundle, ...args], {
    ...spawnOptions,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { code: child.exitCode, stdout, stderr };
}

import { execFile } from "node:child_process";
import { join } from "node:path";

export interface SimulatorEnd {
  readonly code: number;
  readonly lines: readonly string[];
}

/** `npm run sim -- ...args`, without the compiling. */
export function runSimulator(...args: readonly string[]): Promise<SimulatorEnd> {
  return new Promise((resolve) => {
    const script = join(import.meta.dirname, "main.js");
    execFile(process.execPath, [script, ...args], { maxBuffer: 2 ** 28 }, (error, stdout, stderr) => {
      const code = typeof error?.code === "number" ? error.code : error === null ? 0 : 1;
      resolve({ code, lines: `${stdout}${stderr}`.trimEnd().split("\n") });
    });
  });
}

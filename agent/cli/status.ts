import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../platform/trivet-error.ts";
import { API_FLAG, apisOf } from "./api-flags.ts";
import type { Command } from "./command.ts";
import { EXIT_CODE } from "./exit-code.ts";
import { formatStatus } from "./format-status.ts";
import { LiveScreen } from "./live-screen.ts";
import { parseStatus } from "./parse-status.ts";
import { requestApi } from "./request-api.ts";

/** The whole command must answer within a second, also if the first of several agents hangs. */
const ANSWER_TIMEOUT_MS = 800;
const WATCH_EVERY_MS = 1_000;

export const statusCommand: Command = {
  name: "status",
  summary: "show how an agent sees its cluster, with or without a leader",
  operands: "",
  operandsMax: 0,
  flags: [
    API_FLAG,
    { name: "json", doc: "print the agent's answer as it is" },
    { name: "watch", doc: "again every second, until Ctrl-C" },
  ],
  examples: [
    { line: "trivet status", does: "the agent on this machine" },
    { line: "trivet status --json | jq .cluster.failuresTolerated", does: "for scripts" },
  ],
  async run(given, { stdout, env }) {
    const apis = apisOf(given, env);
    const isJson = given.has("json");
    if (!given.has("watch")) {
      stdout.write(`${(await show()).join("\n")}\n`);
      return EXIT_CODE.done;
    }
    process.once("SIGINT", () => process.exit(EXIT_CODE.done));
    const screen = new LiveScreen(stdout, { isLive: stdout.isTTY && !isJson });
    for (;;) {
      screen.show(await show().catch((error: unknown) => [messageOf(error)]));
      await delay(WATCH_EVERY_MS);
    }

    async function show(): Promise<string[]> {
      const { api, text } = await firstStatus(apis);
      const status = parseStatus(api, text);
      return isJson ? [text.trimEnd()] : formatStatus(status);
    }
  },
};

/** The answer of the first API in the list that answers; all are asked at once. */
async function firstStatus(
  apis: readonly string[],
): Promise<{ readonly api: string; readonly text: string }> {
  const answers = apis.map((api) => {
    return requestApi([api], { path: "/status", timeoutMs: ANSWER_TIMEOUT_MS, repetition: "harmless" });
  });
  const settled = await Promise.allSettled(answers);
  const found = settled.find((result) => result.status === "fulfilled");
  if (found?.status === "fulfilled") return found.value;
  const reasons = settled.flatMap((result) =>
    result.status === "rejected" ? [messageOf(result.reason)] : [],
  );
  throw new Error(reasons.join("\n"));
}

import { fstatSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { loadSettings } from "../config/load-settings.ts";
import { SETTINGS, SETTINGS_NOT_YET, type Setting } from "../config/settings.ts";
import { createLineLogger } from "../platform/logger.ts";
import type { Command, CommandIo } from "./command.ts";
import { EXIT_CODE } from "./exit-code.ts";
import type { FlagSpec } from "./parse-arguments.ts";

const LIST: readonly string[] = Object.values(SETTINGS)
  .filter(({ kind }) => kind.isList)
  .map(({ name }) => name);

/** `trivet agent`: one node, in the foreground, until a signal ends it. */
export const agentCommand: Command = {
  name: "agent",
  summary: "run this box's agent",
  operands: "",
  operandsMax: 0,
  flags: [
    { name: "config", placeholder: "FILE", doc: "YAML file with any of the settings below, by these names" },
    ...Object.values(SETTINGS).map(flagOf),
    ...SETTINGS_NOT_YET.map(({ name, why }) => ({ name, placeholder: "FILE", doc: `not yet: ${why}` })),
  ],
  examples: [
    { line: "trivet agent --data /var/lib/trivet --name shop-1", does: "a cluster of one" },
    {
      line: "trivet agent --data /tmp/b --http 127.0.0.1:4002 --mqtt 127.0.0.1:1884 --peer mqtt://127.0.0.1:1883 --bootstrap-expect 2",
      does: "a second node on the same machine, where both are started with --bootstrap-expect 2",
    },
    { line: "TRIVET_DATA=/srv/trivet trivet agent", does: "every flag is a variable, too; flags win" },
  ],
  async run(given, io) {
    const names = [
      "config",
      ...Object.values(SETTINGS).map(({ name }) => name),
      ...SETTINGS_NOT_YET.map(({ name }) => name),
    ];
    const settings = loadSettings({
      flags: Object.fromEntries(names.filter(given.has).map((name) => [name, flagValue(name)])),
      env: io.env,
      readFile: (path) => readFileSync(path, "utf8"),
      machine: { hostname: hostname() },
    });
    // A log that nobody takes (a closed pipe, a full disk) is not worth the service: its lines are dropped.
    io.stderr.on("error", () => undefined);
    const logger = createLineLogger({
      level: settings.logLevel,
      journal: isJournal(io.env),
      write: (line) => io.stderr.write(`${line}\n`),
    });
    // Loaded here, since no other command needs a broker and a database to start.
    const { runAgent } = await import("./run-agent.ts");
    await runAgent({ settings, logger, signal: stopSignal() });
    return EXIT_CODE.done;

    function flagValue(name: string): string | readonly string[] | undefined {
      return LIST.includes(name) ? given.list(name) : given.text(name);
    }
  },
};

function flagOf(setting: Setting<unknown>): FlagSpec {
  const { name, kind, doc } = setting;
  const shown = formatDefault(setting.defaultOf({ hostname: "" }));
  const suffix = name === "name" || shown === "" ? "" : ` (default ${shown})`;
  return { name, placeholder: kind.placeholder, isList: kind.isList, doc: `${doc}${suffix}` };
}

function formatDefault(value: unknown): string {
  if (Array.isArray(value)) return value.join(",");
  if (typeof value === "object" && value !== null) return Object.values(value).join(":");
  return String(value ?? "off");
}

/** True if stderr is the journal, which then understands priorities (systemd.exec(5), $JOURNAL_STREAM). */
function isJournal(env: CommandIo["env"]): boolean {
  const { dev, ino } = fstatSync(2);
  return env["JOURNAL_STREAM"] === `${dev}:${ino}`;
}

/**
 * Aborted by the first SIGTERM, SIGINT or SIGHUP, and when the parent that holds our IPC channel is gone
 * (`trivet dev`). The second signal ends the process at once.
 */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (reason: string): void => {
    if (controller.signal.aborted) process.exit(EXIT_CODE.failed);
    controller.abort(reason);
  };
  for (const name of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(name, () => stop(name));
  if (process.connected) process.once("disconnect", () => controller.abort("the parent is gone"));
  return controller.signal;
}

#!/usr/bin/env node
import { didYouMean } from "../config/did-you-mean.ts";
import { messageOf } from "../platform/trivet-error.ts";
import { agentCommand } from "./agent.ts";
import type { Command } from "./command.ts";
import { devCommand } from "./dev.ts";
import { EXIT_CODE, exitCodeOf } from "./exit-code.ts";
import { commandHelpText, helpText } from "./help-text.ts";
import { parseArguments } from "./parse-arguments.ts";
import { sqlCommand } from "./sql.ts";
import { statusCommand } from "./status.ts";
import { UsageError } from "./usage-error.ts";
import { VERSION } from "./version.ts";

const COMMANDS: readonly Command[] = [
  agentCommand,
  devCommand,
  statusCommand,
  sqlCommand,
  {
    name: "version",
    summary: "print the version",
    operands: "",
    operandsMax: 0,
    flags: [],
    examples: [],
    run: async (_given, { stdout }) => {
      stdout.write(`trivet ${VERSION}\n`);
      return EXIT_CODE.done;
    },
  },
];

/** `trivet --version` and the like, as people expect them. */
const ALIASES: Readonly<Record<string, string>> = {
  "--version": "version",
  "-v": "version",
  "-V": "version",
  "--help": "help",
  "-h": "help",
};

async function runCommandLine(argv: readonly string[]): Promise<number> {
  const [first, ...rest] = argv;
  if (first === undefined) {
    process.stderr.write(helpText(COMMANDS));
    return EXIT_CODE.wrongUsage;
  }
  const name = ALIASES[first] ?? first;
  if (name === "help" && rest[0] === undefined) {
    process.stdout.write(helpText(COMMANDS));
    return EXIT_CODE.done;
  }
  if (name === "help") return runCommandLine([...rest.slice(0, 1), "--help"]);

  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command === undefined) {
    const names = COMMANDS.map((candidate) => candidate.name);
    const hint = didYouMean(name, [...names, "help"]) || `; there are ${names.join(", ")} and help`;
    throw new UsageError(`there is no command ${JSON.stringify(name)}${hint}`);
  }
  const given = parseArguments(command, rest);
  if (given.has("help")) {
    process.stdout.write(commandHelpText(command));
    return EXIT_CODE.done;
  }
  return command.run(given, process);
}

/** `trivet ... | head` closes the pipe early: that is no failure, and nothing is left to say. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? EXIT_CODE.done : EXIT_CODE.failed);
});

runCommandLine(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    const lines = messageOf(error).split("\n");
    process.stderr.write(lines.map((line) => `trivet: ${line}\n`).join(""));
    if (error instanceof UsageError) process.stderr.write("trivet: try trivet help\n");
    process.exit(exitCodeOf(error));
  },
);

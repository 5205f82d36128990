import { createInterface } from "node:readline";
import { messageOf } from "../platform/trivet-error.ts";
import { API_FLAG, apisOf } from "./api-flags.ts";
import type { Command, CommandIo } from "./command.ts";
import { EXIT_CODE } from "./exit-code.ts";
import { formatResult } from "./format-result.ts";
import { SqlClient } from "./sql-client.ts";
import { type SqlRequest, SqlScript } from "./sql-script.ts";
import { isBlankSql, splitStatements } from "./sql-text.ts";
import { UsageError } from "./usage-error.ts";

const LEVELS: readonly string[] = ["none", "weak", "linearizable", "strong"];
const TIMEOUT_SECONDS = 10;
const PROMPT = "trivet> ";
const PROMPT_MORE = "   ...> ";

export const sqlCommand: Command = {
  name: "sql",
  summary: "run SQL on the cluster, from the command line, standard input or a prompt",
  operands: "[STATEMENT]",
  operandsMax: 1,
  flags: [
    API_FLAG,
    { name: "json", doc: "print the API's answer to each statement instead of a table" },
    { name: "level", placeholder: LEVELS.join("|"), doc: "how fresh reads are (default linearizable)" },
    {
      name: "timeout",
      placeholder: "SECONDS",
      doc: `deadline of each statement (default ${TIMEOUT_SECONDS})`,
    },
  ],
  examples: [
    { line: 'trivet sql "SELECT * FROM sale ORDER BY id DESC LIMIT 5"', does: "one statement" },
    { line: "trivet sql < schema.sql", does: "many, each ended by a semicolon; the first error ends it" },
    { line: "sqlite3 old.db .dump | trivet sql", does: "BEGIN to COMMIT as one request, all or nothing" },
    { line: "trivet sql", does: "a prompt, on a terminal" },
  ],
  async run(given, io) {
    const client = new SqlClient({
      apis: apisOf(given, io.env),
      level: levelOf(given.text("level")),
      timeoutMs: timeoutOf(given.text("timeout")),
    });
    const run = (request: SqlRequest): Promise<void> => runAndPrint(request, client, given.has("json"), io);

    const [operand] = given.operands;
    if (operand === undefined && io.stdin.isTTY) return runPrompt(run, io);
    const script = new SqlScript((note) => io.stderr.write(`${note}\n`));
    const runNext = async (sql: string): Promise<void> => {
      const request = script.take(sql);
      if (request !== null) await run(request);
    };
    if (operand === undefined) await runInput(runNext, io);
    else await runOperand(runNext, operand);
    script.end();
    return EXIT_CODE.done;
  },
};

type RunStatement = (sql: string) => Promise<void>;

async function runAndPrint(
  request: SqlRequest,
  client: SqlClient,
  isJson: boolean,
  { stdout }: CommandIo,
): Promise<void> {
  const { answers, text } = await client.run(request);
  const lines = isJson ? [text.trimEnd()] : answers.flatMap(formatResult);
  stdout.write(`${lines.join("\n")}\n`);
}

async function runOperand(run: RunStatement, operand: string): Promise<void> {
  const { statements, rest } = splitStatements(operand);
  for (const sql of [...statements, rest].filter((text) => !isBlankSql(text))) await run(sql);
}

/** Statements from a pipe or a file, one by one, so that a script of any length passes through. */
async function runInput(run: RunStatement, io: CommandIo): Promise<void> {
  let pending = "";
  for await (const line of createInterface({ input: io.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    pending += `${line}\n`;
    if (!line.includes(";")) continue;
    const { statements, rest } = splitStatements(pending);
    pending = rest;
    for (const sql of statements) await run(sql);
  }
  if (!isBlankSql(pending)) await run(pending.trim());
}

/** Statements typed by a person: an error is shown, and the next one may be typed. Ctrl-D or .quit ends it. */
async function runPrompt(run: (request: SqlRequest) => Promise<void>, io: CommandIo): Promise<number> {
  const terminal = createInterface({ input: io.stdin, output: io.stdout, prompt: PROMPT, historySize: 1000 });
  let pending = "";
  terminal.on("SIGINT", () => {
    if (pending === "" && terminal.line === "") return terminal.close();
    pending = "";
    io.stdout.write("\n");
    terminal.setPrompt(PROMPT);
    // Forget what stands on the line: Ctrl-U.
    terminal.write(null, { ctrl: true, name: "u" });
    return terminal.prompt();
  });
  terminal.prompt();
  for await (const line of terminal) {
    if (pending === "" && /^\s*\.(?:quit|exit)\s*$/.test(line)) break;
    const { statements, rest } = splitStatements(`${pending}${line}\n`);
    pending = isBlankSql(rest) ? "" : rest;
    for (const sql of statements)
      await run({ statements: [sql], isTransaction: false }).catch((error: unknown) =>
        io.stderr.write(`${messageOf(error)}\n`),
      );
    terminal.setPrompt(pending === "" ? PROMPT : PROMPT_MORE);
    terminal.prompt();
  }
  terminal.close();
  return EXIT_CODE.done;
}

function levelOf(text: string | undefined): string | undefined {
  if (text === undefined || LEVELS.includes(text)) return text;
  throw new UsageError(`--level: found ${JSON.stringify(text)}, but it must be one of ${LEVELS.join(", ")}`);
}

function timeoutOf(text: string | undefined): number {
  const seconds = text === undefined ? TIMEOUT_SECONDS : Number(text);
  if (seconds >= 0.001 && seconds <= 600) return Math.ceil(seconds * 1000);
  throw new UsageError(`--timeout: found ${JSON.stringify(text)}, but it must be seconds from 0.001 to 600`);
}

import type { Command } from "./command.ts";
import { VERSION } from "./version.ts";

const WIDTH = 100;

/** What `trivet help` prints. */
export function helpText(commands: readonly Command[]): string {
  const list = commands.map(({ name, summary }) => [name, summary] as const);
  return [
    `trivet ${VERSION}: a highly available SQLite database on a handful of small boxes`,
    "",
    "usage: trivet COMMAND [FLAGS]",
    "",
    ...columns([...list, ["help", "show this, or help COMMAND"]]),
    "",
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration.",
    "",
  ].join("\n");
}

/** What `trivet COMMAND --help` prints. */
export function commandHelpText(command: Command): string {
  const flags = command.flags.map(({ name, placeholder, doc }) => {
    return [`--${name}${placeholder === undefined ? "" : ` ${placeholder}`}`, doc] as const;
  });
  const usage = ["trivet", command.name, flags.length > 0 ? "[FLAGS]" : "", command.operands];
  return [
    `usage: ${usage.filter((part) => part !== "").join(" ")}`,
    "",
    `${command.summary}.`,
    "",
    ...columns(flags),
    ...(flags.length > 0 ? [""] : []),
    ...command.examples.flatMap(({ line, does }) => [`  ${line}`, `      ${does}`]),
    "",
  ].join("\n");
}

/** Two columns; what is too long for the first gets a line of its own, the second is wrapped. */
function columns(rows: readonly (readonly [string, string])[]): string[] {
  const left = Math.min(32, Math.max(0, ...rows.map(([term]) => term.length))) + 2;
  return rows.flatMap(([term, text]) => {
    const lines = wrap(text, WIDTH - left - 2);
    const isLong = term.length > left - 2;
    const first = isLong ? [`  ${term}`] : [];
    return [
      ...first,
      ...lines.map((line, index) => `  ${(index === 0 && !isLong ? term : "").padEnd(left)}${line}`),
    ];
  });
}

function wrap(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1) ?? "";
    if (last === "") lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

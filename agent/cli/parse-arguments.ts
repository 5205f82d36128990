import { parseArgs } from "node:util";
import { didYouMean } from "../config/did-you-mean.ts";
import { UsageError } from "./usage-error.ts";

export interface FlagSpec {
  /** Without the dashes. */
  readonly name: string;
  /** What stands for the value in the help; absent for a switch. */
  readonly placeholder?: string;
  /** May be given several times. */
  readonly isList?: boolean;
  readonly doc: string;
}

/** A command line that fits its command. */
export interface ParsedArguments {
  /** True if the switch was given. */
  has(name: string): boolean;
  /** The last value given. */
  text(name: string): string | undefined;
  /** All values given, in order. */
  list(name: string): readonly string[];
  readonly operands: readonly string[];
}

const HELP: FlagSpec = { name: "help", doc: "show this" };

/** Reads what follows the command's name. Throws a `UsageError` that names what is wrong and what is near it. */
export function parseArguments(
  command: { readonly name: string; readonly flags: readonly FlagSpec[]; readonly operandsMax: number },
  argv: readonly string[],
): ParsedArguments {
  const specs = new Map([...command.flags, HELP].map((spec) => [spec.name, spec]));
  const { tokens } = parseArgs({
    args: [...argv],
    options: Object.fromEntries([...specs.values()].map((spec) => [spec.name, optionOf(spec)])),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });

  const values = new Map<string, string[]>();
  const operands: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") operands.push(token.value);
    if (token.kind !== "option") continue;
    const spec = specs.get(token.name);
    if (spec === undefined) {
      const hint = didYouMean(
        `--${token.name}`,
        [...specs.keys()].map((name) => `--${name}`),
      );
      throw new UsageError(`trivet ${command.name} has no flag ${token.rawName}${hint}`);
    }
    values.set(spec.name, [...(values.get(spec.name) ?? []), flagValue(spec, token)]);
  }
  if (operands.length > command.operandsMax && !values.has("help")) {
    const extra = operands[command.operandsMax];
    throw new UsageError(`trivet ${command.name} does not know what to do with ${JSON.stringify(extra)}`);
  }
  return {
    has: (name) => values.has(name),
    text: (name) => values.get(name)?.at(-1),
    list: (name) => values.get(name) ?? [],
    operands,
  };
}

function optionOf(spec: FlagSpec): { type: "string" | "boolean"; multiple: boolean; short?: string } {
  const type = spec.placeholder === undefined ? "boolean" : "string";
  return { type, multiple: true, ...(spec === HELP ? { short: "h" } : {}) };
}

/** A switch has the value "". */
function flagValue(
  spec: FlagSpec,
  token: {
    readonly rawName: string;
    readonly value: string | undefined;
    readonly inlineValue: boolean | undefined;
  },
): string {
  if (spec.placeholder === undefined) {
    if (token.value !== undefined) throw new UsageError(`${token.rawName} takes no value`);
    return "";
  }
  if (token.value === undefined) throw new UsageError(`${token.rawName} needs a value: ${spec.placeholder}`);
  // `--data --http ...` forgot the value; who means it writes `--data=--http`.
  if (!token.inlineValue && /^-./.test(token.value)) {
    throw new UsageError(
      `${token.rawName} needs a value, found ${token.value} (or write ${token.rawName}=${token.value})`,
    );
  }
  return token.value;
}

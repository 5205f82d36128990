import { parseDocument } from "yaml";
import type { ConfigProblem } from "./config-error.ts";

const FILE_LENGTH_MAX = 256 * 1024;

/** Reads a YAML mapping of setting names to values; adds to `problems` whatever is wrong with the file itself. */
export function readSettingsFile(
  path: string,
  readFile: (path: string) => string,
  problems: ConfigProblem[],
): Readonly<Record<string, unknown>> {
  const fail = (found: string, allowed: string): Readonly<Record<string, unknown>> => {
    problems.push({ setting: "config", source: path, found, allowed });
    return {};
  };

  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return fail(reason, "it must be a readable YAML file");
  }
  if (text.length > FILE_LENGTH_MAX) {
    return fail(`${text.length} characters`, `at most ${FILE_LENGTH_MAX} are read`);
  }

  const document = parseDocument(text, { prettyErrors: true });
  const error = document.errors[0] ?? document.warnings[0];
  if (error) return fail(error.message.split("\n")[0] ?? error.code, "it must be YAML 1.2");
  // Aliases are of no use in a flat mapping, and can be nested into a file that explodes.
  const value = parseValue(() => document.toJS({ maxAliasCount: 0 }));
  if (value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) {
    return fail("something else", "it must be a mapping of setting names to values, such as: name: shop-1");
  }
  return Object.fromEntries(Object.entries(value as object));

  function parseValue(read: () => unknown): unknown {
    try {
      return read();
    } catch (cause) {
      return fail(cause instanceof Error ? cause.message : String(cause), "YAML aliases are not read");
    }
  }
}

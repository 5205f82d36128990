import type { CommandIo } from "./command.ts";
import type { FlagSpec, ParsedArguments } from "./parse-arguments.ts";
import { UsageError } from "./usage-error.ts";

const DEFAULT_API = "http://127.0.0.1:4001";

/** For every command that talks to an agent. */
export const API_FLAG: FlagSpec = {
  name: "api",
  placeholder: "URL",
  isList: true,
  doc: `an agent's API; repeatable: the next is asked if one fails (TRIVET_API, comma-separated; default ${DEFAULT_API})`,
};

/** Base URLs without a trailing slash, at least one, in the order to try. */
export function apisOf(given: ParsedArguments, env: CommandIo["env"]): readonly string[] {
  if (given.has("api")) return given.list("api").map((text) => parseApi(text, "--api"));
  const fromEnv = (env["TRIVET_API"] ?? "").split(",").map((text) => text.trim());
  const texts = fromEnv.filter((text) => text !== "");
  return texts.length > 0 ? texts.map((text) => parseApi(text, "TRIVET_API")) : [DEFAULT_API];
}

function parseApi(text: string, source: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isBare = url !== undefined && url.pathname === "/" && url.search === "" && url.hash === "";
  if (
    url === undefined ||
    !isBare ||
    !/^https?:$/.test(url.protocol) ||
    url.username !== "" ||
    url.password !== ""
  ) {
    throw new UsageError(
      `${source}: found ${JSON.stringify(text)}, but it must be a URL such as ${DEFAULT_API}`,
    );
  }
  return url.origin;
}

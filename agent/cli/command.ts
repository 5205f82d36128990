import type { FlagSpec, ParsedArguments } from "./parse-arguments.ts";

/** What a command may touch of its process. */
export type CommandIo = Pick<NodeJS.Process, "stdin" | "stdout" | "stderr" | "env">;

export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What may follow the flags: `[STATEMENT]`. */
  readonly operands: string;
  readonly operandsMax: number;
  readonly flags: readonly FlagSpec[];
  /** Command lines, each with what it does. */
  readonly examples: readonly { readonly line: string; readonly does: string }[];
  /** Resolves with the exit code; rejects with an error that has one (`exitCodeOf`). */
  run(given: ParsedArguments, io: CommandIo): Promise<number>;
}

import { TrivetError } from "../platform/trivet-error.ts";
import { decodeCommand, encodeCommand } from "../store/command.ts";
import { checkObjectWrites } from "../store/object-check.ts";
import { checkStatements } from "../store/sql-check.ts";
import type { Command, ObjectsCommand, OpenSessionCommand, SqlCommand } from "../store/types.ts";

/** A command as a client asks for it. The leader that puts it into the log adds its time and chance. */
export type CommandDraft =
  | Omit<SqlCommand, "timeMs" | "seed">
  | Omit<OpenSessionCommand, "timeMs">
  | Omit<ObjectsCommand, "timeMs">;

/** A command without statements: what stands before it is applied once it is; it changes nothing. */
export const BARRIER: CommandDraft = { kind: "sql", session: null, transaction: false, statements: [] };

export function isBarrier(draft: CommandDraft): boolean {
  return draft.kind === "sql" && draft.statements.length === 0;
}

const NO_SEED = new Uint8Array(16);

export function completeDraft(draft: CommandDraft, timeMs: number, seed: Uint8Array): Command {
  return draft.kind === "sql" ? { ...draft, timeMs, seed } : { ...draft, timeMs };
}

/** A draft travels to the leader as a command without time and chance. Throws `malformed-command`. */
export function encodeDraft(draft: CommandDraft): Uint8Array {
  return encodeCommand(completeDraft(draft, 0, NO_SEED));
}

/** Throws `malformed-command` or `malformed-cbor` for anything that `encodeDraft` did not make. */
export function decodeDraft(bytes: Uint8Array): CommandDraft {
  const command = decodeCommand(bytes);
  switch (command.kind) {
    case "sql": {
      const { kind, session, transaction, statements } = command;
      return { kind, session, transaction, statements };
    }
    case "open-session":
      return { kind: command.kind };
    case "objects":
      return { kind: command.kind, session: command.session, writes: command.writes };
  }
}

/** Throws the check's code if the draft breaks a bound: in the log it would be every node's burden. */
export function assertBounded(draft: CommandDraft): void {
  if (draft.kind === "open-session") return;
  const check = draft.kind === "sql" ? checkStatements(draft.statements) : checkObjectWrites(draft.writes);
  if (!check.ok) throw new TrivetError(check.code, check.message);
}

import { TrivetError } from "../platform/trivet-error.ts";
import { decodeCommand, encodeCommand } from "../store/command.ts";
import { checkObjectWrites } from "../store/object-check.ts";
import { checkRequest, type EntryTraits, NO_TRAITS, traitsOf } from "../store/request-check.ts";
import type { SqlCheck } from "../store/sql-check.ts";
import type {
  Command,
  ObjectsCommand,
  OpenSessionCommand,
  SqlCommand,
  StatementResult,
} from "../store/types.ts";

/** A command as a client asks for it, and as it is sent to the leader. The leader that puts it into the log adds its time and chance. */
export type SentDraft =
  | Omit<SqlCommand, "timeMs" | "seed">
  | Omit<OpenSessionCommand, "timeMs">
  | Omit<ObjectsCommand, "timeMs">;

type SentSql = Extract<SentDraft, { kind: "sql" }>;

/**
 * One that this node has found fit for the log, with what its check told, so that nobody here has to check it again. That stays on this
 * node: what another one says of SQL may come from another version, so the leader checks for itself.
 */
export type CommandDraft = (SentSql & { readonly traits: EntryTraits }) | Exclude<SentDraft, SentSql>;

/** A command without statements: what stands before it is applied once it is; it changes nothing. */
export const BARRIER: CommandDraft = {
  kind: "sql",
  session: null,
  transaction: false,
  statements: [],
  traits: NO_TRAITS,
};

export function isBarrier(draft: CommandDraft): boolean {
  return draft.kind === "sql" && draft.statements.length === 0;
}

const NO_SEED = new Uint8Array(16);

export function completeDraft(draft: SentDraft, timeMs: number, seed: Uint8Array): Command {
  if (draft.kind !== "sql") return { ...draft, timeMs };
  const { kind, session, transaction, statements } = draft;
  return { kind, timeMs, session, seed, transaction, statements };
}

/** A draft travels to the leader as a command without time and chance. Throws `malformed-command`. */
export function encodeDraft(draft: SentDraft): Uint8Array {
  return encodeCommand(completeDraft(draft, 0, NO_SEED));
}

/** Throws `malformed-command` or `malformed-cbor` for anything that `encodeDraft` did not make. */
export function decodeDraft(bytes: Uint8Array): SentDraft {
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

/** Throws the check's code for what may not be in the log: it would be every node's burden. */
export function acceptDraft(draft: SentDraft): CommandDraft {
  switch (draft.kind) {
    case "sql": {
      const checks = checkRequest(draft.statements);
      for (const check of checks) {
        const refusal = refusalOf(check);
        if (refusal !== null) throw new TrivetError(refusal.code, refusal.message);
      }
      return { ...draft, traits: traitsOf(checks, draft.statements) };
    }
    case "open-session":
      return draft;
    case "objects": {
      const check = checkObjectWrites(draft.writes);
      if (!check.ok) throw new TrivetError(check.code, check.message);
      return draft;
    }
  }
}

const QUERY_ONLY = {
  kind: "error",
  code: "query-only",
  message:
    "The answer tells of one node's file or program, so it cannot be a part of the log. Send it to query.",
} as const;

/** Why a statement may not be in the log; null if it may. */
export function refusalOf(check: SqlCheck): Refusal | null {
  if (!check.ok) return { kind: "error", code: check.code, message: check.message };
  return check.isOfOneNode ? QUERY_ONLY : null;
}
type Refusal = Extract<StatementResult, { kind: "error" }>;

import type { DatabaseFile } from "./database-file.ts";
import { EVENT_BYTES } from "./limits.ts";
import { bodyBytesOf, type ObjectEvent } from "./objects.ts";
import type { RanCommand } from "./ran-command.ts";
import { encodeResults } from "./result-codec.ts";
import { SessionTable } from "./session-table.ts";
import type { CommandResult, SessionGuard } from "./types.ts";

/** What a command answered and changed, before anyone is told. */
export interface Outcome {
  readonly results: CommandResult;
  readonly events?: readonly ObjectEvent[];
}

/**
 * One of the two databases as a part of the state machine that is complete in itself: it carries out what its sessions
 * let through, and adds what it answered to its running hash, all in the file's one transaction.
 */
export class GuardedFile {
  readonly file: DatabaseFile;
  readonly #sessions: SessionTable;

  constructor(file: DatabaseFile) {
    this.file = file;
    this.#sessions = new SessionTable(file);
  }

  /** True if the committed transactions of the file have the entry: then it is not to be given to it. */
  has(index: number): boolean {
    return index <= this.file.committed.index;
  }

  openSession(index: number, timeMs: number): RanCommand {
    this.file.begin();
    this.#sessions.open(index, timeMs);
    return this.#fold(index, { results: [{ kind: "session", id: index }] }).ran;
  }

  /**
   * True if the next entry, with this guard and time, would not be carried out. In the file's open transaction, to be rolled back by
   * the caller.
   */
  hasAnswer(session: SessionGuard, timeMs: number): boolean {
    return this.#sessions.answerOf(session, this.file.committed.index + 1, timeMs) !== null;
  }

  /** Throws what `run` throws. */
  carryOut(
    index: number,
    { session, timeMs }: { readonly session: SessionGuard | null; readonly timeMs: number },
    run: () => Outcome,
  ): RanCommand {
    this.file.begin();
    const before = session === null ? null : this.#sessions.answerOf(session, index, timeMs);
    if (before !== null) return this.#fold(index, { results: before }).ran;
    const { ran, encoded } = this.#fold(index, run());
    if (session !== null) this.#sessions.keepAnswer(session, index, timeMs, encoded);
    return ran;
  }

  #fold(
    index: number,
    { results, events = [] }: Outcome,
  ): { readonly ran: RanCommand; readonly encoded: Uint8Array } {
    const encoded = encodeResults(results);
    this.file.digest.fold(index, "results", encoded);
    const eventBytes = events.reduce((sum, event) => sum + bodyBytesOf(event) + EVENT_BYTES, 0);
    return { ran: { results, events, bytes: encoded.byteLength + eventBytes }, encoded };
  }
}

import type { EntryLog } from "./entry-log.ts";
import type { LeaderMessage } from "./messages.ts";

/**
 * Tells what shows that the leader of this term lives from what it has said before. The network brings datagrams late and again, also long
 * after the death of who sent them: these must not hold up the election of another one.
 *
 * A leader sends heartbeats all the time, each later by its own clock than the one before. So of the rest only what comes
 * before the first one has to count, and what brings entries.
 */
export class SignsOfLife {
  /** When the newest heartbeat was sent, in the leader's time; null before the first. */
  #newestMs: number | null = null;

  termBegins(): void {
    this.#newestMs = null;
  }

  /**
   * `log` is this member's, `commit` its commit index. True if `message` is such a sign: once for each heartbeat and each new entry.
   * Before the first heartbeat of the term a message that comes again counts again; a leader that died so early has sent few.
   */
  take(message: LeaderMessage, log: EntryLog, commit: number): boolean {
    switch (message.kind) {
      case "heartbeat-request": {
        const isNews = this.#newestMs === null || message.sentMs > this.#newestMs;
        if (isNews) this.#newestMs = message.sentMs;
        return isNews;
      }
      case "append-request": {
        const last = message.entries.at(-1);
        const isAdding = last !== undefined && last.index > commit && log.term(last.index) !== last.term;
        return isAdding || this.#newestMs === null;
      }
      case "snapshot-request":
        return this.#newestMs === null;
      case "timeout-now":
        // The leader gives itself up: there is nothing to hold up.
        return true;
    }
  }
}

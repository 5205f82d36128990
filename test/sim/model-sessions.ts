import type { CommandResult, SessionGuard } from "../../agent/store/types.ts";

/** As the store has it. */
const SESSION_TTL_MS = 24 * 3_600_000;

interface Session {
  readonly sequence: number;
  readonly usedMs: number;
  readonly answer: CommandResult;
}

/** The client sessions of one file, as the store promises them: the last sequence of each, and what it was answered. */
export class ModelSessions {
  readonly #sessions: Map<number, Session>;

  constructor(from: ModelSessions | null = null) {
    this.#sessions = new Map(from === null ? [] : from.#sessions);
  }

  pack(): readonly (readonly [number, Session])[] {
    return [...this.#sessions];
  }

  static unpack(packed: ReturnType<ModelSessions["pack"]>): ModelSessions {
    const sessions = new ModelSessions();
    for (const [id, session] of packed) sessions.#sessions.set(id, session);
    return sessions;
  }

  open(id: number, timeMs: number): void {
    this.#sessions.set(id, { sequence: 0, usedMs: timeMs, answer: [] });
  }

  /** True if `guard` would not carry the command out. */
  hasAnswer({ id, sequence }: SessionGuard, timeMs: number): boolean {
    const session = this.#sessions.get(id);
    return session === undefined || session.usedMs < timeMs - SESSION_TTL_MS || sequence <= session.sequence;
  }

  /** What is answered to a command; `run` carries it out, if it is the first of its sequence. */
  guard({ id, sequence }: SessionGuard, timeMs: number, run: () => CommandResult): CommandResult {
    const session = this.#sessions.get(id);
    if (session === undefined || session.usedMs < timeMs - SESSION_TTL_MS) return refusal("session-expired");
    const isFirst = sequence > session.sequence;
    const answer = isFirst ? run() : session.answer;
    this.#sessions.set(id, { sequence: Math.max(sequence, session.sequence), usedMs: timeMs, answer });
    return sequence < session.sequence ? refusal("session-stale") : answer;
  }
}

function refusal(code: string): CommandResult {
  return [{ kind: "error", code, message: `the model says ${code}` }];
}

import { decodeCbor, encodeCbor } from "../platform/cbor.ts";
import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";
import { blocksQuorum, hasQuorum, votersOf } from "../raft/quorum.ts";
import type { Configuration, MemberId } from "../raft/types.ts";
import type { LogPosition } from "../store/types.ts";
import { nodeIdOf } from "./member-id.ts";
import type { Transport } from "./ports.ts";
import { asArray, asBoolean, asInteger, asString } from "./wire-fields.ts";

/** Asks a member whether it holds everything up to an entry: `[member, index, term]`, answered by `[true or false]`. */
const HOLDS = "replica/holds";
/** Who has not answered by then counts as one that holds nothing. */
const ASK_TIMEOUT_MS = 2_000;

export interface CopyCensusOptions {
  readonly memberId: MemberId;
  /** True if this member holds everything up to that entry, which is committed. */
  readonly holds: (position: LogPosition) => boolean;
  readonly transport: Pick<Transport, "request" | "handle">;
}

/** What is counted. */
export interface CopyCount {
  /** Both of its sets must agree while it is joint. */
  readonly configuration: Configuration;
  /** Of an entry that is committed. */
  readonly position: LogPosition;
  /** The members of this node do not count. */
  readonly withoutNode?: string;
  readonly timeoutMs: number;
}

/**
 * Counts who holds the data, before somebody gives up what may be the last copy of it.
 *
 * The members are asked anew each time. What one has told or acknowledged before is no answer: it may have lost its databases since,
 * and its log, which it has kept, acknowledges entries as ever.
 */
export class CopyCensus {
  readonly #options: CopyCensusOptions;
  /** The counts that are under way. */
  readonly #open = new Set<AbortController>();
  readonly #stopListening: () => void;

  constructor(options: CopyCensusOptions) {
    const { memberId, holds, transport } = options;
    this.#options = options;
    this.#stopListening = transport.handle(HOLDS, async (_from, body) => {
      const [member, index, term] = asArray(decodeCbor(body));
      // An earlier incarnation of this node may be asked: it is gone.
      if (asString(member) !== memberId)
        throw new TrivetError("not-this-member", "Another member runs on this node.");
      return encodeCbor([holds({ index: asInteger(index), term: asInteger(term) })]);
    });
  }

  /** True if a quorum says now that it holds everything up to the entry. Takes no longer than that needs to be known. */
  async isHeldByQuorum({ configuration, position, withoutNode, timeoutMs }: CopyCount): Promise<boolean> {
    const voters = [...votersOf(configuration)];
    const answers = new Map<MemberId, boolean>();
    for (const voter of voters) if (nodeIdOf(voter) === withoutNode) answers.set(voter, false);
    const isHeld = (): boolean => hasQuorum(configuration, (voter) => answers.get(voter) === true);
    const isDecided = (): boolean =>
      isHeld() || blocksQuorum(configuration, (voter) => answers.get(voter) === false);
    const asked = new AbortController();
    this.#open.add(asked);
    const ask = async (voter: MemberId): Promise<void> => {
      const options = { timeoutMs: Math.min(ASK_TIMEOUT_MS, timeoutMs), signal: asked.signal };
      answers.set(voter, await this.#ask(voter, position, options));
      if (isDecided()) asked.abort(new TrivetError("request-aborted", "The other answers have decided."));
    };
    try {
      if (!isDecided()) await Promise.all(voters.filter((voter) => !answers.has(voter)).map(ask));
    } finally {
      this.#open.delete(asked);
    }
    return isHeld();
  }

  stop(): void {
    this.#stopListening();
    for (const asked of this.#open) asked.abort(new TrivetError("stopping", "The member stops."));
  }

  async #ask(
    member: MemberId,
    position: LogPosition,
    options: Parameters<Transport["request"]>[3],
  ): Promise<boolean> {
    const { memberId, holds, transport } = this.#options;
    if (member === memberId) return holds(position);
    const body = encodeCbor([member, position.index, position.term]);
    try {
      const [isHeld] = asArray(decodeCbor(await transport.request(nodeIdOf(member), HOLDS, body, options)));
      return asBoolean(isHeld);
    } catch (error) {
      if (!isTrivetError(error)) throw error;
      return false;
    }
  }
}

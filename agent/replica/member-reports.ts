import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";
import { membersOf } from "../raft/quorum.ts";
import type { MemberId } from "../raft/types.ts";
import type { ResultDigest } from "../store/types.ts";
import type { CopyKeeper } from "./copy-keeper.ts";
import type { DiskState } from "./disk-state.ts";
import { compareDigests, DigestRing, type Judgement, judge } from "./divergence.ts";
import type { Leadership } from "./leadership.ts";
import { nodeIdOf } from "./member-id.ts";
import type { Transport } from "./ports.ts";
import type { Replica } from "./replica.ts";
import { isStuck } from "./replica-status.ts";
import {
  decodeReport,
  decodeVerdict,
  encodeReport,
  encodeVerdict,
  type MemberReport,
  type Verdict,
} from "./report-wire.ts";
import { notLeader } from "./sql-errors.ts";

/** Tells the leader how this member is; answers with what the leader thinks of its copy. */
const REPORT = "replica/report";
/** How often there may be something to report. */
const REPORT_MS = 1_000;
const REPORT_TIMEOUT_MS = 2_000;
/**
 * How long one of two that differ may go on serving until others have told who is right: several reports of each. Who answers and tells
 * nothing new takes nothing up: its disk is full, its database is stuck, or it fetches a copy, and that may be for ever.
 */
const UNDECIDED_MS = 10_000;

export interface MemberReportsOptions {
  readonly replica: Pick<Replica, "status" | "onApplied" | "onInstalled"> & {
    readonly leadership: Pick<Leadership, "present" | "isLeader" | "leadsIn" | "yieldTo">;
    readonly copy: Pick<CopyKeeper, "quarantine">;
  };
  readonly digest: () => ResultDigest;
  readonly disk: () => DiskState;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Larger at each start of this node. */
  readonly session: number;
  readonly logger: Logger;
}

/**
 * What members tell the leader of themselves, when it changes: the running hashes of their results, how their disks are, and whether
 * their databases do anything.
 *
 * The leader finds out by it who went another way (see `judge`). A follower that did hears of it as the answer to its report; a leader
 * that did finds it out by itself, and hands over to one of the majority: a fresh copy is the leader's, and another odd one would give
 * what it has just put out of use.
 */
export class MemberReports {
  readonly #options: MemberReportsOptions;
  readonly #ring = new DigestRing();
  readonly #abort = new AbortController();
  readonly #stopListening: readonly (() => void)[];
  /** What others told while this member leads, in `#term`. */
  readonly #reports = new Map<MemberId, MemberReport>();
  /** By their owners, the copies that are to be put out of use: in a report that is on its way they are trusted yet. */
  readonly #condemned = new Map<MemberId, MemberReport>();
  /** Since when it has not been decided who is right; null while nobody differs, or it is. */
  #undecidedSinceMs: number | null = null;
  #term = 0;
  #timer: Timer;
  #isReporting = false;
  /** See `MemberReport`. What is said of one copy holds for no other. */
  #copySinceMs: number;
  /** The last report that the leader has answered for good. */
  #settled = "";

  constructor(options: MemberReportsOptions) {
    const { replica, transport, clock } = options;
    this.#options = options;
    this.#copySinceMs = this.#nowMs;
    this.#record();
    this.#stopListening = [
      replica.onApplied(() => this.#record()),
      replica.onInstalled(() => {
        this.#copySinceMs = this.#nowMs;
        this.#ring.clear();
        this.#record();
      }),
      transport.handle(REPORT, async (from, body) => encodeVerdict(this.#receive(from, decodeReport(body)))),
    ];
    this.#timer = clock.setTimer(REPORT_MS, () => this.#tick());
  }

  /** As they told in the present term of this member's leadership; empty if it does not lead. */
  get reports(): ReadonlyMap<MemberId, MemberReport> {
    this.#followTerm();
    return this.#reports;
  }

  stop(): void {
    this.#abort.abort(new TrivetError("stopping", "The member stops."));
    this.#timer.cancel();
    for (const stop of this.#stopListening) stop();
  }

  get #nowMs(): number {
    return Math.floor(this.#options.clock.nowMs());
  }

  #record(): void {
    const digest = this.#options.digest();
    // Index 0: there is nothing, or it is not known at the moment.
    if (digest.index > 0) this.#ring.record(digest);
  }

  #tick(): void {
    const { replica, clock } = this.#options;
    this.#timer = clock.setTimer(REPORT_MS, () => this.#tick());
    const { present } = replica.leadership;
    if (present === null || replica.leadership.isLeader || this.#isReporting) return;
    const { member } = present;
    const report = this.#ownReport(present.term);
    const { term, copySinceMs, disk, isStuck } = report;
    const key = `${member} ${term} ${copySinceMs} ${disk} ${isStuck} ${report.digests.at(-1)?.index}`;
    if (key === this.#settled) return;
    this.#isReporting = true;
    this.#report(member, report)
      .then((verdict) => {
        if (verdict !== "unknown") this.#settled = key;
        if (verdict === "differs") this.#diverged(member);
      })
      .catch((error: unknown) => {
        // The leader may have changed, or be busy: the next time will do.
        if (!isTrivetError(error)) throw error;
        this.#options.logger.log("debug", "The leader did not take a report.", { reason: error.message });
      })
      .finally(() => {
        this.#isReporting = false;
      });
  }

  async #report(leader: MemberId, report: MemberReport): Promise<Verdict> {
    const options = { timeoutMs: REPORT_TIMEOUT_MS, signal: this.#abort.signal };
    const answer = this.#options.transport.request(nodeIdOf(leader), REPORT, encodeReport(report), options);
    const verdict = decodeVerdict(await answer);
    // It was said of digests that this member has replaced meanwhile, or does not stand by.
    return this.#isTrusted && report.copySinceMs === this.#copySinceMs ? verdict : "unknown";
  }

  #ownReport(term: number): MemberReport {
    const { replica, session, disk } = this.#options;
    const status = replica.status();
    const digests = this.#isTrusted ? this.#ring.told : [];
    const at = { session, sentMs: this.#nowMs, copySinceMs: this.#copySinceMs };
    return { member: status.memberId, term, ...at, disk: disk(), isStuck: isStuck(status), digests };
  }

  get #isTrusted(): boolean {
    return this.#options.replica.status().copyFault === null;
  }

  #receive(fromNode: string, report: MemberReport): Verdict {
    const { replica } = this.#options;
    const { memberId, ...members } = replica.status();
    // What was told in another term may come on a slow path, also to a process that knows nothing of it.
    if (!replica.leadership.leadsIn(report.term)) throw notLeader();
    const { member } = report;
    const isKnown = nodeIdOf(member) === fromNode && membersOf(members).has(member);
    if (!isKnown) throw new TrivetError("not-a-member", "The cluster has no such member on this node.");
    this.#followTerm();
    const known = this.#reports.get(member);
    if (known !== undefined && !isNewer(report, known)) {
      // mark: divergence: a report comes too late
      return "unknown";
    }
    const condemned = this.#condemned.get(member);
    if (condemned !== undefined && isOfSameCopy(condemned, report)) {
      // mark: divergence: a report speaks for a copy that is to be put out of use
      this.#reports.set(member, { ...report, digests: [] });
      return "differs";
    }
    this.#reports.set(member, report);
    return this.#verdictOn(report);
  }

  #verdictOn(report: MemberReport): Verdict {
    const { replica } = this.#options;
    const { member, digests } = report;
    const judgement = this.#decide();
    switch (judgement.kind) {
      case "undecided":
        return "unknown";
      case "odd-leader":
        // mark: divergence: the leader is the odd one
        this.#options.logger.log("error", "The results of this leader differ from those of a majority.", {
          member: replica.status().memberId,
        });
        replica.copy.quarantine("diverged", judgement.successor);
        replica.leadership.yieldTo(judgement.successor);
        return "unknown";
      case "odd-members":
        if (!judgement.members.includes(member))
          return compareDigests(digests, this.#ring.digests) === "same" ? "same" : "unknown";
        // It puts that copy out of use. Until it tells of a fresh one it has told nothing: that may side with others about newer entries.
        this.#condemned.set(member, report);
        this.#reports.set(member, { ...report, digests: [] });
        return "differs";
    }
  }

  /** By what all that answer have told; when that takes too long, by what there is. */
  #decide(): Judgement {
    const { clock, logger, replica } = this.#options;
    const { peers } = replica.status();
    const answering = (peers ?? []).filter(({ isActive }) => isActive).map(({ member }) => member);
    const judgement = this.#judge(new Set(answering));
    if (judgement.kind !== "undecided") {
      this.#undecidedSinceMs = null;
      return judgement;
    }
    if (this.#undecidedSinceMs === null) {
      // mark: divergence: results differ, and others have yet to tell who is right
      logger.log(
        "error",
        "The results of members differ from this leader's: who is right is not known yet.",
        {
          members: judgement.members,
        },
      );
      this.#undecidedSinceMs = clock.nowMs();
    }
    if (clock.nowMs() - this.#undecidedSinceMs < UNDECIDED_MS) return judgement;
    this.#undecidedSinceMs = null;
    return this.#judge(new Set());
  }

  #judge(answering: ReadonlySet<MemberId>): Judgement {
    const { memberId, voters, outgoing, learners } = this.#options.replica.status();
    const configuration = { voters, outgoing, learners };
    const members = membersOf(configuration);
    const told = [...this.#reports.values()].filter(({ member }) => members.has(member));
    return judge({
      leader: memberId,
      configuration,
      digests: new Map([
        ...told.map(({ member, digests }) => [member, digests] as const),
        [memberId, this.#ring.digests],
      ]),
      answering,
    });
  }

  #diverged(leader: MemberId): void {
    // mark: divergence: a follower is the odd one
    const { logger, replica } = this.#options;
    logger.log("error", "The results of this member differ from the leader's at the same entry.", { leader });
    replica.copy.quarantine("diverged", leader);
  }

  /**
   * What was told to this member in an earlier term of its leadership is old. While it hands over it leads still, and goes on with what
   * it knows if nobody takes over: nobody tells twice what it has taken.
   */
  #followTerm(): void {
    const { term, role } = this.#options.replica.status();
    if (term === this.#term && role === "leader") return;
    this.#term = term;
    this.#reports.clear();
    this.#condemned.clear();
    this.#undecidedSinceMs = null;
  }
}

function isNewer(one: MemberReport, other: MemberReport): boolean {
  return one.session === other.session ? one.sentMs > other.sentMs : one.session > other.session;
}

function isOfSameCopy(one: MemberReport, other: MemberReport): boolean {
  return one.session === other.session && one.copySinceMs === other.copySinceMs;
}

import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
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
/** Of the newest digests; the leader needs one of them only. */
const REPORTED_DIGESTS = 16;
const PROCESS_BYTES = 8;

export interface MemberReportsOptions {
  readonly replica: Pick<Replica, "status" | "onApplied" | "onInstalled"> & {
    readonly leadership: Pick<Leadership, "leader" | "isLeader" | "yieldTo">;
    readonly copy: Pick<CopyKeeper, "quarantine">;
  };
  readonly digest: () => ResultDigest;
  readonly disk: () => DiskState;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Pick<Random, "bytes">;
  readonly logger: Logger;
}

/**
 * What members tell the leader of themselves, when it changes: the running hashes of their results, and the state of their disks.
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
  #term = 0;
  #timer: Timer;
  #isReporting = false;
  readonly #process: string;
  #sequence = 0;
  /** Counts the copies that this member has had: what is said of one holds for no other. */
  #copy = 0;
  /** The last report that the leader has answered for good. */
  #settled = "";

  constructor(options: MemberReportsOptions) {
    const { replica, transport, clock } = options;
    this.#options = options;
    this.#process = Buffer.from(options.random.bytes(PROCESS_BYTES)).toString("hex");
    this.#record();
    this.#stopListening = [
      replica.onApplied(() => this.#record()),
      replica.onInstalled(() => {
        this.#copy += 1;
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

  #record(): void {
    const digest = this.#options.digest();
    // Index 0: there is nothing, or it is not known at the moment.
    if (digest.index > 0) this.#ring.record(digest);
  }

  #tick(): void {
    const { replica, clock } = this.#options;
    this.#timer = clock.setTimer(REPORT_MS, () => this.#tick());
    const { leader } = replica.leadership;
    if (leader === null || replica.leadership.isLeader || this.#isReporting) return;
    const report = this.#ownReport();
    const { term } = replica.status();
    const key = `${leader} ${term} ${report.disk} ${this.#copy} ${report.digests.at(-1)?.index}`;
    if (key === this.#settled) return;
    this.#isReporting = true;
    this.#report(leader, report)
      .then((verdict) => {
        if (verdict !== "unknown") this.#settled = key;
        if (verdict === "differs") this.#diverged(leader);
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
    const copy = this.#copy;
    const options = { timeoutMs: REPORT_TIMEOUT_MS, signal: this.#abort.signal };
    const answer = this.#options.transport.request(nodeIdOf(leader), REPORT, encodeReport(report), options);
    const verdict = decodeVerdict(await answer);
    // It was said of digests that this member has replaced meanwhile, or does not stand by.
    return this.#isTrusted && copy === this.#copy ? verdict : "unknown";
  }

  #ownReport(): MemberReport {
    const digests = this.#isTrusted ? this.#ring.digests.slice(-REPORTED_DIGESTS) : [];
    const { memberId } = this.#options.replica.status();
    this.#sequence += 1;
    const { disk } = this.#options;
    return { member: memberId, process: this.#process, sequence: this.#sequence, disk: disk(), digests };
  }

  get #isTrusted(): boolean {
    return this.#options.replica.status().copyFault === null;
  }

  #receive(fromNode: string, report: MemberReport): Verdict {
    const { replica } = this.#options;
    const { memberId, ...members } = replica.status();
    if (!replica.leadership.isLeader) throw notLeader();
    const { member, digests } = report;
    const isKnown = nodeIdOf(member) === fromNode && membersOf(members).has(member);
    if (!isKnown) throw new TrivetError("not-a-member", "The cluster has no such member on this node.");
    this.#followTerm();
    const known = this.#reports.get(member);
    if (known?.process === report.process && known.sequence > report.sequence) {
      // mark: divergence: a report comes too late
      return "unknown";
    }
    this.#reports.set(member, report);
    const judgement = this.#judge();
    switch (judgement.kind) {
      case "undecided":
        return "unknown";
      case "odd-leader":
        // mark: divergence: the leader is the odd one
        this.#options.logger.log("error", "The results of this leader differ from those of a majority.", {
          member: memberId,
        });
        replica.copy.quarantine("diverged", judgement.successor);
        replica.leadership.yieldTo(judgement.successor);
        return "unknown";
      case "odd-members":
        // A copy that is out of use is not what others are to be like, though its owner leads until it has handed over.
        if (!this.#isTrusted) return "unknown";
        if (!judgement.members.includes(member))
          return compareDigests(digests, this.#ring.digests) === "same" ? "same" : "unknown";
        // It puts that copy out of use. Until it tells of a fresh one it has told nothing: that may side with others about newer entries.
        this.#reports.set(member, { ...report, digests: [] });
        return "differs";
    }
  }

  #judge(): Judgement {
    const { memberId, peers, voters, outgoing, learners } = this.#options.replica.status();
    const configuration = { voters, outgoing, learners };
    const members = membersOf(configuration);
    const answering = (peers ?? []).filter(({ isActive }) => isActive).map(({ member }) => member);
    const told = [...this.#reports.values()].filter(({ member }) => members.has(member));
    return judge({
      leader: memberId,
      configuration,
      digests: new Map([
        ...told.map(({ member, digests }) => [member, digests] as const),
        [memberId, this.#ring.digests],
      ]),
      answering: new Set(answering),
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
  }
}

import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import { memberIdOf } from "../../agent/replica/member-id.ts";
import type { MediumFault } from "./medium-damage.ts";
import { ModelFiles } from "./model-files.ts";
import type { HistoryLimits } from "./model-objects.ts";
import type { SimRandom } from "./sim-random.ts";
import { WriteMemory } from "./write-memory.ts";

/** How far a node has come with beginning anew, as another member (`DataDirectory`). */
export type RejoinStage = "emptying" | "empty" | "begun";

/** What a node keeps: its log, its databases, and which member it is. Outlives its processes. */
export class NodeData {
  readonly #nodeId: string;
  readonly #history: HistoryLimits;
  #incarnation = 1;
  disk = new MemoryDirectory();
  files: ModelFiles;
  writes = new WriteMemory();
  /** The member has a log and has spoken: from then on the log may never be found empty. */
  hasJoined = false;
  rejoin: RejoinStage | null = null;
  /** The medium is bad, so the log may be found corrupt: at each start something else of it is damaged. */
  mediumFault: MediumFault | null = null;
  /** The log has lost what only the databases tell of. */
  hasLostEnd = false;
  isLogLost = false;

  constructor(nodeId: string, history: HistoryLimits) {
    this.#nodeId = nodeId;
    this.#history = history;
    this.files = new ModelFiles(history);
  }

  get memberId(): string {
    return memberIdOf(this.#nodeId, String(this.#incarnation).padStart(8, "0"));
  }

  get mayBeBlank(): boolean {
    return !this.hasJoined || this.rejoin === "empty";
  }

  /** From now on it is another member. */
  renew(): void {
    this.#incarnation += 1;
  }

  clear(): void {
    this.#clearLog();
    this.renewFiles();
    this.mediumFault = null;
    this.isLogLost = false;
  }

  /** Its databases are empty ones from now on. */
  renewFiles(): void {
    this.files = new ModelFiles(this.#history);
  }

  /** Somebody removes the files of the log. */
  loseLog(): void {
    this.#clearLog();
    this.isLogLost = true;
  }

  /** The machine stops, or only the process. */
  crash(random: SimRandom, isPowerCut: boolean): void {
    this.disk = isPowerCut ? this.disk.crash(random) : this.disk.kill();
    this.files.crash(random);
  }

  #clearLog(): void {
    this.disk = new MemoryDirectory();
    this.writes = new WriteMemory();
    this.hasLostEnd = false;
  }
}

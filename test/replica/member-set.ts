import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Test, t } from "tap";
import { DurableLog } from "../../agent/log/durable-log.ts";
import { systemClock as clock } from "../../agent/platform/clock.ts";
import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import { systemRandom as random } from "../../agent/platform/random.ts";
import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import { alignLog } from "../../agent/replica/align-log.ts";
import { ClusterSql } from "../../agent/replica/cluster-sql.ts";
import { beginLog, foundCluster, isBlank } from "../../agent/replica/found-cluster.ts";
import { LeaderAccess } from "../../agent/replica/leader-access.ts";
import { memberIdOf, nodeIdOf } from "../../agent/replica/member-id.ts";
import { Replica } from "../../agent/replica/replica.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import type { Store } from "../../agent/store/store.ts";
import type { SqlValue } from "../../agent/store/types.ts";
import { until } from "../cluster/until.ts";
import { MemoryNetwork } from "./memory-network.ts";

const TIMING = { heartbeatMs: 50, electionMs: 300, electionMaxMs: 3_000 };
const DEADLINE_MS = 20_000;
const WRITES_AT_ONCE = 8;
const ROW_BYTES = 2_000;
const logger = { log: () => undefined };

/** The log that is retained: small, so that little work drops some. */
export const RETAIN_BYTES = 64 * 1024;

/** One running member: real log and databases, a network in memory. */
export interface RunningMember {
  readonly memberId: string;
  readonly replica: Replica;
  readonly store: Store;
  readonly sql: ClusterSql;
  stop(): Promise<void>;
}

/** Members that can be stopped and started again with what they hold. */
export class MemberSet {
  readonly network = new MemoryNetwork(clock);
  readonly failures: unknown[] = [];
  readonly #root: string;
  readonly #logs = new Map<string, MemoryDirectory>();
  readonly #running = new Map<string, RunningMember>();
  /** What the databases of a member wait for before they take up entries. */
  readonly #applying = new Map<string, Promise<void>>();

  private constructor(root: string) {
    this.#root = root;
  }

  static async open(): Promise<MemberSet> {
    return new MemberSet(await mkdtemp(join(tmpdir(), "trivet-members-")));
  }

  static memberId(letter: string): string {
    return memberIdOf(letter.repeat(32), "00000001");
  }

  get(letter: string): RunningMember {
    const member = this.#running.get(letter);
    if (member === undefined) throw new Error(`${letter} does not run`);
    return member;
  }

  /** With `voters`, it founds the cluster. */
  async start(letter: string, voters: readonly string[] | null = null): Promise<RunningMember> {
    const directory = join(this.#root, letter);
    await mkdir(directory, { recursive: true });
    const disk = this.#logs.get(letter) ?? new MemoryDirectory();
    this.#logs.set(letter, disk);
    const store = this.#slowed(letter, await openSqliteStore({ directory, logger, clock }));
    const { log, recovered: found } = await DurableLog.open({ directory: disk, logger });
    const memberId = MemberSet.memberId(letter);
    const transport = this.network.transportOf(nodeIdOf(memberId));
    let recovered = await alignLog({ log, store, recovered: found });
    if (voters !== null) recovered = await foundCluster(log, voters.map(MemberSet.memberId));
    else if (isBlank(found)) recovered = await beginLog(log);
    const replica = new Replica({
      clusterId: "one",
      memberId,
      timing: TIMING,
      logRetainBytes: RETAIN_BYTES,
      entryRefusal: () => null,
      isFounder: voters !== null,
      onFailed: (error) => this.failures.push(error),
      ...{ recovered, log, store, transport, clock, random, logger },
    });
    const leader = new LeaderAccess({ replica, transport, clock });
    const member: RunningMember = {
      memberId,
      replica,
      store,
      sql: new ClusterSql({ leader, store, clock }),
      stop: async () => {
        this.#running.delete(letter);
        leader.stop();
        replica.stop();
        await store.close();
        await log.close();
      },
    };
    this.#running.set(letter, member);
    return member;
  }

  /** From now on the member applies nothing before `promise` has resolved. */
  applyAfter(letter: string, promise: Promise<void>): void {
    this.#applying.set(letter, promise);
  }

  /** From now on nothing that the member writes to its log becomes durable before `promise` has resolved. */
  syncAfter(letter: string, promise: Promise<void>): void {
    const disk = this.#logs.get(letter);
    if (disk === undefined) throw new Error(`${letter} has no log`);
    disk.onCall = async ({ operation }) => {
      if (operation === "sync") await promise;
      return undefined;
    };
  }

  #slowed(letter: string, store: Store): Store {
    return new Proxy(store, {
      get: (target, key) => {
        if (key === "apply") {
          return async (...[entries]: Parameters<Store["apply"]>) => {
            await this.#applying.get(letter);
            return target.apply(entries);
          };
        }
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  /** What a member that does not run has in its databases is lost. */
  async emptyDatabases(letter: string): Promise<void> {
    const directory = join(this.#root, letter);
    for (const name of await readdir(directory)) await rm(join(directory, name), { recursive: true });
  }

  /** A database of a member that does not run, as bytes; with `bytes`, it is replaced by them. */
  async database(
    letter: string,
    name: "app.db" | "state.db",
    bytes: Uint8Array | null = null,
  ): Promise<Uint8Array> {
    const path = join(this.#root, letter, name);
    if (bytes !== null) await writeFile(path, bytes);
    return await readFile(path);
  }

  /** Nobody hears it, and it hears nobody. */
  cutOff(letter: string): void {
    for (const other of "abcdef") {
      this.network.cut(letter.repeat(32), other.repeat(32));
      this.network.cut(other.repeat(32), letter.repeat(32));
    }
  }

  until(what: string, isMet: () => boolean): Promise<true> {
    return until(what, DEADLINE_MS, async () => (isMet() ? true : null));
  }

  /** Rows through "a", which leads, until its log begins behind all that `letter` has. Resolves with the last id. */
  async outgrow(letter: string, firstId: number): Promise<number> {
    const { lastIndex } = this.get(letter).replica.status();
    let id = firstId;
    for (; this.get("a").replica.status().firstIndex <= lastIndex + 1; id += 20)
      await this.write("a", id, 20);
    return id - 1;
  }

  /** Rows through `letter`, some at a time. */
  async write(letter: string, firstId: number, count: number, rowBytes = ROW_BYTES): Promise<void> {
    const row = new Uint8Array(rowBytes).fill(7);
    const ids = Array.from({ length: count }, (_, nth) => firstId + nth);
    const next = async (): Promise<void> => {
      for (let id = ids.shift(); id !== undefined; id = ids.shift()) await this.#writeRow(letter, id, row);
    };
    await Promise.all(Array.from({ length: WRITES_AT_ONCE }, next));
  }

  async #writeRow(letter: string, id: number, row: Uint8Array, timeoutMs = DEADLINE_MS): Promise<void> {
    const statement = { sql: "INSERT INTO kept VALUES (?, ?)", parameters: [id, row] };
    const options = { timeoutMs, transaction: false, session: null };
    const [result] = await this.get(letter).sql.execute([statement], options);
    if (result?.kind !== "changed") throw new Error(`row ${id}: ${JSON.stringify(result)}`);
  }

  /** One row through `letter`; resolves with what its client is told: `done`, or the code of the error. */
  async tryWrite(letter: string, id: number, rowBytes: number, timeoutMs: number): Promise<string> {
    try {
      await this.#writeRow(letter, id, new Uint8Array(rowBytes).fill(7), timeoutMs);
      return "done";
    } catch (error) {
      if (!isTrivetError(error)) throw error;
      return error.code;
    }
  }

  async run(letter: string, sql: string): Promise<void> {
    await this.get(letter).sql.execute([{ sql, parameters: [] }], {
      timeoutMs: DEADLINE_MS,
      transaction: false,
      session: null,
    });
  }

  /** The ids of the member's own copy. */
  async ids(letter: string, level: "none" | "linearizable" = "none"): Promise<readonly SqlValue[]> {
    const statement = { sql: "SELECT id FROM kept ORDER BY id", parameters: [] };
    const [result] = await this.get(letter).sql.query([statement], { timeoutMs: DEADLINE_MS, level });
    if (result?.kind !== "rows") throw new Error(JSON.stringify(result));
    return result.values.map(([id]) => id ?? null);
  }

  async end(): Promise<void> {
    for (const member of [...this.#running.values()]) await member.stop();
    await rm(this.#root, { recursive: true });
  }
}

/** A test on three members with one table, of which none may fail. */
export function testMembers(name: string, play: (t: Test, members: MemberSet) => Promise<void>): void {
  // Of the whole file: each test in it has a minute.
  t.setTimeout(300_000);
  t.test(name, { timeout: 60_000 }, async (t) => {
    const members = await MemberSet.open();
    t.teardown(() => members.end());
    await members.start("a", ["a", "b", "c"]);
    await members.start("b");
    await members.start("c");
    await members.run("a", "CREATE TABLE kept (id INTEGER PRIMARY KEY, body)");
    await play(t, members);
    t.strictSame(members.failures, [], "nobody failed");
  });
}

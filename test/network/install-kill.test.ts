import { type FSWatcher, watch } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { t } from "tap";
import { NodeDirectory } from "../../agent/platform/node-directory.ts";
import { INSTALL_MARKER, readInstallMarker } from "../../agent/store/install-marker.ts";
import type { AgentProcess } from "../cluster/agent-process.ts";
import { TestCluster } from "../cluster/test-cluster.ts";
import { until } from "../cluster/until.ts";

/** `npm run test:network` asks for more. */
const LONG_ROUNDS = Number(process.env["TRIVET_NETWORK_ROUNDS"] ?? 0);
const RETAIN_BYTES = 64 * 1024;
const ROW_BYTES = 24 * 1024;
const DEADLINE_MS = 60_000;
const COPY = "SELECT count(*), coalesce(max(id), 0) FROM kept";

/**
 * What happens in the data directory, in this order: the kill follows the `nth` time that `name` is made, replaced or removed. It takes
 * a moment itself, in which the agent goes on: so all that comes after may be hit as well.
 */
const MOMENTS = [
  { what: "the first piece is staged", name: "snapshot-app.db", nth: 1, isLong: false },
  { what: "the decision to swap is written", name: INSTALL_MARKER, nth: 1, isLong: true },
  { what: "the database of the user is swapped", name: "app.db", nth: 1, isLong: false },
  { what: "the other one is swapped", name: "state.db", nth: 1, isLong: true },
  { what: "the swap is done", name: INSTALL_MARKER, nth: 2, isLong: false },
] as const;

t.test(
  "an agent that is killed while it installs a snapshot has the old copy or the new one, and goes on",
  { timeout: 120_000 + 120_000 * LONG_ROUNDS },
  async (t) => {
    const cluster = await TestCluster.start(3, ["--log-retain", String(RETAIN_BYTES)]);
    t.teardown(() => cluster.end());
    const leader = await cluster.untilLed();
    const victim = cluster.agents.find((agent) => agent !== leader);
    if (victim === undefined) throw new Error("a follower");
    await leader.execute(["CREATE TABLE kept (id INTEGER PRIMARY KEY, body TEXT NOT NULL)"]);
    await cluster.untilEqual();
    let rows = 0;
    /** Until the log does not reach back to what the victim has. */
    const leaveBehind = async (): Promise<void> => {
      const { lastIndex } = (await victim.status()).raft;
      await victim.kill();
      await until("the log begins behind the victim", DEADLINE_MS, async () => {
        t.match(await leader.execute([["INSERT INTO kept VALUES (?, ?)", ++rows, "x".repeat(ROW_BYTES)]]), {
          results: [{ rows_affected: 1 }],
        });
        return (await leader.status()).raft.firstIndex > lastIndex + 1 ? true : null;
      });
    };

    const found = new Map<string, number>();
    const moments =
      LONG_ROUNDS > 0
        ? Array.from({ length: LONG_ROUNDS }, () => MOMENTS).flat()
        : MOMENTS.filter(({ isLong }) => !isLong);
    for (const moment of moments) {
      const before = rows;
      await leaveBehind();
      const kill = killWhen(victim, moment);
      victim.start();
      t.equal(await victim.exited(), null, "killed");
      kill.close();
      const marker = await readInstallMarker(await NodeDirectory.open(victim.directory));
      const state = marker?.phase ?? "no marker";
      found.set(state, (found.get(state) ?? 0) + 1);
      victim.start();
      const [copy] = await until("the copy can be read", DEADLINE_MS, () =>
        victim.rows(COPY).catch(() => null),
      );
      const [held, last] = [Number(copy?.[0]), Number(copy?.[1])];
      t.equal(held, last, `killed when ${moment.what}: a whole copy`);
      t.ok(
        held === before || held === rows,
        `of ${held} rows: the old one has ${before}, the new one ${rows}`,
      );
      await cluster.untilEqual();
      t.strictSame(await victim.rows(COPY), [[rows, rows]], "and goes on");
    }
    t.ok(
      [...found.keys()].some((state) => state !== "no marker"),
      "some were killed inside",
    );
    t.comment([...found].map(([state, times]) => `${times} x ${state}`).join(", "));
    t.strictSame(
      await readdir(join(victim.directory, "quarantine")).catch(() => []),
      [],
      "nothing was damaged",
    );
  },
);

/** Watches the agent's directory from now on. */
function killWhen(
  agent: AgentProcess,
  { name, nth }: { readonly name: string; readonly nth: number },
): FSWatcher {
  let times = 0;
  return watch(agent.directory, (event, changed) => {
    if (event === "rename" && changed === name && ++times === nth) agent.signal("SIGKILL");
  });
}

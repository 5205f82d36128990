import { t } from "tap";
import { type Configuration, EMPTY_CONFIGURATION, type Entry } from "../../agent/raft/types.ts";
import { ClusterWatch, type Standing } from "./cluster-watch.ts";

const OLD: Configuration = { voters: ["a", "b", "c"], outgoing: [], learners: [] };
const JOINT: Configuration = { voters: ["a", "d", "e"], outgoing: ["a", "b", "c"], learners: [] };
const NEW: Configuration = { voters: ["a", "d", "e"], outgoing: [], learners: [] };

const FOUNDING = configurationAt(1, 1, OLD);
const NOOP: Entry = { kind: "noop", index: 2, term: 2 };
const JOINING = configurationAt(3, 2, JOINT);
const LEAVING = configurationAt(4, 2, NEW);

function configurationAt(index: number, term: number, configuration: Configuration): Entry {
  return { kind: "configuration", index, term, configuration };
}

function holds(watch: ClusterWatch, memberIds: string, ...entries: readonly Entry[]): void {
  for (const memberId of memberIds) {
    const log = watch.logOf(memberId);
    const batch = { entries };
    log.write(batch);
    log.persisted(batch);
  }
}

/** What a member says of itself in term 2, with a log of four entries in its memory. */
function standing(
  id: string,
  role: Standing["role"],
  configurationIndex: number,
  configuration: Configuration,
  commitIndex: number,
): Standing {
  const termAt = (index: number) => (index > 4 ? undefined : Math.min(index, 2));
  const base = { index: 0, term: 0 };
  return { id, role, term: 2, configuration, configurationIndex, commitIndex, base, termAt };
}

function leads(watch: ClusterWatch, ...place: [index: number, Configuration, commitIndex: number]): void {
  watch.observe(standing("a", "leader", ...place));
}

/** A cluster of a, b and c that is led by a and has committed its founding. */
function foundedCluster(): ClusterWatch {
  const watch = new ClusterWatch();
  holds(watch, "abc", FOUNDING, NOOP);
  watch.voted("b", 2, "a");
  leads(watch, 1, OLD, 2);
  return watch;
}

t.test("observe() wants a majority of both sets while the leader goes by a joint configuration", (t) => {
  const watch = foundedCluster();
  holds(watch, "ade", FOUNDING, NOOP, JOINING);
  t.throws(() => leads(watch, 3, JOINT, 3), /a committed 3\/2, which 1 of 3 disks hold/);
  holds(watch, "b", JOINING);
  leads(watch, 3, JOINT, 3);
  t.equal(watch.commitIndex, 3);
  t.end();
});

t.test(
  "observe() wants one of the new set alone once the leader has left it, on its disk or not yet",
  (t) => {
    const watch = foundedCluster();
    holds(watch, "abcde", FOUNDING, NOOP, JOINING);
    leads(watch, 3, JOINT, 3);
    holds(watch, "de", LEAVING);
    leads(watch, 4, NEW, 4);
    holds(watch, "a", LEAVING);
    leads(watch, 4, NEW, 4);
    t.equal(watch.commitIndex, 4);
    t.end();
  },
);

t.test("givenUp() goes by the configuration that the last commit was counted with", (t) => {
  const watch = foundedCluster();
  holds(watch, "abcde", NOOP, JOINING);
  leads(watch, 3, JOINT, 3);
  // The joint configuration is left at 5: that is not committed itself, and the entry before it counts by the new set at once.
  const entries = [{ kind: "noop", index: 4, term: 2 } as const, configurationAt(5, 2, NEW)];
  holds(watch, "ad", ...entries);
  const termAt = (index: number) => (index > 5 ? undefined : Math.min(index, 2));
  watch.observe({ ...standing("a", "leader", 5, NEW, 4), termAt });
  watch.givenUp("e");
  t.throws(() => watch.givenUp("d"), /d gives up its data, and 1 of 3 others hold 4/);
  holds(watch, "e", ...entries);
  watch.givenUp("d");
  t.end();
});

t.test("observe() wants the leader to go by what stands in its log", (t) => {
  const watch = foundedCluster();
  holds(watch, "abcde", JOINING);
  t.throws(() => leads(watch, 1, OLD, 3), /goes by the configuration of 1, its log has one at 3/);
  t.throws(() => leads(watch, 3, NEW, 3), /goes by a configuration that does not stand in its log at 3/);
  t.throws(() => leads(watch, 5, NEW, 3), /goes by a configuration of 5, where its log has none/);
  t.end();
});

t.test("observe() wants a follower to fall back to the configuration before one that was cut off", (t) => {
  const watch = foundedCluster();
  holds(watch, "b", { kind: "noop", index: 3, term: 2 });
  t.throws(
    () => watch.observe(standing("b", "follower", 3, JOINT, 2)),
    /b goes by a configuration of 3, where its log has none/,
  );
  watch.observe(standing("b", "follower", 1, OLD, 2));
  t.end();
});

t.test("observe() wants a member to know the last configuration of its snapshot", (t) => {
  const watch = foundedCluster();
  holds(watch, "abcde", JOINING);
  leads(watch, 3, JOINT, 3);
  const base = { index: 3, term: 2 };
  t.throws(
    () => watch.observe({ ...standing("b", "follower", 1, OLD, 3), base }),
    /b goes by the configuration of 1, the last one of its snapshot is of 3/,
  );
  const newcomer = { ...standing("d", "follower", 0, EMPTY_CONFIGURATION, 3), base };
  t.throws(() => watch.observe(newcomer), /d goes by the configuration of 0, the last one of its snapshot/);
  watch.observe(newcomer, "empty");
  watch.observe({ ...standing("b", "follower", 3, JOINT, 3), base });
  t.end();
});

t.test("a joint configuration may be left once it is committed", (t) => {
  const watch = foundedCluster();
  holds(watch, "abcde", JOINING);
  t.throws(() => holds(watch, "b", LEAVING), /b leaves the joint configuration of 3, which is not committed/);
  leads(watch, 3, JOINT, 3);
  holds(watch, "a", LEAVING);
  t.end();
});

t.test("observe() finds out who knows of a commit before a leader has counted it", (t) => {
  const watch = foundedCluster();
  holds(watch, "abc", JOINING);
  t.throws(
    () => watch.observe(standing("b", "follower", 3, JOINT, 3)),
    /b committed 3, which nobody has counted/,
  );
  t.end();
});

t.test("hasQuorumWithout() keeps a disk with the founding entry", (t) => {
  const watch = new ClusterWatch();
  holds(watch, "a", FOUNDING);
  t.equal(watch.hasQuorumWithout(new Set("b")), true);
  t.equal(watch.hasQuorumWithout(new Set("a")), false);
  holds(watch, "b", FOUNDING);
  t.equal(watch.hasQuorumWithout(new Set("a")), true);
  t.equal(foundedCluster().hasQuorumWithout(new Set("a")), true);
  t.equal(foundedCluster().hasQuorumWithout(new Set("ab")), false);
  t.end();
});

t.test("hasQuorumWithout() knows the voters that a leader is asked for", (t) => {
  const watch = foundedCluster();
  const isOver = watch.wanted(["a", "d", "e"]);
  t.equal(watch.hasQuorumWithout(new Set("de")), false);
  t.equal(watch.hasQuorumWithout(new Set("d")), true);
  isOver();
  t.equal(watch.hasQuorumWithout(new Set("de")), true);
  t.end();
});

t.test("hasQuorumWithout() knows the configuration that a member goes by and has not written yet", (t) => {
  const watch = foundedCluster();
  t.equal(watch.hasQuorumWithout(new Set("d")), true);
  leads(watch, 3, { ...JOINT, voters: ["a", "d"] }, 2);
  t.equal(watch.hasQuorumWithout(new Set("d")), false);
  t.end();
});

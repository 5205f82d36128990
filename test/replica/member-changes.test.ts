import { t } from "tap";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import type { Configuration } from "../../agent/raft/types.ts";
import type { AppliedMembership } from "../../agent/replica/applier.ts";
import { MemberChanges } from "../../agent/replica/member-changes.ts";
import { Waiters } from "../../agent/replica/waiters.ts";
import { ManualClock } from "../platform/manual-clock.ts";

const TARGET = { voters: ["a", "b", "c"], learners: [] };
/** Where the change is put. */
const POSITION = { index: 5, term: 2 };

/** A leader that has proposed the change to `TARGET`; what it applies, and of which terms its log is, is told. */
class Scene {
  readonly clock = new ManualClock();
  readonly waiters = new Waiters(this.clock);
  readonly terms = new Map([[POSITION.index, POSITION.term]]);
  membership: AppliedMembership = appliedAt(1, { voters: ["a", "b"], outgoing: [], learners: [] });
  #tellProposed = (): void => undefined;
  readonly #proposed = new Promise<void>((resolve) => (this.#tellProposed = resolve));
  readonly changes = new MemberChanges({
    clock: this.clock,
    waiters: this.waiters,
    isLeader: () => true,
    configurationIndex: () => 1,
    propose: () => {
      this.#tellProposed();
      return { kind: "proposed", ...POSITION };
    },
    termAt: (index) => this.terms.get(index),
    membership: () => this.membership,
  });
  readonly done = this.changes.change(TARGET, 1_000);

  static async begin(): Promise<Scene> {
    const scene = new Scene();
    await scene.#proposed;
    return scene;
  }

  apply(index: number, configuration: Configuration): void {
    this.membership = appliedAt(index, configuration);
    this.waiters.changed();
  }
}

function appliedAt(index: number, configuration: Configuration): AppliedMembership {
  return { index, configuration, retired: [] };
}

t.test("change() resolves once the target is applied, and not while two sets of voters decide", async () => {
  const scene = await Scene.begin();
  scene.apply(5, { ...TARGET, outgoing: ["a", "b"] });
  scene.apply(6, { ...TARGET, outgoing: [] });
  await scene.done;
});

t.test("change() that was done is not taken for undone because another change followed at once", async () => {
  const scene = await Scene.begin();
  scene.apply(9, { voters: ["a"], outgoing: [], learners: [] });
  await scene.done;
});

t.test("change() rejects with not-leader where a newer leader's entry took its place", async (t) => {
  const scene = await Scene.begin();
  scene.terms.set(5, 3);
  scene.apply(7, { voters: ["a"], outgoing: [], learners: [] });
  await t.rejects(scene.done, { code: "not-leader", message: /nothing was done/ });
});

t.test("change() does not vouch for what the log does not hold any more", async (t) => {
  const scene = await Scene.begin();
  scene.terms.clear();
  scene.apply(900, { voters: ["a"], outgoing: [], learners: [] });
  await t.rejects(scene.done, { code: "outcome-unknown", message: /may or may not/ });
});

t.test("change() says that nothing was done only where a stop came before it was proposed", async (t) => {
  const scene = await Scene.begin();
  const stopping = new TrivetError("stopping", "This node is stopping: nothing was done.");
  scene.waiters.fail(stopping);
  await t.rejects(scene.done, { code: "outcome-unknown", message: /may or may not/ });
  await t.rejects(scene.changes.change(TARGET, 1_000), stopping);
});

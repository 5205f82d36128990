import { t } from "tap";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import { type Visit, WriteGate } from "../../agent/replica/write-gate.ts";
import { ManualClock } from "../platform/manual-clock.ts";

const PATIENCE_MS = 1_000;
const DEADLINE_MS = 10_000;

/** A gate on a clock that stands still, and what happens at it, in order. */
class Scene {
  readonly clock = new ManualClock();
  readonly happened: string[] = [];
  /** Called to tell that all is applied. */
  settle = (): void => undefined;
  readonly gate = new WriteGate({
    clock: this.clock,
    settled: () => new Promise((resolve) => (this.settle = resolve)),
  });

  plain(name: string, timeoutMs = DEADLINE_MS): Promise<string> {
    return this.#enter(name, timeoutMs, { mustBeAlone: () => false });
  }

  /** Stays until `leave`, or until others have waited too long. */
  alone(
    name: string,
    mustBeAlone = () => true,
    patienceMs = PATIENCE_MS,
  ): { readonly done: Promise<string>; readonly leave: () => void } {
    let leave = (): void => undefined;
    const left = new Promise<void>((resolve) => (leave = resolve));
    const done = this.#enter(name, DEADLINE_MS, {
      patienceMs,
      mustBeAlone,
      passAlone: async (othersWait) => {
        this.happened.push(`${name} begins`);
        const hurried = new Promise<never>((_, reject) =>
          othersWait.addEventListener("abort", () => reject(new TrivetError("too-expensive", name))),
        );
        await Promise.race([left, hurried]);
        this.happened.push(name);
        return name;
      },
    });
    return { done, leave };
  }

  #enter(name: string, timeoutMs: number, visit: Partial<Visit<string>>): Promise<string> {
    const pass = (): string => {
      this.happened.push(name);
      return name;
    };
    const passAlone = async (): Promise<string> => pass();
    const plain = { patienceMs: PATIENCE_MS, mustBeAlone: () => false, pass, passAlone };
    return this.gate.enter({ ...plain, ...visit }, timeoutMs);
  }
}

/** All that follows from what has happened, without time passing. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test("enter() lets plain commands through within the call, and sets no timer", async (t) => {
  const scene = new Scene();
  const passed = [scene.plain("a"), scene.plain("b")];
  t.strictSame(scene.happened, ["a", "b"]);
  t.equal(scene.clock.timers, 0);
  t.strictSame(await Promise.all(passed), ["a", "b"]);
});

t.test(
  "enter() keeps everyone waiting behind one that is alone, and lets them in in their order",
  async (t) => {
    const scene = new Scene();
    const first = scene.alone("first");
    const waiting = [scene.plain("b"), scene.plain("c")];
    const second = scene.alone("second");
    const last = scene.plain("d");
    await settled();
    t.strictSame(scene.happened, [], "what came before is not applied yet");
    scene.settle();
    await settled();
    t.strictSame(scene.happened, ["first begins"]);
    t.equal(scene.gate.waiting, 4);
    first.leave();
    t.strictSame(await Promise.all([first.done, ...waiting]), ["first", "b", "c"]);
    t.strictSame(
      scene.happened,
      ["first begins", "first", "b", "c"],
      "the second waits for these to be applied",
    );
    t.equal(scene.gate.isShut, true);
    scene.settle();
    second.leave();
    t.strictSame(await Promise.all([second.done, last]), ["second", "d"]);
    t.equal(scene.gate.isShut, false);
    t.equal(scene.clock.timers, 0);
  },
);

t.test("enter() asks only at its turn whether a command must be alone", async (t) => {
  const scene = new Scene();
  let mustBeAlone = false;
  const first = scene.alone("first");
  const second = scene.alone("second", () => mustBeAlone);
  mustBeAlone = true;
  scene.settle();
  first.leave();
  await first.done;
  await settled();
  t.strictSame(scene.happened, ["first begins", "first"], "what the first put into the log is not applied");
  scene.settle();
  second.leave();
  t.equal(await second.done, "second");
});

t.test("enter() ends the one that is alone when others have waited for its work for a while", async (t) => {
  const scene = new Scene();
  const alone = scene.alone("alone");
  scene.clock.advance(5 * PATIENCE_MS);
  const plain = scene.plain("plain");
  scene.clock.advance(5 * PATIENCE_MS);
  scene.settle();
  await settled();
  t.strictSame(scene.happened, ["alone begins"], "before its work begins, time is not counted");
  scene.clock.advance(PATIENCE_MS - 1);
  await settled();
  t.strictSame(scene.happened, ["alone begins"]);
  const refused = t.rejects(alone.done, { code: "too-expensive" });
  scene.clock.advance(1);
  await refused;
  t.equal(await plain, "plain");
});

t.test("enter() gives one that is alone all the time while nobody waits, or nobody any more", async (t) => {
  const scene = new Scene();
  const alone = scene.alone("alone");
  scene.settle();
  await settled();
  scene.clock.advance(2 * PATIENCE_MS);
  const hasty = t.rejects(scene.plain("hasty", PATIENCE_MS / 2), { code: "store-busy" });
  scene.clock.advance(PATIENCE_MS / 2);
  await hasty;
  t.equal(scene.gate.waiting, 0);
  scene.clock.advance(2 * PATIENCE_MS);
  alone.leave();
  t.equal(await alone.done, "alone");
  t.strictSame(scene.happened, ["alone begins", "alone"], "who gave up did not come through later");
});

t.test("turnAway() rejects who waits, and ends the one that is alone", async (t) => {
  const scene = new Scene();
  const alone = scene.alone("alone");
  scene.settle();
  await settled();
  const turnedAway = t.rejects(scene.plain("plain"), { code: "not-leader" });
  const ended = t.rejects(alone.done, { code: "too-expensive" });
  scene.gate.turnAway(new TrivetError("not-leader", "somebody else leads"));
  await Promise.all([turnedAway, ended]);
  t.equal(await scene.plain("later"), "later");
  t.strictSame(scene.happened, ["alone begins", "later"]);
  t.equal(scene.clock.timers, 0);
});

t.test(
  "enter() opens again after one that is alone has failed, or what came before was never applied",
  async (t) => {
    const { clock } = new Scene();
    const gate = new WriteGate({
      clock,
      settled: () => Promise.reject(new TrivetError("not-leader", "somebody else leads")),
    });
    const visit = {
      patienceMs: PATIENCE_MS,
      mustBeAlone: () => true,
      pass: () => "passed",
      passAlone: async () => "alone",
    };
    const alone = t.rejects(gate.enter(visit, DEADLINE_MS), { code: "not-leader" });
    const passed = gate.enter({ ...visit, mustBeAlone: () => false }, DEADLINE_MS);
    await alone;
    t.equal(await passed, "passed");
  },
);

t.test("enter() lets others wait for one that is alone as long as that one may take", async (t) => {
  const scene = new Scene();
  const whole = scene.alone("whole", () => true, 3 * PATIENCE_MS);
  const waiting = scene.plain("after");
  scene.settle();
  await settled();
  scene.clock.advance(2 * PATIENCE_MS);
  await settled();
  t.strictSame(scene.happened, ["whole begins"]);
  const ended = t.rejects(whole.done, { code: "too-expensive" });
  scene.clock.advance(PATIENCE_MS);
  await ended;
  t.equal(await waiting, "after");
});

import t from "tap";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import { Deadline } from "../../agent/replica/deadline.ts";
import { Waiters } from "../../agent/replica/waiters.ts";
import { WriteBrake } from "../../agent/replica/write-brake.ts";
import { ManualClock } from "../platform/manual-clock.ts";

/** A log with room for so many writes. */
function brakeScene() {
  const clock = new ManualClock();
  const waiters = new Waiters(clock);
  const entered: string[] = [];
  const asked = { looks: 0 };
  let room = 0;
  let isOver = false;
  const brake = new WriteBrake({
    waiters,
    brake: () => {
      asked.looks += 1;
      return entered.length < room ? null : "database";
    },
  });
  const write = (name: string, timeoutMs = 1_000): Promise<void> =>
    brake.pass(
      async () => {
        entered.push(name);
      },
      new Deadline(clock, timeoutMs),
      () => isOver,
    );
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    clock,
    waiters,
    brake,
    entered,
    asked,
    write,
    settle,
    makeRoom: async (count: number): Promise<void> => {
      room += count;
      waiters.changed();
      await settle();
    },
    end: async (): Promise<void> => {
      isOver = true;
      waiters.changed();
      await settle();
    },
  };
}

t.test("writes that wait go on one after the other, as far as there is room", async (t) => {
  const scene = brakeScene();
  const writes = ["a", "b", "c", "d"].map((name) => scene.write(name));
  t.equal(scene.brake.waiting, 4);
  await scene.makeRoom(1);
  t.strictSame(scene.entered, ["a"]);
  await scene.makeRoom(2);
  t.strictSame(scene.entered, ["a", "b", "c"]);
  const late = scene.write("e");
  await scene.makeRoom(5);
  t.strictSame(scene.entered, ["a", "b", "c", "d", "e"], "who came later does not get ahead");
  await Promise.all([...writes, late]);
  t.equal(scene.brake.waiting, 0);
  await scene.write("f");
  t.equal(scene.entered.at(-1), "f", "with nobody before it and room, none waits");
});

t.test("who waits too long leaves its place to the next, first or not", async (t) => {
  const scene = brakeScene();
  const first = t.rejects(scene.write("first", 100), { code: "store-busy", message: /has not taken up/ });
  const second = t.rejects(scene.write("second", 50), { code: "store-busy" });
  const third = scene.write("third");
  scene.clock.advance(50);
  await second;
  scene.clock.advance(50);
  await first;
  t.equal(scene.brake.waiting, 1);
  await scene.makeRoom(1);
  await third;
  t.strictSame(scene.entered, ["third"]);
});

t.test("who need not wait any more goes on, however many there are", async (t) => {
  const scene = brakeScene();
  const writes = ["a", "b", "c"].map((name) => scene.write(name));
  await scene.end();
  await Promise.all(writes);
  t.strictSame(scene.entered, ["a", "b", "c"]);
});

t.test("an owner that stops rejects all of them", async (t) => {
  const scene = brakeScene();
  const all = ["a", "b", "c"].map((name) => t.rejects(scene.write(name), { message: "stops" }));
  await scene.settle();
  scene.waiters.fail(new TrivetError("stopping", "stops"));
  await Promise.all(all);
  t.strictSame(scene.entered, []);
});

t.test("one more that goes on costs the same, however many wait", async (t) => {
  const looksWith = async (count: number): Promise<number> => {
    const scene = brakeScene();
    const writes = Array.from({ length: count }, (_, nth) => scene.write(`${nth}`));
    await scene.settle();
    const before = scene.asked.looks;
    await scene.makeRoom(1);
    const looks = scene.asked.looks - before;
    await scene.makeRoom(count);
    await Promise.all(writes);
    return looks;
  };
  t.equal(await looksWith(400), await looksWith(4));
});

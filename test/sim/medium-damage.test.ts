import t, { type Test } from "tap";
import type { DurableLog } from "../../agent/log/durable-log.ts";
import { type DiskOperation, MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import { command, LOSES_ALL, openLog } from "../log/log-fixture.ts";
import { damageMedium, MEDIUM_FAULTS, type MediumFault } from "./medium-damage.ts";
import { SimRandom } from "./sim-random.ts";
import { rememberWrites, WriteMemory } from "./write-memory.ts";

const SEEDS = 30;

/** Resolves when a call of this kind is under way, which then never ends. */
function untilHangs(disk: MemoryDirectory, operation: DiskOperation): Promise<void> {
  return new Promise((resolve) => {
    disk.onCall = (call) => {
      if (call.operation !== operation) return undefined;
      resolve();
      return "halt";
    };
  });
}

async function append(log: DurableLog, ...lengths: readonly number[]): Promise<void> {
  for (const [at, length] of lengths.entries()) await log.append({ entries: [command(at + 1, 1, length)] });
}

/** The entries that a log finds on the damaged disk; "damaged" if it says so. */
async function foundOn(disk: MemoryDirectory): Promise<number | "damaged"> {
  try {
    return (await openLog(disk)).recovered.entries.length;
  } catch (error) {
    if (isTrivetError(error, "log-corrupt")) return "damaged";
    throw error;
  }
}

/** What a log finds after each of many damages. `newestIndex`: of the databases. */
async function findAfter(
  fault: MediumFault,
  disk: MemoryDirectory,
  writes: WriteMemory,
  newestIndex = 0,
): Promise<readonly (number | "damaged")[]> {
  const databases = { newest: { index: newestIndex, term: 1 }, pendingInstall: null };
  const found: (number | "damaged")[] = [];
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const damaged = disk.copy();
    await damageMedium({ disk: damaged, writes, fault, random: new SimRandom(seed), databases });
    found.push(await foundOn(damaged));
  }
  return found;
}

/** Whatever is damaged, a log can tell: it finds all of its entries, or that they are damaged. */
async function checkTells(t: Test, disk: MemoryDirectory, memory: WriteMemory, entries: number) {
  for (const fault of MEDIUM_FAULTS) {
    const found = await findAfter(fault, disk, memory);
    t.same(
      found.filter((one) => one !== "damaged" && one !== entries),
      [],
      `${fault}: no entry is missing without a word`,
    );
    t.ok(found.includes("damaged"), `${fault}: something was damaged`);
  }
}

t.test("damageMedium() leaves the last batch alone while the next segment is made longer", async (t) => {
  const disk = new MemoryDirectory();
  const memory = new WriteMemory();
  const { log } = await openLog(rememberWrites(disk, memory));
  await append(log, 500, 500, 500, 500, 500, 16_000);
  const lengthened = untilHangs(disk, "sync");
  void log.append({ entries: [command(7, 1, 16_000)] });
  await lengthened;
  await checkTells(t, disk.kill(), memory, 6);
});

t.test("damageMedium() leaves a batch alone whose successor no start has made durable", async (t) => {
  const memory = new WriteMemory();
  let disk = new MemoryDirectory();
  const { log } = await openLog(rememberWrites(disk, memory));
  await append(log, 100, 100, 100, 100, 100, 100);
  const written = untilHangs(disk, "sync");
  void log.append({ entries: [command(7, 1)] });
  await written;
  for (let start = 1; start <= 4; start += 1) {
    disk = disk.kill();
    const writtenAgain = untilHangs(disk, "sync");
    void openLog(rememberWrites(disk, memory));
    await writtenAgain;
  }
  await checkTells(t, disk.crash(LOSES_ALL), memory, 6);
});

t.test("damageMedium() damages the last batch only where the databases hold its entry", async (t) => {
  const memory = new WriteMemory();
  const directory = new MemoryDirectory();
  const { log } = await openLog(rememberWrites(directory, memory));
  await append(log, 100, 100, 100, 100, 100, 100);
  const disk = directory.kill();
  for (const fault of MEDIUM_FAULTS) {
    const told = await findAfter(fault, disk, memory, 6);
    t.ok(told.includes(5), `${fault}: the log ends before its last entry, and says nothing`);
    const unnoticed = told.filter((found) => found !== "damaged" && found < 5);
    if (fault === "lost") t.ok(unnoticed.includes(3), "nor where the last three are gone");
    else t.same(unnoticed, [], "what stands before another one is missed by the log");
    const untold = await findAfter(fault, disk, memory, 5);
    t.notOk(untold.includes(5), `${fault}: nobody could find that out`);
  }
});

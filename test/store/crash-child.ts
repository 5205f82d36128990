import { systemClock } from "../../agent/platform/clock.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import { crashEntry } from "./crash-log.ts";

/** Applies entries of the crash log from where the store in argv[2] stands, until it is killed. */
const [, , directory = ""] = process.argv;
const store = await openSqliteStore({ directory, logger: { log: () => undefined }, clock: systemClock });
process.stdout.write(`opened ${store.applied.index}\n`);
for (let batch = 1; ; batch = (batch * 5 + 3) % 17) {
  const first = store.applied.index + 1;
  await store.apply(Array.from({ length: batch }, (_, nth) => crashEntry(first + nth)));
  process.stdout.write(`applied ${store.applied.index}\n`);
  if (batch % 5 === 0) await store.checkpoint();
}

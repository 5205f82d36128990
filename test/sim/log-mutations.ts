import type { Mutation } from "./mutation.ts";

/** Bugs of a durable log: a disk does what it likes with what was not synced. */
export const LOG_MUTATIONS: readonly Mutation[] = [
  {
    name: "truncate the log at the first bad CRC",
    file: "log/log-recovery.ts",
    find: "if (!this.#isNext(header.sequence) || isElsewhere) {",
    replace: "if (false) {",
    seeds: 60,
  },
  {
    name: "acknowledge before the sync",
    file: "log/log-writer.ts",
    find: "await segment.file.sync();",
    replace: ";",
    seeds: 30,
  },
  {
    name: "trust the last batch that is found after a crash",
    file: "log/log-mending.ts",
    find: "await file.write(tail.offset, tail.image.subarray(tail.offset, tail.end)); await file.sync();",
    replace: ";",
    seeds: 100,
  },
  {
    name: "leave the remains of a torn batch",
    file: "log/log-mending.ts",
    find: "await file.write(from, Buffer.alloc(bytes));",
    replace: ";",
    seeds: 100,
  },
  {
    name: "take a new segment before its name is durable",
    file: "log/segment-pool.ts",
    find: "await this.#directory.sync(); this.#nextNumber",
    replace: "this.#nextNumber",
    seeds: 30,
  },
];

import { readFileSync } from "node:fs";

/** MiB of a process, as the kernel counts them now (proc(5), smaps_rollup). */
export interface ProcessMemory {
  /** All that is in memory. Processes of one program count its code each. */
  readonly rss: number;
  /** The same, with what several processes share divided among them. */
  readonly pss: number;
  /** What no other process has, and no file: heaps, stacks, buffers. */
  readonly own: number;
}

export function memoryOf(pid: number): ProcessMemory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const read = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]) / 1024;
  return { rss: read("Rss"), pss: read("Pss"), own: read("Private_Dirty") };
}

/** CPU time of a process since it began, milliseconds; in ticks of 10. */
export function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

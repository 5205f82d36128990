import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { ChildReply, ChildRequest } from "./child.ts";

const HERE = import.meta.dirname;

/** Runs seeds in child processes, as many at once as there are jobs. */
export class SeedPool {
  readonly #children: readonly ChildProcess[];

  constructor(options: { readonly jobs: number; readonly mutation: string | null }) {
    const { mutation } = options;
    const env = mutation === null ? process.env : { ...process.env, TRIVET_SIM_MUTATION: mutation };
    const execArgv = ["--import", pathToFileURL(join(HERE, "rewrite-sources.js")).href];
    this.#children = Array.from({ length: options.jobs }, () =>
      fork(join(HERE, "child.js"), { env, execArgv }),
    );
  }

  /**
   * Calls `onReply` for every seed, in any order, until it returns false or there are no more. Seeds that were not begun are left in
   * an iterator.
   */
  async run(
    seeds: Iterable<number>,
    withLog: boolean,
    onReply: (reply: ChildReply) => boolean,
  ): Promise<void> {
    const rest = seeds[Symbol.iterator]();
    let isOver = false;
    const work = async (child: ChildProcess): Promise<void> => {
      while (!isOver) {
        const next = rest.next();
        if (next.done === true) return;
        const reply = await ask(child, { seed: next.value, withLog });
        if (!onReply(reply)) isOver = true;
      }
    };
    await Promise.all(this.#children.map(work));
  }

  close(): void {
    for (const child of this.#children) child.kill();
  }
}

function ask(child: ChildProcess, request: ChildRequest): Promise<ChildReply> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null) =>
      reject(new Error(`the process of seed ${request.seed} ended with ${code}`));
    child.once("exit", ended);
    child.once("message", (reply) => {
      child.off("exit", ended);
      resolve(reply as ChildReply);
    });
    child.send(request);
  });
}

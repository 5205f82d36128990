import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { runTrivet } from "./run-trivet.ts";

const MAIN = fileURLToPath(new URL("../../agent/cli/main.js", import.meta.url));
const DEADLINE_MS = 30_000;

/** `trivet dev` without a terminal, read line by line. */
class DevProcess {
  readonly child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #stderr: string[] = [];
  #wake: () => void = () => undefined;

  constructor(t: Test, args: readonly string[]) {
    this.child = spawn(process.execPath, [MAIN, "dev", ...args], { stdio: ["ignore", "pipe", "pipe"] });
    const { stdout, stderr } = this.child;
    if (stdout === null || stderr === null) throw new Error("pipes were asked for");
    createInterface({ input: stdout }).on("line", (line) => {
      this.#lines.push(line);
      this.#wake();
    });
    createInterface({ input: stderr }).on("line", (line) => this.#stderr.push(line));
    this.child.once("close", () => this.#wake());
    t.teardown(async () => {
      if (this.child.exitCode === null && this.child.signalCode === null) await this.end("SIGKILL");
    });
  }

  /** Removes lines up to the first that matches, and resolves with what it captured. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    const deadline = AbortSignal.timeout(DEADLINE_MS);
    for (;;) {
      for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
        const match = pattern.exec(line);
        if (match) return match;
      }
      if (this.child.exitCode !== null || this.child.signalCode !== null || deadline.aborted) {
        throw new Error(`no line ${pattern}; stderr: ${this.#stderr.join("\n")}`);
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        deadline.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal);
    await once(this.child, "close");
    return this.child.exitCode;
  }
}

/** The kernel tells nobody but the parent that a process ended, and the parent may be dead: ask until it has. */
async function untilGone(pid: number): Promise<void> {
  const end = performance.now() + DEADLINE_MS;
  while (isAlive(pid)) {
    if (performance.now() > end) throw new Error(`process ${pid} is still there`);
    await delay(20);
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

t.test("trivet dev keeps a cluster running", { timeout: 120_000 }, async (t) => {
  const directory = t.testdir();
  const args = ["--nodes", "2", "--data", directory];
  const dev = new DevProcess(t, args);
  const pids: number[] = [];
  for (const name of ["node-1", "node-2"]) {
    pids.push(Number((await dev.line(new RegExp(`^${name} starting, process (\\d+), API http`)))[1]));
  }
  const [, api = ""] = await dev.line(/^all agree on a leader; try: node .*main.js sql --api (\S+) "/);

  await t.test("the line that it shows works", async (t) => {
    t.match(await runTrivet(["sql", "--api", api, "SELECT 1 AS one"]), { code: 0, stdout: /one/ });
    t.match(await runTrivet(["status", "--api", api]), { code: 0 });
  });

  await t.test("a second one on the same data is refused, and harms nothing", async (t) => {
    t.match(await runTrivet(["dev", ...args]), { code: 1, stderr: /runs already, on port \d+/ });
    t.ok(pids.every(isAlive));
  });

  await t.test("a killed node is started again", async () => {
    process.kill(pids[1] ?? 0, "SIGKILL");
    await dev.line(/^node-2 down: killed by SIGKILL; starts again in 250 ms$/);
    pids[1] = Number((await dev.line(/^node-2 starting, process (\d+)/))[1]);
    await dev.line(/^node-2 (?:leader|follower), term/);
  });

  await t.test("Ctrl-C ends everything", async (t) => {
    t.equal(await dev.end("SIGINT"), 0);
    t.notOk(pids.some(isAlive));
  });

  await t.test("a second start resumes with the same ports, and says where it could not", async (t) => {
    const before = JSON.parse(await readFile(join(directory, "dev.json"), "utf8"));
    const taken = createServer().listen(before.nodes[0].mqtt, "127.0.0.1");
    await once(taken, "listening");
    t.teardown(() => taken.close());
    const again = new DevProcess(t, args);
    await again.line(new RegExp(`^node-1: port ${before.nodes[0].mqtt} is taken, its broker is on \\d+$`));
    const started = [
      await again.line(/^node-1 starting, process (\d+)/),
      await again.line(/^node-2 starting, process (\d+)/),
    ];
    await again.line(/^all agree on a leader; /);
    const after = JSON.parse(await readFile(join(directory, "dev.json"), "utf8"));
    t.equal(after.nodes[0].http, before.nodes[0].http);
    t.same(after.nodes[1], before.nodes[1]);

    // Also if it cannot say goodbye.
    await again.end("SIGKILL");
    for (const [, pid] of started) await untilGone(Number(pid));
  });
});

t.test("trivet dev ends with the reason if a node cannot start", { timeout: 60_000 }, async (t) => {
  const directory = t.testdir({ "node-1": { raft: "a file where a directory must be" } });
  const { code, stderr } = await runTrivet(["dev", "--nodes", "1", "--data", directory]);
  t.equal(code, 1);
  t.match(stderr, /^trivet: node-1 cannot start: ended with code \d+: trivet: /);
});

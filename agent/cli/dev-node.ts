import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { AgentStatus } from "../membership/agent-status.ts";
import { BoundedLogFile } from "./bounded-log-file.ts";
import { parseStatus } from "./parse-status.ts";

const POLL_EVERY_MS = 250;
const POLL_TIMEOUT_MS = 500;
const RESTART_MS_MIN = 250;
const RESTART_MS_MAX = 10_000;
/** Who lived this long starts again after the shortest wait. */
const HEALTHY_MS = 10_000;
const LOG_BYTES_MAX = 1024 * 1024;
/** What an agent says when it ends badly: its own last word, an error in its log, a bug's exception. */
const COMPLAINT = /^(?:trivet: |error |\w*Error: )/;

/** One node as `trivet dev` sees it. */
export interface DevNodeView {
  readonly name: string;
  readonly api: string;
  /** `failed`: it never served; there is no use in starting it again. */
  readonly state: "new" | "starting" | "up" | "down" | "failed" | "stopped";
  readonly pid: number | undefined;
  /** Its last word about itself; undefined while it is not up. */
  readonly status: AgentStatus | undefined;
  /** Why it is not up; empty if it is. */
  readonly reason: string;
}

/**
 * Keeps one agent process running, as systemd would: started again with a growing delay when it ends by itself.
 * Its messages go to a file, its state is polled from its API.
 */
export class DevNode {
  readonly #argv: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  readonly #log: BoundedLogFile;
  readonly #onChange: () => void;
  #child: ChildProcess | undefined;
  #view: DevNodeView;
  #startedMs = 0;
  #restartMs = RESTART_MS_MIN;
  #complaint = "";
  #isStopping = false;
  #hasServed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: {
    readonly name: string;
    readonly api: string;
    /** Arguments of this Node executable. */
    readonly argv: readonly string[];
    readonly env: NodeJS.ProcessEnv;
    /** Where `<name>.log` goes. */
    readonly directory: string;
    readonly onChange: () => void;
  }) {
    const { name, api } = options;
    this.#argv = options.argv;
    this.#env = options.env;
    this.#log = new BoundedLogFile(join(options.directory, `${name}.log`), LOG_BYTES_MAX);
    this.#onChange = options.onChange;
    this.#view = { name, api, state: "new", pid: undefined, status: undefined, reason: "" };
  }

  get view(): DevNodeView {
    return this.#view;
  }

  start(): void {
    this.#startedMs = performance.now();
    this.#complaint = "";
    // In a process group of its own, Ctrl-C on the terminal reaches only us: we stop the nodes. Over the IPC
    // channel the agent notices if we die before that.
    const child = spawn(process.execPath, this.#argv, {
      detached: true,
      env: this.#env,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on("line", (line) => this.#onLine(line));
    }
    child.once("error", (error) => this.#onLine(error.message));
    child.once("close", (code, signal) =>
      this.#onEnd(signal ? `killed by ${signal}` : `ended with code ${code}`, signal === null),
    );
    this.#change({ state: "starting", pid: child.pid, status: undefined, reason: "starting" });
    void this.#poll(child);
  }

  /** Asks it to end, kills it after `deadlineMs`. Resolves when the process is gone. */
  async stop(deadlineMs: number): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child) {
      const killer = setTimeout(() => child.kill("SIGKILL"), deadlineMs);
      await new Promise<void>((resolve) => {
        child.once("close", () => resolve());
        child.kill("SIGTERM");
      });
      clearTimeout(killer);
    }
    this.#log.close();
    this.#change({ state: "stopped", pid: undefined, status: undefined, reason: "" });
  }

  #onLine(line: string): void {
    this.#log.write(`${line}\n`);
    if (COMPLAINT.test(line)) this.#complaint = line;
  }

  /** `byItself`: not by a signal. An agent that ends so before it has ever served will do it again. */
  #onEnd(how: string, byItself: boolean): void {
    this.#child = undefined;
    if (this.#isStopping) return;
    const reason = this.#complaint === "" ? how : `${how}: ${this.#complaint}`;
    if (byItself && !this.#hasServed) {
      this.#change({ state: "failed", pid: undefined, status: undefined, reason });
      return;
    }
    const isHealthy = performance.now() - this.#startedMs >= HEALTHY_MS;
    const delayMs = isHealthy ? RESTART_MS_MIN : this.#restartMs;
    this.#restartMs = Math.min(delayMs * 2, RESTART_MS_MAX);
    const again = `${reason}; starts again in ${delayMs} ms`;
    this.#change({ state: "down", pid: undefined, status: undefined, reason: again });
    this.#timer = setTimeout(() => this.start(), delayMs);
  }

  async #poll(child: ChildProcess): Promise<void> {
    const { api } = this.#view;
    while (this.#child === child && !this.#isStopping) {
      try {
        const response = await fetch(`${api}/status`, { signal: AbortSignal.timeout(POLL_TIMEOUT_MS) });
        const status = parseStatus(api, await response.text());
        if (this.#child !== child || this.#isStopping) return;
        this.#hasServed = true;
        this.#change({ state: "up", pid: child.pid, status, reason: "" });
      } catch {
        if (this.#child !== child || this.#isStopping) return;
        // Not there yet, or too busy to answer: what is known of it is old news.
        if (this.#view.state === "up")
          this.#change({ ...this.#view, status: undefined, reason: "does not answer" });
      }
      await new Promise((resolve) => {
        this.#timer = setTimeout(resolve, POLL_EVERY_MS);
      });
    }
  }

  #change(change: Omit<DevNodeView, "name" | "api">): void {
    this.#view = { ...this.#view, ...change };
    this.#onChange();
  }
}

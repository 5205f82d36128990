import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { AgentStatus } from "../../agent/membership/agent-status.ts";
import { type AgentPlace, HERE } from "./agent-place.ts";
import { until } from "./until.ts";

/** The bundle that `npm run build` made: `dist/` stands beside the folder that the tests are compiled to. */
export const BUNDLE = fileURLToPath(new URL("../../../dist/trivet.mjs", import.meta.url));

/** Longest wait for anything that a healthy agent does. */
const DEADLINE_MS = 30_000;
const REQUEST_MS = 30_000;
const LINES_MAX = 2_000;

export interface QueryResult {
  readonly columns?: readonly string[];
  readonly values?: readonly (readonly unknown[])[];
  readonly rows_affected?: number;
  readonly last_insert_id?: number;
  readonly error?: string;
  readonly code?: string;
}

/** The answer to a request that was understood; `status` other than 200 comes with `code`. */
export interface Answer {
  readonly status: number;
  readonly code?: string;
  readonly error?: string;
  readonly results?: readonly QueryResult[];
  /** The id of a session that was opened. */
  readonly session?: number;
}

export interface AgentProcessOptions {
  readonly name: string;
  readonly directory: string;
  readonly http: number;
  /** Port of its broker; null: it has none. */
  readonly mqtt: number | null;
  readonly args: readonly string[];
  readonly place?: AgentPlace;
  /** What runs, if it is not the bundle's `trivet agent`: a script that takes its flags. */
  readonly program?: readonly string[];
}

/** One real agent: `trivet agent` as a process of its own, with its data and its ports. */
export class AgentProcess {
  readonly name: string;
  readonly directory: string;
  readonly url: string;
  readonly #place: AgentPlace;
  readonly #program: readonly string[];
  readonly #args: readonly string[];
  readonly #lines: string[] = [];
  #child: ChildProcess | null = null;

  constructor(options: AgentProcessOptions) {
    const { name, directory, http, mqtt, args, place = HERE, program = [BUNDLE, "agent"] } = options;
    this.name = name;
    this.directory = directory;
    this.url = `http://127.0.0.1:${http}`;
    this.#place = place;
    this.#program = program;
    this.#args = [
      ...["--name", name, "--data", directory],
      ...["--http", `127.0.0.1:${http}`, "--mqtt", mqtt === null ? "off" : `${place.address}:${mqtt}`],
      ...args,
    ];
  }

  /** What all its processes have logged, the newest last. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  get isRunning(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Of the running process. */
  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.name} does not run`);
    return pid;
  }

  start(): void {
    const [program = "", ...args] = [...this.#place.enter, process.execPath, ...this.#program, ...this.#args];
    const child = spawn(program, args, {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child = child;
    createInterface({ input: child.stderr }).on("line", (line) => {
      this.#lines.push(line);
      if (this.#lines.length > LINES_MAX) this.#lines.shift();
    });
  }

  /** Resolves with the exit code; null if a signal ended it. */
  async exited(): Promise<number | null> {
    const child = this.#child;
    if (child === null) throw new Error(`${this.name} was not started`);
    // `close` comes after the last line of output.
    if (this.isRunning) await once(child, "close", { signal: AbortSignal.timeout(DEADLINE_MS) });
    return child.exitCode;
  }

  /** Nobody reads what the agent logs from now on. */
  closeLog(): void {
    this.#child?.stderr?.destroy();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.exited();
  }

  /** A clean stop. Resolves with the exit code. */
  async stop(): Promise<number | null> {
    this.signal("SIGTERM");
    return this.exited();
  }

  async status(): Promise<AgentStatus> {
    const { body } = await this.#place.request(`${this.url}/status`, {
      method: "GET",
      deadlineMs: REQUEST_MS,
    });
    return JSON.parse(body) as AgentStatus;
  }

  /** Resolves with the first status that `isMet` accepts; a node that does not answer (yet) counts as not met. */
  untilStatus(what: string, isMet: (status: AgentStatus) => boolean): Promise<AgentStatus> {
    return until(`${this.name}: ${what}`, DEADLINE_MS, async () => {
      const status = await this.status().catch(() => null);
      return status !== null && isMet(status) ? status : null;
    });
  }

  execute(body: unknown, parameters = ""): Promise<Answer> {
    return this.post(`/db/execute${parameters}`, JSON.stringify(body));
  }

  query(sql: string, level = "none"): Promise<Answer> {
    return this.post(`/db/query?level=${level}`, JSON.stringify([sql]));
  }

  async post(path: string, body: string): Promise<Answer> {
    const request = { method: "POST", body, deadlineMs: REQUEST_MS } as const;
    const answer = await this.#place.request(`${this.url}${path}`, request);
    return { status: answer.status, ...(JSON.parse(answer.body) as object) };
  }

  /** The rows of a query on this node's own copy. */
  async rows(sql: string): Promise<readonly (readonly unknown[])[]> {
    const answer = await this.query(sql);
    const [result] = answer.results ?? [];
    if (result === undefined || result.error !== undefined)
      throw new Error(`${sql}: ${JSON.stringify(answer)}`);
    return result.values ?? [];
  }
}

import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { TrivetError } from "../platform/trivet-error.ts";

/** One node of a local cluster: its name and its ports on 127.0.0.1. */
export interface DevNodePlan {
  readonly name: string;
  readonly http: number;
  readonly mqtt: number;
}

export interface DevPlan {
  readonly nodes: readonly DevNodePlan[];
  /** What a person should know, such as a port that had to be changed. */
  readonly notices: readonly string[];
}

const FIRST_HTTP_PORT = 4001;
const FIRST_MQTT_PORT = 18_831;
/** As many ports are tried before giving up. */
const PORTS_TRIED_MAX = 200;

/**
 * Who runs where: as remembered in `dev.json` in the data directory, else new. A remembered port that another
 * program has taken meanwhile is replaced (a node is its key, not its address). Rejects with `dev-mismatch` if the
 * data belongs to another number of nodes, `dev-running` if they run already, `dev-unreadable`.
 */
export async function loadDevPlan(directory: string, count: number): Promise<DevPlan> {
  const path = join(directory, "dev.json");
  await mkdir(directory, { recursive: true });
  const remembered = await readPlan(path);
  if (remembered !== undefined && remembered.length !== count) {
    throw new TrivetError(
      "dev-mismatch",
      `${directory} holds a cluster of ${remembered.length} nodes, not of ${count}: ` +
        `start it with --nodes ${remembered.length}, or keep the new one elsewhere with --data DIR.`,
    );
  }
  const wanted = remembered ?? Array.from({ length: count }, (_, index) => freshNode(index));
  for (const node of remembered ?? []) await refuseIfRunning(node, directory);

  const ports = new PortPicker(wanted.flatMap(({ http, mqtt }) => [http, mqtt]));
  const notices: string[] = [];
  const nodes: DevNodePlan[] = [];
  for (const { name, ...old } of wanted) {
    const http = await ports.pick(old.http);
    const mqtt = await ports.pick(old.mqtt);
    if (http !== old.http) notices.push(`${name}: port ${old.http} is taken, its API is on ${http}`);
    if (mqtt !== old.mqtt) notices.push(`${name}: port ${old.mqtt} is taken, its broker is on ${mqtt}`);
    nodes.push({ name, http, mqtt });
  }
  await writePlan(path, nodes);
  return { nodes, notices };
}

async function readPlan(path: string): Promise<readonly DevNodePlan[] | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new TrivetError("dev-unreadable", `Cannot read ${path}: ${String(error)}.`, { cause: error });
  }
  const nodes = parsePlan(text);
  if (nodes === undefined) {
    throw new TrivetError(
      "dev-unreadable",
      `${path} is not what trivet dev wrote: restore it, or use --data DIR.`,
    );
  }
  return nodes;
}

function parsePlan(text: string): readonly DevNodePlan[] | undefined {
  try {
    const plan: unknown = JSON.parse(text);
    if (typeof plan !== "object" || plan === null || !("nodes" in plan)) return undefined;
    return Array.isArray(plan.nodes) && plan.nodes.every(isNodePlan) ? plan.nodes : undefined;
  } catch {
    return undefined;
  }
}

function isNodePlan(value: unknown): value is DevNodePlan {
  if (typeof value !== "object" || value === null) return false;
  return "name" in value && "http" in value && isPort(value.http) && "mqtt" in value && isPort(value.mqtt);
}

function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value > 0 && value < 65_536;
}

/** Whole or not at all: a torn file would orphan the data. */
async function writePlan(path: string, nodes: readonly DevNodePlan[]): Promise<void> {
  const temporary = `${path}.tmp`;
  await writeFile(temporary, `${JSON.stringify({ nodes }, null, 2)}\n`, { flush: true });
  await rename(temporary, path);
}

/** Gives each the port that it wants; if another program has that, the next one that is free and nobody wants. */
class PortPicker {
  readonly #wanted: Set<number>;

  constructor(wanted: readonly number[]) {
    this.#wanted = new Set(wanted);
  }

  async pick(wanted: number): Promise<number> {
    if (await isFree(wanted)) return wanted;
    for (let port = wanted + 1; port < Math.min(wanted + PORTS_TRIED_MAX, 65_536); port++) {
      if (this.#wanted.has(port) || !(await isFree(port))) continue;
      this.#wanted.add(port);
      return port;
    }
    throw new TrivetError(
      "port-in-use",
      `No port from ${wanted} on is free on 127.0.0.1: tried ${PORTS_TRIED_MAX}.`,
    );
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port }, () => server.close(() => resolve(true)));
  });
}

function freshNode(index: number): DevNodePlan {
  return { name: `node-${index + 1}`, http: FIRST_HTTP_PORT + index, mqtt: FIRST_MQTT_PORT + index };
}

async function refuseIfRunning(node: DevNodePlan, directory: string): Promise<void> {
  if ((await isFree(node.http)) || !(await isTrivetNode(node))) return;
  throw new TrivetError(
    "dev-running",
    `${node.name} of ${directory} runs already, on port ${node.http}: stop that trivet dev first, or use --data DIR.`,
  );
}

/** True if what listens there says that it is this node. */
async function isTrivetNode({ name, http }: DevNodePlan): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${http}/status`, { signal: AbortSignal.timeout(500) });
    const status: unknown = await response.json();
    if (typeof status !== "object" || status === null || !("node" in status)) return false;
    const { node } = status;
    return typeof node === "object" && node !== null && "name" in node && node.name === name;
  } catch {
    // Whatever it is, it is not an agent: the port is simply taken.
    return false;
  }
}

import { mkdir } from "node:fs/promises";
import { basename, join, relative, resolve } from "node:path";
import { TrivetError } from "../platform/trivet-error.ts";
import type { Command, CommandIo } from "./command.ts";
import { DevNode } from "./dev-node.ts";
import { type DevNodePlan, loadDevPlan } from "./dev-plan.ts";
import { describeNode, drawCluster, isAgreed } from "./dev-view.ts";
import { EXIT_CODE } from "./exit-code.ts";
import { LiveScreen } from "./live-screen.ts";
import { UsageError } from "./usage-error.ts";

const NODES_DEFAULT = 3;
const NODES_MAX = 9;
const DATA_DEFAULT = ".trivet/dev";
/** Longer than an agent's own graceful stop may take. */
const STOP_DEADLINE_MS = 8_000;

export const devCommand: Command = {
  name: "dev",
  summary: "run a whole cluster on this machine, one process per node, all on loopback",
  operands: "",
  operandsMax: 0,
  flags: [
    { name: "nodes", placeholder: "N", doc: `how many, 1 to ${NODES_MAX} (default ${NODES_DEFAULT})` },
    { name: "data", placeholder: "DIR", doc: `where their data and logs are kept (default ${DATA_DEFAULT})` },
  ],
  examples: [
    { line: "trivet dev", does: "three nodes; Ctrl-C ends them all, a second start resumes the same data" },
    { line: "trivet dev --nodes 5 --data /tmp/five", does: "five nodes, with their data elsewhere" },
  ],
  async run(given, io) {
    const count = nodesOf(given.text("nodes"));
    const directory = resolve(given.text("data") ?? DATA_DEFAULT);
    const plan = await loadDevPlan(directory, count);
    const isLive = io.stdout.isTTY === true;
    const hint = `try: ${startedAs()} sql --api http://127.0.0.1:${plan.nodes[0]?.http} "SELECT sqlite_version()"`;
    const intro = [
      `${count} nodes, data and logs in ${directory}`,
      ...plan.notices,
      ...(isLive ? [hint] : []),
      "",
    ];

    const show = isLive ? liveView(intro, io) : lineView(intro, hint, io);
    return superviseNodes(plan.nodes, directory, io, show);
  },
};

type ShowNodes = (nodes: readonly DevNode[]) => void;

/** Runs the nodes until a signal comes or one of them cannot start. */
async function superviseNodes(
  plans: readonly DevNodePlan[],
  directory: string,
  io: CommandIo,
  show: ShowNodes,
): Promise<number> {
  let end: (failure?: DevNode) => void = () => undefined;
  const ended = new Promise<DevNode | undefined>((resolve) => {
    end = resolve;
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => end());

  const nodes: DevNode[] = [];
  const onChange = (): void => {
    show(nodes);
    const failed = nodes.find(({ view }) => view.state === "failed");
    if (failed) end(failed);
  };
  for (const plan of plans) {
    await mkdir(join(directory, plan.name), { recursive: true });
    const argv = [...process.execArgv, process.argv[1] ?? "", ...agentArguments(plan, plans, directory)];
    const api = `http://127.0.0.1:${plan.http}`;
    nodes.push(new DevNode({ name: plan.name, api, argv, env: childEnv(io.env), directory, onChange }));
  }
  for (const node of nodes) node.start();

  const failed = await ended;
  // Kept before it is overwritten by the stop.
  const reason = failed?.view.reason;
  await Promise.all(nodes.map((node) => node.stop(STOP_DEADLINE_MS)));
  if (failed) throw new TrivetError("node-failed", `${failed.view.name} cannot start: ${reason}`);
  return EXIT_CODE.done;
}

function agentArguments(plan: DevNodePlan, plans: readonly DevNodePlan[], directory: string): string[] {
  const peers = plans
    .filter((other) => other !== plan)
    .flatMap(({ mqtt }) => ["--peer", `mqtt://127.0.0.1:${mqtt}`]);
  return [
    "agent",
    ...["--data", join(directory, plan.name)],
    ...["--name", plan.name],
    ...["--cluster", "dev"],
    ...["--http", `127.0.0.1:${plan.http}`],
    ...["--mqtt", `127.0.0.1:${plan.mqtt}`],
    ...["--bootstrap-expect", `${plans.length}`],
    ...peers,
  ];
}

/** What is set for a real agent on this machine is not meant for these. */
function childEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("TRIVET_")));
}

function liveView(intro: readonly string[], { stdout }: CommandIo): ShowNodes {
  const screen = new LiveScreen(stdout, { isLive: true });
  return (nodes) => screen.show([...intro, ...drawCluster(nodes.map(({ view }) => view))]);
}

/** One line per change, and how to try it once all agree on a leader for the first time. */
function lineView(intro: readonly string[], hint: string, { stdout }: CommandIo): ShowNodes {
  stdout.write(
    intro
      .filter((line) => line !== "")
      .map((line) => `${line}\n`)
      .join(""),
  );
  const shown = new Map<string, string>();
  let isHintShown = false;
  return (nodes) => {
    const views = nodes.map(({ view }) => view);
    for (const view of views) {
      const line = describeNode(view);
      if (view.state === "new" || shown.get(view.name) === line) continue;
      shown.set(view.name, line);
      stdout.write(`${line}\n`);
    }
    if (isHintShown || !isAgreed(views)) return;
    isHintShown = true;
    stdout.write(`all agree on a leader; ${hint}\n`);
  };
}

/** How a person would start this program again from here. */
function startedAs(): string {
  const script = process.argv[1] ?? "";
  if (basename(script) === "trivet") return "trivet";
  const path = relative(process.cwd(), script);
  return `node ${path.startsWith("..") ? script : path}`;
}

function nodesOf(text: string | undefined): number {
  if (text === undefined) return NODES_DEFAULT;
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (count >= 1 && count <= NODES_MAX) return count;
  throw new UsageError(
    `--nodes: found ${JSON.stringify(text)}, but it must be a number from 1 to ${NODES_MAX}`,
  );
}

import { createServer } from "node:http";
import { hostname } from "node:os";
import { json } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { startApiServer } from "../../agent/api/start-api-server.ts";
import { Bus } from "../../agent/bus/bus.ts";
import { NodeStorage } from "../../agent/cli/node-storage.ts";
import { loadSettings } from "../../agent/config/load-settings.ts";
import type { AgentStatus } from "../../agent/membership/agent-status.ts";
import { DataDirectory } from "../../agent/membership/data-directory.ts";
import { Member } from "../../agent/membership/member.ts";
import { presenceOf } from "../../agent/membership/presence-body.ts";
import { statusOf } from "../../agent/membership/status.ts";
import { objectsOf, sqlOf, type WhenMember } from "../../agent/membership/waiting-services.ts";
import { systemClock as clock } from "../../agent/platform/clock.ts";
import { diskSpaceAt } from "../../agent/platform/disk-space.ts";
import { createLineLogger } from "../../agent/platform/logger.ts";
import { systemRandom as random } from "../../agent/platform/random.ts";
import { isTrivetError, messageOf } from "../../agent/platform/trivet-error.ts";
import { alignLog } from "../../agent/replica/align-log.ts";
import { DiskWatch } from "../../agent/replica/disk-watch.ts";
import { beginLog, foundCluster } from "../../agent/replica/found-cluster.ts";
import type { Order, OrderAnswer } from "./member-orders.ts";

/**
 * An agent whose members are an operator's to choose: all of its parts are the agent's own, but where a node founds or joins a cluster and
 * who its members are comes with orders, over HTTP on a port of their own. It takes the agent's flags.
 */
const ANNOUNCE_MS = 500;
const CHANGE_TIMEOUT_MS = 10_000;

const text = { type: "string" } as const;
const { values } = parseArgs({
  options: {
    ...{ name: text, data: text, http: text, mqtt: text, "log-retain": text },
    ...{ peer: { ...text, multiple: true }, orders: text },
  },
});
const { orders, ...flags } = values;
const settings = loadSettings({
  flags,
  env: {},
  readFile: () => "",
  machine: { hostname: hostname() },
});
const logger = createLineLogger({
  level: "info",
  journal: false,
  write: (line) => process.stderr.write(`${line}\n`),
});

function fail(error: unknown): void {
  logger.log("error", messageOf(error));
  process.exit(1);
}

const data = await DataDirectory.open(settings.data, random, clock);
const { nodeId } = data.identity;
const storage = new NodeStorage({ data, logger, clock });
const opened = await storage.open();
const { cluster, mqtt: listen, peers: seeds } = settings;
const bus = await Bus.open({ cluster, nodeId, session: data.session, listen, seeds, clock, random, logger });
const diskWatch = new DiskWatch({
  space: diskSpaceAt(data.path),
  watermarkBytes: 0,
  clock,
  logger,
  onFailed: fail,
});
let member: Member | null = null;
let meet: (member: Member) => void;
const met = new Promise<Member>((resolve) => {
  meet = resolve;
});
const whenMember: WhenMember = async (timeoutMs) => [await met, timeoutMs];

function status(): AgentStatus {
  const node = { version: "test", name: settings.name, api: null, broker: bus.brokerUrl };
  return statusOf({
    node,
    identity: { id: nodeId, memberId: data.memberId },
    uptimeMs: clock.nowMs(),
    clusterName: cluster,
    clusterId: data.clusterId,
    expect: 1,
    troubles: [],
    replica: member?.replica.status() ?? null,
    peers: bus.peers(),
    links: bus.links(),
  });
}

function takePart(clusterId: string, recovered: typeof opened.recovered, isFounder: boolean): void {
  member = new Member({
    timing: {
      heartbeatMs: settings.heartbeatMs,
      electionMs: settings.electionTimeoutMs,
      electionMaxMs: settings.electionTimeoutMsMax,
    },
    ...{ clusterId, memberId: data.memberId, log: opened.log, store: opened.store, recovered, isFounder },
    session: data.session,
    ...{ logRetainBytes: settings.logRetainBytes, diskWatch, bus, clock, random, logger, onFailed: fail },
  });
  meet(member);
}

async function obey(order: Order): Promise<void> {
  switch (order.kind) {
    case "found": {
      const recovered = await foundCluster(opened.log, order.voters);
      await data.joinCluster(order.clusterId, true);
      return takePart(order.clusterId, recovered, true);
    }
    case "join": {
      const recovered = await beginLog(opened.log);
      await data.joinCluster(order.clusterId, true);
      return takePart(order.clusterId, recovered, false);
    }
    case "change":
      return (await met).replica.members.change(order, CHANGE_TIMEOUT_MS);
  }
}

const { clusterId } = data;
if (clusterId !== null) takePart(clusterId, await alignLog(opened), false);
bus.announce(presenceOf(status(), []));
setInterval(() => bus.announce(presenceOf(status(), [])), ANNOUNCE_MS);
const [sql, objects] = [sqlOf(whenMember), objectsOf(whenMember)];
await startApiServer({ listen: settings.http, sql, objects, status, limits: settings, logger, clock });
createServer(async (request, response) => {
  const answer = await obey((await json(request)) as Order).then(
    (): OrderAnswer => ({ code: "done" }),
    (error: unknown): OrderAnswer => ({ code: isTrivetError(error) ? error.code : messageOf(error) }),
  );
  response.end(JSON.stringify(answer));
}).listen(Number(orders), "127.0.0.1");

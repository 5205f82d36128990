import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { LEASH } from "../cluster/agent-place.ts";
import { needPrograms } from "./need-programs.ts";

const run = promisify(execFile);

/** What the network does to packets. Directions are taken by themselves: `[1, 2]` cuts what host 1 sends to host 2. */
export interface Faults {
  /** Of a hundred packets that arrive at a host, so many are lost at random. */
  readonly lossPercent?: number;
  /** What arrives at a host beyond so many kilobytes a second is lost as well. */
  readonly arrivingKbPerSecond?: number;
  readonly cuts?: readonly (readonly [from: number, to: number])[];
}

/** The cuts that keep two hosts from hearing one another. */
export function bothWays(one: number, other: number): readonly (readonly [from: number, to: number])[] {
  return [
    [one, other],
    [other, one],
  ];
}

/** A machine of its own as far as the network goes. */
export interface VirtualHost {
  readonly address: string;
  /** The command that starts another one there, on a leash. */
  readonly enter: readonly string[];
}

/** The interface of a host. */
const LINK = "eth0";
const PREFIX = "trivet-test";
/** What ends a test process; SIGALRM is how tap tells it that its time is up. */
const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP", "SIGALRM"] as const;

/**
 * Hosts, each a network namespace, on one bridge: real packets over real interfaces. Needs root, `ip` and `nft`.
 *
 * As long as agents have no key they take loopback addresses only, so the hosts get some: 127.77.0.1, 127.77.0.2, ... stand on
 * their interfaces, `route_localnet` lets such packets out and in, and `lo` keeps nothing but 127.0.0.1.
 *
 * Packets are dropped where they arrive, by nft rules inside the namespaces, so a dropped one closes no socket. All of it goes
 * with the namespaces, and these with `remove()`, with the end of this process, or, should it have been killed, when the next
 * one makes a network.
 */
export class VirtualNetwork {
  readonly hosts: readonly VirtualHost[];
  readonly #namespaces: readonly string[];
  readonly #removeNow = (): void => {
    const names = [this.#bridge, ...this.#namespaces];
    const input = names.map((name) => `netns delete ${name}\n`).join("");
    spawnSync("ip", ["-force", "-batch", "-"], { input });
  };
  readonly #removeAndDie = (signal: NodeJS.Signals): void => {
    this.#removeNow();
    this.#forgetHooks();
    // Unless somebody else has a hand in it (tap reports what hangs), it ends this process as it would have without us.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };

  /** Why there can be none here, with what to do about it; null if there can. */
  static async obstacle(): Promise<string | null> {
    if (process.platform !== "linux" || process.getuid?.() !== 0)
      return "network namespaces need root on Linux";
    const missing = await needPrograms({
      ip: "iproute2",
      nft: "nftables",
      setpriv: "util-linux",
      sysctl: "procps",
    });
    if (missing !== null) return missing;
    await sweep();
    const probe = nameOf("probe");
    const { status } = spawnSync("ip", ["netns", "add", probe]);
    spawnSync("ip", ["netns", "delete", probe]);
    return status === 0 ? null : "this system lets nobody make network namespaces";
  }

  static async create(size: number): Promise<VirtualNetwork> {
    await sweep();
    const network = new VirtualNetwork(size);
    try {
      await network.#build();
      return network;
    } catch (error) {
      await network.remove();
      throw error;
    }
  }

  private constructor(size: number) {
    const numbers = Array.from({ length: size }, (_, nth) => nth + 1);
    this.#namespaces = numbers.map((number) => nameOf(String(number)));
    this.hosts = this.#namespaces.map((namespace, nth) => ({
      address: addressOf(nth),
      enter: ["ip", "netns", "exec", namespace, ...LEASH],
    }));
    process.once("exit", this.#removeNow);
    for (const signal of SIGNALS) process.once(signal, this.#removeAndDie);
  }

  /** From now on the network has these faults and no others. Each host takes them at its own moment, some milliseconds apart. */
  async setFaults({ lossPercent = 0, arrivingKbPerSecond, cuts = [] }: Faults): Promise<void> {
    await Promise.all(
      this.#namespaces.map((namespace, to) => {
        const drops = cuts
          .filter(([, cutTo]) => cutTo === to)
          .map(([from]) => `iifname ${LINK} ip saddr ${addressOf(from)} drop`);
        const loss = `iifname ${LINK} numgen random mod 100 < ${lossPercent} drop`;
        const excess = `iifname ${LINK} limit rate over ${arrivingKbPerSecond} kbytes/second drop`;
        const rules = lossPercent > 0 ? [...drops, loss] : drops;
        return setRules(namespace, arrivingKbPerSecond === undefined ? rules : [...rules, excess]);
      }),
    );
  }

  async remove(): Promise<void> {
    this.#forgetHooks();
    await Promise.all([this.#bridge, ...this.#namespaces].map(deleteNamespace));
  }

  get #bridge(): string {
    return nameOf("bridge");
  }

  async #build(): Promise<void> {
    await ip("netns", "add", this.#bridge);
    await ip("-n", this.#bridge, "link", "add", "bridge", "type", "bridge");
    await ip("-n", this.#bridge, "link", "set", "bridge", "up");
    await Promise.all(this.#namespaces.map((namespace, nth) => this.#buildHost(namespace, nth)));
  }

  async #buildHost(namespace: string, nth: number): Promise<void> {
    const port = `port${nth + 1}`;
    await ip("netns", "add", namespace);
    await ip("-n", namespace, "link", "set", "lo", "up");
    await ip("-n", namespace, "address", "delete", "127.0.0.1/8", "dev", "lo");
    await ip("-n", namespace, "address", "add", "127.0.0.1/32", "dev", "lo");
    const peer = ["peer", "name", port, "netns", this.#bridge];
    await ip("-n", namespace, "link", "add", LINK, "type", "veth", ...peer);
    await ip("-n", this.#bridge, "link", "set", port, "master", "bridge", "up");
    await ip("-n", namespace, "link", "set", LINK, "up");
    const settings = ["all", LINK].map((link) => `net.ipv4.conf.${link}.route_localnet=1`);
    await ip("netns", "exec", namespace, "sysctl", "-qw", ...settings);
    await ip("-n", namespace, "address", "add", `${addressOf(nth)}/24`, "dev", LINK);
  }

  #forgetHooks(): void {
    process.off("exit", this.#removeNow);
    for (const signal of SIGNALS) process.off(signal, this.#removeAndDie);
  }
}

/** Of this process: another one that tests at the same time has networks of its own. */
function nameOf(part: string): string {
  return `${PREFIX}-${process.pid}-${part}`;
}

function addressOf(nth: number): string {
  return `127.77.0.${nth + 1}`;
}

async function ip(...args: readonly string[]): Promise<string> {
  const { stdout } = await run("ip", args);
  return stdout;
}

/** Replaces all rules of a namespace in one step. */
async function setRules(namespace: string, rules: readonly string[]): Promise<void> {
  const table = "table inet faults";
  const chain = ["chain arriving {", "type filter hook input priority 0", ...rules, "}"];
  const script = [table, `delete ${table}`, `${table} {`, ...chain, "}", ""].join("\n");
  const child = spawn("ip", ["netns", "exec", namespace, "nft", "-f", "-"], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  child.stdin.end(script);
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`nft did not take the rules of ${namespace}:\n${script}`);
}

async function deleteNamespace(name: string): Promise<void> {
  if ((await namespaces()).includes(name)) await ip("netns", "delete", name);
}

async function namespaces(): Promise<readonly string[]> {
  return (await ip("netns", "list")).split("\n").map((line) => line.split(" ")[0] ?? "");
}

/** Deletes what a process left behind that was killed. */
async function sweep(): Promise<void> {
  for (const name of await namespaces()) {
    const [, pid] = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name) ?? [];
    if (pid !== undefined && !isAlive(Number(pid))) await deleteNamespace(name);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

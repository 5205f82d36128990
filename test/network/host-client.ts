import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { AgentPlace, PlaceAnswer, PlaceRequest } from "../cluster/agent-place.ts";
import type { HostAnswer, HostRequest } from "./host-client-child.ts";
import type { VirtualHost } from "./virtual-network.ts";

const CHILD = fileURLToPath(new URL("./host-client-child.js", import.meta.url));

interface Waiting {
  resolve(answer: PlaceAnswer): void;
  reject(error: Error): void;
}

/** A host of a virtual network as a place for an agent. A process of ours on that host speaks to it: from here there is no way. */
export class HostClient implements AgentPlace {
  readonly address: string;
  readonly enter: readonly string[];
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;

  constructor(host: VirtualHost) {
    this.address = host.address;
    this.enter = host.enter;
    const [program = "", ...args] = [...host.enter, process.execPath, CHILD];
    this.#child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    this.#child.on("message", (message: HostAnswer) => this.#answered(message));
    this.#child.on("close", () => this.#failAll());
  }

  request(url: string, request: PlaceRequest): Promise<PlaceAnswer> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#waiting.set(id, { resolve, reject });
      if (this.#child.connected) this.#child.send({ ...request, id, url } satisfies HostRequest);
      else this.#failAll();
    });
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "close");
  }

  #answered(message: HostAnswer): void {
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if ("error" in message) waiting?.reject(new Error(message.error));
    else waiting?.resolve(message);
  }

  #failAll(): void {
    for (const { reject } of this.#waiting.values()) reject(new Error("The client on the host has ended"));
    this.#waiting.clear();
  }
}

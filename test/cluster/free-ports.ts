import { randomInt } from "node:crypto";
import { createServer, type Server } from "node:net";

/** Below those that systems give to outgoing connections: there one would be taken again before its owner listens. */
const PORT_MIN = 10_000;
const PORT_MAX = 32_000;

/** Ports that nobody has at the moment, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const taken = new Map<number, Server>();
  while (taken.size < count) {
    const port = randomInt(PORT_MIN, PORT_MAX);
    const server = taken.has(port) ? null : await listen(port);
    if (server !== null) taken.set(port, server);
  }
  await Promise.all([...taken.values()].map((server) => new Promise((resolve) => server.close(resolve))));
  return [...taken.keys()];
}

/** Null if somebody else does. */
function listen(port: number): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(null) : reject(error),
    );
    server.listen({ host: "127.0.0.1", port }, () => resolve(server));
  });
}

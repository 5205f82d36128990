import { open, rm, stat } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { systemErrorCode } from "../platform/directory.ts";
import { TrivetError } from "../platform/trivet-error.ts";

const LOCK_FILE = "lock";

/**
 * Only one agent may use a data directory. The lock is two listening sockets, which the kernel closes with the process
 * however that ends:
 *
 *     a name in Linux's abstract socket namespace (unix(7)), from the directory's device and inode: taking it is atomic and
 *     it leaves nothing behind, but another network namespace (a container) does not see it
 *     the socket `lock` in the directory: seen from everywhere; after a kill it stays behind and refuses connections
 */
export class InstanceLock {
  readonly #servers: readonly Server[];
  readonly #path: string;

  private constructor(servers: readonly Server[], path: string) {
    this.#servers = servers;
    this.#path = path;
  }

  /** Rejects with `data-locked` if another process holds it. */
  static async take(directory: string): Promise<InstanceLock> {
    const { dev, ino } = await stat(directory, { bigint: true });
    const name = await listen(`\0trivet/${dev}/${ino}`);
    if (name === null) throw dataLocked(directory);
    try {
      const path = join(directory, LOCK_FILE);
      const socket = await listenInDirectory(directory, path);
      if (socket === null) throw dataLocked(directory);
      return new InstanceLock([socket, name], path);
    } catch (error) {
      await close(name);
      throw error;
    }
  }

  async release(): Promise<void> {
    await rm(this.#path, { force: true });
    for (const server of this.#servers) await close(server);
  }
}

/** Null if another process listens there. */
async function listenInDirectory(directory: string, path: string): Promise<Server | null> {
  // A socket's path has room for 107 bytes; through the open directory it is short, wherever that is.
  const handle = await open(directory);
  try {
    const short = `/proc/self/fd/${handle.fd}/${LOCK_FILE}`;
    const server = await listen(short);
    if (server !== null || !(await isLeftBehind(short))) return server;
    await rm(path, { force: true });
    return await listen(short);
  } finally {
    await handle.close();
  }
}

/** Null if the address is in use. */
function listen(path: string): Promise<Server | null> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      if (systemErrorCode(error) === "EADDRINUSE") resolve(null);
      else reject(error);
    });
    server.listen(path, () => {
      // The lock alone keeps no process alive.
      server.unref();
      resolve(server);
    });
  });
}

/** True only if nobody has the socket open (ECONNREFUSED): a holder that is stopped, or has no time, holds it still. */
function isLeftBehind(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", (error) => {
      const code = systemErrorCode(error);
      resolve(code === "ECONNREFUSED" || code === "ENOENT");
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

function dataLocked(directory: string): TrivetError {
  return new TrivetError(
    "data-locked",
    `Another agent runs on ${directory}: stop it first, or give this one its own directory with --data.`,
  );
}

import { stat } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { systemErrorCode } from "../platform/directory.ts";
import { TrivetError } from "../platform/trivet-error.ts";

/**
 * Only one agent may use a data directory. The lock is a name in Linux's abstract socket namespace (unix(7)), made
 * from the directory's device and inode: taking it is atomic, and the kernel drops it with the process however that
 * ends, so that no stale lock is ever left behind.
 */
export class InstanceLock {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Rejects with `data-locked` if another process holds it. */
  static async take(directory: string): Promise<InstanceLock> {
    const { dev, ino } = await stat(directory, { bigint: true });
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) => reject(toLockError(error, directory)));
      server.listen(`\0trivet/${dev}/${ino}`, resolve);
    });
    // The lock alone keeps no process alive.
    server.unref();
    return new InstanceLock(server);
  }

  release(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}

function toLockError(error: unknown, directory: string): unknown {
  if (systemErrorCode(error) !== "EADDRINUSE") return error;
  return new TrivetError(
    "data-locked",
    `Another agent runs on ${directory}: stop it first, or give this one its own directory with --data.`,
    { cause: error },
  );
}

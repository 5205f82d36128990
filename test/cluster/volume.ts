import { execFile } from "node:child_process";
import { mkdir, mkdtemp, open, rm, statfs, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const MIB = 1024 * 1024;

/** A small file system of its own (ext4 on a loop device), to be filled. Needs root. */
export class Volume {
  /** Where it is mounted. */
  readonly path: string;
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.path = join(directory, "mounted");
  }

  /** Why this machine cannot have one; false if it can. */
  static async whyNot(): Promise<string | false> {
    try {
      await (await Volume.create(8)).end();
      return false;
    } catch (error) {
      return `no file system of its own here: ${error instanceof Error ? error.message : error}`;
    }
  }

  static async create(mib: number): Promise<Volume> {
    const directory = await mkdtemp(join(tmpdir(), "trivet-volume-"));
    const volume = new Volume(directory);
    const image = join(directory, "image");
    try {
      await mkdir(volume.path);
      await (await open(image, "w")).close();
      await truncate(image, mib * MIB);
      // Without a journal and reserved blocks: what is free is what is there.
      await run("mkfs.ext4", ["-q", "-F", "-m", "0", "-O", "^has_journal", image]);
      await run("mount", ["-o", "loop", image, volume.path]);
      return volume;
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.path);
    return bavail * bsize;
  }

  /** Fills it until about `leftBytes` are left. */
  async fill(leftBytes: number): Promise<void> {
    const file = await open(join(this.path, "ballast"), "a");
    try {
      const bytes = (await this.freeBytes()) - leftBytes;
      const block = Buffer.alloc(MIB / 4, 1);
      for (let done = 0; done < bytes; done += block.length)
        await file.write(block.subarray(0, Math.min(block.length, bytes - done)));
      await file.sync();
    } catch (error) {
      // Somebody else was faster: full is what it was to be.
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
    } finally {
      await file.close();
    }
  }

  async empty(): Promise<void> {
    await rm(join(this.path, "ballast"));
  }

  /** Nothing may have a file of it open. */
  async end(): Promise<void> {
    await run("umount", [this.path]);
    await rm(this.#directory, { recursive: true });
  }
}

import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const INSTALL_MS = 120_000;

/**
 * Sees to it that these programs are there (by name, with the Debian package that has each), and fetches them if this is root on
 * Debian. Null if all are there, else why not.
 */
export async function needPrograms(packages: Readonly<Record<string, string>>): Promise<string | null> {
  const missing = await missingOf(Object.keys(packages));
  if (missing.length === 0) return null;
  const wanted = [...new Set(missing.flatMap((program) => packages[program] ?? []))];
  const advice = `${missing.join(", ")} missing: apt-get install ${wanted.join(" ")}`;
  if (process.getuid?.() !== 0 || (await missingOf(["apt-get"])).length > 0) return advice;
  const options = { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }, timeout: INSTALL_MS };
  try {
    await run("apt-get", ["update", "-qq"], options);
    await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...wanted], options);
  } catch (error) {
    return `${advice} (failed: ${String(error)})`;
  }
  return (await missingOf(missing)).length === 0 ? null : advice;
}

async function missingOf(programs: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(programs.map(isThere));
  return programs.filter((_, nth) => found[nth] === false);
}

async function isThere(program: string): Promise<boolean> {
  const looks = FOLDERS.map((folder) => access(`${folder}/${program}`).then(() => true));
  return Promise.any(looks).catch(() => false);
}

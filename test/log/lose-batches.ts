import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readBatch } from "../../agent/log/batch-reader.ts";
import { parseSegmentName } from "../../agent/log/segment-name.ts";

/** What stands in the file of a segment: its batches, oldest first. */
interface WrittenSegment {
  readonly path: string;
  readonly image: Buffer;
  readonly batches: readonly { readonly offset: number; readonly end: number }[];
}

/**
 * The newest `count` batches of a log that nobody uses are gone, as if they had never reached the medium: no log can tell, it ends
 * before them.
 */
export async function loseLastBatches(directory: string, count: number): Promise<void> {
  const { path, image, batches } = await newestSegment(directory);
  const first = batches.at(-count);
  if (first === undefined) throw new Error(`${path} holds ${batches.length} batches`);
  await writeFile(path, image.fill(0, first.offset, batches.at(-1)?.end));
}

/** The one that was written last. */
async function newestSegment(directory: string): Promise<WrittenSegment> {
  for (const name of (await readdir(directory)).sort().reverse()) {
    const number = parseSegmentName(name);
    if (number === undefined) continue;
    const path = join(directory, name);
    const image = await readFile(path);
    const batches: { offset: number; end: number }[] = [];
    for (let at = 0; ; ) {
      const batch = readBatch(image, number, at);
      if (batch.kind === "none") break;
      batches.push({ offset: batch.offset, end: batch.end });
      at = batch.end;
    }
    if (batches.length > 0) return { path, image, batches };
  }
  throw new Error(`nothing is written in ${directory}`);
}

import { closeSync, fstatSync, openSync, renameSync, writeSync } from "node:fs";

/** A log file that never takes more than twice `bytesMax` on disk: when it is full, it becomes `<path>.1`. */
export class BoundedLogFile {
  readonly #path: string;
  readonly #bytesMax: number;
  #file: number;
  #bytes: number;

  constructor(path: string, bytesMax: number) {
    this.#path = path;
    this.#bytesMax = bytesMax;
    this.#file = openSync(path, "a");
    this.#bytes = fstatSync(this.#file).size;
  }

  write(text: string): void {
    if (this.#bytes + text.length > this.#bytesMax) {
      closeSync(this.#file);
      renameSync(this.#path, `${this.#path}.1`);
      this.#file = openSync(this.#path, "a");
      this.#bytes = 0;
    }
    this.#bytes += writeSync(this.#file, text);
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** Characters that are gathered before they become bytes. */
const PIECE_CHARACTERS = 64 * 1024;

/**
 * A long text, made from its beginning to its end, and taken in the same order. What is finished of it stands outside of the
 * JavaScript heap in as many bytes as the client gets, and what has been taken is let go.
 */
export class TextPieces {
  readonly #pieces: Uint8Array[] = [];
  #unfinished = "";
  #bytes = 0;

  /** What was added and not taken. */
  get bytes(): number {
    return this.#bytes + Buffer.byteLength(this.#unfinished);
  }

  /** What was added, where that is so short that it is sent faster as it is. */
  get text(): string | null {
    return this.#pieces.length === 0 ? this.#unfinished : null;
  }

  add(text: string): void {
    this.#unfinished += text;
    if (this.#unfinished.length >= PIECE_CHARACTERS) this.#finish();
  }

  /** The next piece; undefined if there are no more. */
  take(): Uint8Array | undefined {
    if (this.#pieces.length === 0) this.#finish();
    const piece = this.#pieces.shift();
    this.#bytes -= piece?.length ?? 0;
    return piece;
  }

  #finish(): void {
    if (this.#unfinished === "") return;
    const piece = Buffer.from(this.#unfinished);
    this.#unfinished = "";
    this.#bytes += piece.length;
    this.#pieces.push(piece);
  }
}

const ESCAPE = "\u001b[";
const HIDE_CURSOR = `${ESCAPE}?25l`;
const SHOW_CURSOR = `${ESCAPE}?25h`;
const ERASE_TO_LINE_END = `${ESCAPE}K`;
const ERASE_TO_SCREEN_END = `${ESCAPE}J`;

/**
 * Lines that replace the ones shown before, in place and in one write, so that nothing flickers. What does not
 * fit the window is cut, since a wrapped line cannot be found again. Where there is no terminal, plain lines.
 */
export class LiveScreen {
  readonly #out: NodeJS.WriteStream;
  readonly #isLive: boolean;
  #linesShown = 0;
  #last = "";

  constructor(out: NodeJS.WriteStream, { isLive }: { readonly isLive: boolean }) {
    this.#out = out;
    this.#isLive = isLive;
  }

  show(lines: readonly string[]): void {
    if (!this.#isLive) {
      this.#out.write(lines.map((line) => `${line}\n`).join(""));
      return;
    }
    const { columns, rows } = this.#out;
    const fitting = lines
      .slice(0, Math.max(1, rows - 1))
      .map((line) => [...line].slice(0, columns - 1).join(""));
    const text = fitting.map((line) => `${line}${ERASE_TO_LINE_END}\n`).join("");
    if (text === this.#last) return;
    if (this.#last === "") process.once("exit", () => this.#out.write(SHOW_CURSOR));
    const up = this.#linesShown > 0 ? `${ESCAPE}${this.#linesShown}A` : "";
    this.#out.write(`${HIDE_CURSOR}\r${up}${text}${ERASE_TO_SCREEN_END}`);
    this.#linesShown = fitting.length;
    this.#last = text;
  }
}

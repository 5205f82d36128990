/** The sums of a database's pages, 4 bytes each, in one piece: a database of 32 GiB has 8 million. */
export class SumTable {
  /** Has room for more than `pageCount`, and only zeros there. */
  #room: Uint32Array;
  #pageCount: number;

  /** Takes `sums` over: by page, from 1 at position 0; 0 for what is not known. */
  constructor(sums: Uint32Array = new Uint32Array(0)) {
    this.#room = sums;
    this.#pageCount = sums.length;
  }

  get pageCount(): number {
    return this.#pageCount;
  }

  /** No copy: of use until the table changes. */
  get sums(): Uint32Array {
    return this.#room.subarray(0, this.#pageCount);
  }

  /** 0 if it is not known. */
  at(page: number): number {
    return this.#room[page - 1] ?? 0;
  }

  /** Of one of its pages: what lies behind them is left out. */
  set(page: number, sum: number): void {
    if (page <= this.#pageCount) this.#room[page - 1] = sum;
  }

  /** A database grows a little at a time, at each checkpoint: not all is copied each time. */
  resize(pageCount: number): void {
    if (pageCount > this.#room.length) {
      const room = new Uint32Array(Math.max(pageCount, Math.ceil(this.#room.length * 1.5)));
      room.set(this.#room);
      this.#room = room;
    }
    if (pageCount < this.#pageCount) this.#room.fill(0, pageCount, this.#pageCount);
    this.#pageCount = pageCount;
  }
}

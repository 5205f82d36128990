/**
 * Which operations without an answer are still to be seen by others: by the names of what they leave behind, with the number of answered
 * operations that have seen each and are not explained yet. Taking one that nobody will see any more explains nothing.
 */
export class Traces {
  /** Of each operation without an answer, the numbers of what it leaves. */
  readonly #left: readonly (readonly number[])[];
  /** Of each answered operation, the numbers of what it saw, as far as one without an answer may have left it. */
  readonly #seen: readonly (readonly number[])[];
  /** By number: how many answered operations that saw it are not explained yet. */
  readonly #unexplained: Int32Array;

  /** `needed` is what operations without an answer must find themselves: it is always to be seen. */
  constructor(names: {
    readonly left: readonly (readonly string[])[];
    readonly needed: readonly string[];
    readonly seen: readonly (readonly string[])[];
  }) {
    const numbers = new Map<string, number>();
    this.#left = names.left.map((ofOne) =>
      ofOne.map((name) => {
        const number = numbers.get(name) ?? numbers.size;
        numbers.set(name, number);
        return number;
      }),
    );
    const known = (ofOne: readonly string[]) => ofOne.flatMap((name) => numbers.get(name) ?? []);
    this.#seen = names.seen.map(known);
    this.#unexplained = new Int32Array(numbers.size);
    for (const number of known(names.needed)) this.#add(number, 1);
    for (let nth = 0; nth < this.#seen.length; nth++) this.unexplain(nth);
  }

  /** The answered operation stands in the order now. */
  explain(answered: number): void {
    for (const number of this.#seen[answered] ?? []) this.#add(number, -1);
  }

  /** It does not, any more. */
  unexplain(answered: number): void {
    for (const number of this.#seen[answered] ?? []) this.#add(number, 1);
  }

  isToBeSeen(open: number): boolean {
    return this.#left[open]?.some((number) => (this.#unexplained[number] ?? 0) > 0) === true;
  }

  #add(number: number, count: number): void {
    this.#unexplained[number] = (this.#unexplained[number] ?? 0) + count;
  }
}

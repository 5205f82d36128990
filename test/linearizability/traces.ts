import type { History, Model, Trace } from "./history.ts";

/** What an operation has to do with, by the numbers of the traces. One without an answer "saw" what it needs to have an effect. */
interface Tracks {
  readonly isOpen: boolean;
  readonly leaves: readonly number[];
  readonly saw: readonly number[];
  readonly missed: readonly number[];
}

const NOTHING: Tracks = { isOpen: true, leaves: [], saw: [], missed: [] };

/**
 * What the operations to come can tell of a state, and what those of them without an answer (the open ones) are good for.
 *
 *   sought    an answered one saw it, so the order must lead to it; or an open one needs it that is of use itself
 *   shunned   an answered one missed it (a compare-and-set that failed), so the order may have to leave it
 *
 * Nothing else of a state is of interest. And an open one is of use only if it leaves what is sought or takes away what is shunned:
 * an order where it does neither is as good without it, and without the open ones that have an effect by it alone.
 */
export class Traces<Input, Output> {
  readonly #tracks: readonly Tracks[];
  readonly #isOpenDone: (nth: number) => boolean;
  readonly #numbers = new Map<string, Map<string, number>>();
  /** By trace: where it is. */
  readonly #places: string[] = [];
  /** By trace: the open operations that need it. */
  readonly #needing: number[][] = [];
  /** By trace, of the operations to come: how many answered ones saw it and missed it, and how many of all leave it. */
  readonly #seen: number[] = [];
  readonly #missed: number[] = [];
  readonly #sources: number[] = [];
  /** By place: how often something there was missed. */
  readonly #missedAt = new Map<string, number>();

  constructor(
    model: Pick<Model<never, Input, Output>, "leaves" | "saw" | "missed">,
    operations: History<Input, Output>,
    isOpenDone: (nth: number) => boolean,
  ) {
    this.#isOpenDone = isOpenDone;
    const numbersOf = (traces: readonly Trace[]) => traces.map((trace) => this.#assignNumber(trace));
    this.#tracks = operations.map(({ input, answer }) => ({
      isOpen: answer === null,
      leaves: numbersOf(model.leaves(input, answer?.output)),
      saw: numbersOf(model.saw(input, answer?.output)),
      missed: answer === null ? [] : numbersOf(model.missed(input, answer.output)),
    }));
    for (const [nth, { isOpen, saw }] of this.#tracks.entries()) {
      if (isOpen) for (const trace of saw) this.#needing[trace]?.push(nth);
      this.comes(nth);
    }
  }

  /** It stands in the order now. */
  stands(nth: number): void {
    this.#count(nth, -1);
  }

  /** It is to come (again). */
  comes(nth: number): void {
    this.#count(nth, 1);
  }

  isOfInterest({ place, value }: Trace): boolean {
    const trace = this.#numbers.get(place)?.get(value);
    return trace !== undefined && this.#isOfInterest(trace);
  }

  /** Whether this open operation is of use in a state with these values. */
  isOfUse(nth: number, valueAt: (place: string) => string): boolean {
    return (
      this.#tracksOf(nth).leaves.some((trace) => this.#isSought(trace)) ||
      this.replacedBy(nth, valueAt).some((trace) => (this.#missed[trace] ?? 0) > 0)
    );
  }

  /** What it takes away from a state with these values. */
  replacedBy(nth: number, valueAt: (place: string) => string): readonly number[] {
    const { leaves } = this.#tracksOf(nth);
    return leaves.flatMap((left) => {
      const place = this.#places[left] ?? "";
      const there = this.#numbers.get(place)?.get(valueAt(place));
      return there === undefined || leaves.includes(there) ? [] : there;
    });
  }

  /** Whether an answered operation to come saw one of these, and nothing can bring it back. */
  isMissing(traces: readonly number[]): boolean {
    return traces.some((trace) => (this.#seen[trace] ?? 0) > 0 && this.#sources[trace] === 0);
  }

  /**
   * Open operations of the same sort are as good as one another, as far as they can be told apart by what is to come. Null: whatever
   * comes, it is of no use any more.
   */
  sortOf(nth: number): string | null {
    const { leaves, saw } = this.#tracksOf(nth);
    if (!this.#canBeOfUse(nth, null)) return null;
    const left = leaves.map((trace) => {
      // Places as JSON, which no number of a trace looks like.
      return this.#isOfInterest(trace) ? trace : JSON.stringify(this.#places[trace]);
    });
    return `${saw.join()}>${left.join()}`;
  }

  #isOfInterest(trace: number): boolean {
    return (this.#missed[trace] ?? 0) > 0 || this.#isSought(trace);
  }

  #isSought(trace: number, asked: readonly number[] = []): boolean {
    if ((this.#seen[trace] ?? 0) > 0) return true;
    const needing = this.#needing[trace] ?? [];
    if (needing.length === 0 || asked.includes(trace)) return false;
    const alsoAsked = [...asked, trace];
    return needing.some((open) => !this.#isOpenDone(open) && this.#canBeOfUse(open, trace, alsoAsked));
  }

  /** In whatever state, for something else than that it takes away the trace `besides`. */
  #canBeOfUse(open: number, besides: number | null, asked?: readonly number[]): boolean {
    const { leaves, saw } = this.#tracksOf(open);
    return leaves.some((left) => {
      if (this.#isSought(left, asked)) return true;
      const place = this.#places[left] ?? "";
      const replaced = saw.find((trace) => this.#places[trace] === place);
      if (replaced === undefined) return (this.#missedAt.get(place) ?? 0) > 0;
      return replaced !== besides && (this.#missed[replaced] ?? 0) > 0;
    });
  }

  #count(nth: number, by: 1 | -1): void {
    const { isOpen, leaves, saw, missed } = this.#tracksOf(nth);
    for (const trace of leaves) add(this.#sources, trace, by);
    if (isOpen) return;
    for (const trace of saw) add(this.#seen, trace, by);
    for (const trace of missed) {
      add(this.#missed, trace, by);
      const place = this.#places[trace] ?? "";
      this.#missedAt.set(place, (this.#missedAt.get(place) ?? 0) + by);
    }
  }

  #assignNumber({ place, value }: Trace): number {
    const ofPlace = this.#numbers.get(place) ?? new Map<string, number>();
    this.#numbers.set(place, ofPlace);
    const known = ofPlace.get(value);
    if (known !== undefined) return known;
    const trace = this.#places.length;
    ofPlace.set(value, trace);
    this.#places.push(place);
    this.#needing.push([]);
    this.#seen.push(0);
    this.#missed.push(0);
    this.#sources.push(0);
    return trace;
  }

  #tracksOf(nth: number): Tracks {
    return this.#tracks[nth] ?? NOTHING;
  }
}

function add(counts: number[], at: number, by: number): void {
  counts[at] = (counts[at] ?? 0) + by;
}

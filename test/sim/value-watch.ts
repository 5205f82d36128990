import type { Value } from "../linearizability/register.ts";
import { check } from "./violation.ts";

/** What a write did: the value of this key is this one from then on. */
export interface Written {
  readonly key: string;
  readonly value: string;
}

interface Placed {
  readonly index: number;
  readonly value: Value;
}

const NEVER_WRITTEN: readonly Placed[] = [{ index: 0, value: null }];

/** The values that each key ever had, as the log has them: also a read that promises little sees nothing that never was. */
export class ValueWatch {
  /** In log order. */
  readonly #values = new Map<string, Placed[]>();

  /** A member has applied this entry; another one may have before. */
  happened(index: number, written: readonly Written[]): void {
    for (const { key, value } of written) {
      const values = this.#values.get(key) ?? [...NEVER_WRITTEN];
      this.#values.set(key, values);
      if ((values.at(-1)?.index ?? 0) < index) values.push({ index, value });
    }
  }

  /** A read was answered with what the key had at some time when everything up to `from` had happened, and nothing behind `to`. */
  read(
    reader: string,
    key: string,
    value: Value,
    range: { readonly from: number; readonly to: number },
  ): void {
    const { from, to } = range;
    const values = this.#values.get(key) ?? NEVER_WRITTEN;
    const isSeen = values.some((placed, nth) => {
      const endIndex = values[nth + 1]?.index ?? Number.POSITIVE_INFINITY;
      return placed.value === value && placed.index <= to && endIndex > from;
    });
    check(isSeen, () => `${reader} was ${value} for ${key}, which it was not between ${from} and ${to}`);
  }
}

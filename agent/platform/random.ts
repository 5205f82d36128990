import { randomBytes, randomInt } from "node:crypto";

/** Chance as an input, so that one seed can replay a run. */
export interface Random {
  /** A float in [0, 1). */
  float(): number;
  /** `length` random bytes. */
  bytes(length: number): Uint8Array;
}

/** The operating system's generator. */
export const systemRandom: Random = {
  float: () => randomInt(2 ** 32) / 2 ** 32,
  bytes: (length) => randomBytes(length),
};

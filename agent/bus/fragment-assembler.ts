import type { Clock, Timer } from "../platform/clock.ts";
import type { Envelope, Fragment } from "./envelope.ts";

interface Assembly {
  readonly from: string;
  readonly session: number;
  readonly body: Buffer;
  readonly received: Uint8Array;
  missing: number;
  deadlineMs: number;
}

export interface AssemblyLimits {
  readonly bodyBytesMax: number;
  readonly assemblyBytesPerSenderMax: number;
  readonly assemblyBytesMax: number;
  readonly assemblyTimeoutMs: number;
}

/** Parts below this would make the bookkeeping larger than the body. */
const PART_BYTES_MIN = 1024;

/**
 * Puts bodies together from their fragments, which come in any order, interleaved, or never. The first fragment
 * reserves the whole body against the limits; what is not complete `assemblyTimeoutMs` after its last fragment is
 * given up.
 */
export class FragmentAssembler {
  readonly #limits: AssemblyLimits;
  readonly #assemblies = new Map<string, Assembly>();
  readonly #bytesBySender = new Map<string, number>();
  readonly #clock: Clock;
  #timer: Timer | null = null;
  #bytes = 0;
  #dropped = 0;

  constructor(limits: AssemblyLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Fragments that did not fit, did not match, or belonged to bodies given up. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Bytes reserved for incomplete bodies. */
  get reservedBytes(): number {
    return this.#bytes;
  }

  /** Adds a fragment. Returns the body that it completes, else null. */
  add(envelope: Envelope, fragment: Fragment): Buffer | null {
    const deadlineMs = this.#clock.nowMs() + this.#limits.assemblyTimeoutMs;
    const key = `${envelope.from}:${envelope.session}:${fragment.messageId}`;
    const assembly = this.#assemblies.get(key) ?? this.#begin(key, envelope, fragment);
    if (assembly === null || !place(assembly, fragment, envelope.body)) {
      this.#dropped += 1;
      return null;
    }
    assembly.deadlineMs = deadlineMs;
    if (assembly.missing > 0) return null;
    this.#release(key, assembly);
    return assembly.body;
  }

  #begin(key: string, envelope: Envelope, fragment: Fragment): Assembly | null {
    const { totalBytes, count } = fragment;
    const ofSender = (this.#bytesBySender.get(envelope.from) ?? 0) + totalBytes;
    if (totalBytes > this.#limits.bodyBytesMax || count < 2 || count > totalBytes / PART_BYTES_MIN)
      return null;
    if (ofSender > this.#limits.assemblyBytesPerSenderMax) return null;
    if (this.#bytes + totalBytes > this.#limits.assemblyBytesMax) return null;
    const assembly: Assembly = {
      from: envelope.from,
      session: envelope.session,
      body: Buffer.allocUnsafeSlow(totalBytes),
      received: new Uint8Array(count),
      missing: count,
      deadlineMs: 0,
    };
    this.#assemblies.set(key, assembly);
    this.#watch();
    this.#bytesBySender.set(envelope.from, ofSender);
    this.#bytes += totalBytes;
    return assembly;
  }

  close(): void {
    this.#timer?.cancel();
    this.#assemblies.clear();
    this.#bytesBySender.clear();
    this.#bytes = 0;
  }

  #watch(): void {
    if (this.#timer !== null || this.#assemblies.size === 0) return;
    this.#timer = this.#clock.setTimer(this.#limits.assemblyTimeoutMs, () => {
      this.#timer = null;
      this.#expire(this.#clock.nowMs());
      this.#watch();
    });
  }

  #expire(nowMs: number): void {
    for (const [key, assembly] of this.#assemblies) {
      if (assembly.deadlineMs > nowMs) continue;
      this.#dropped += assembly.received.length - assembly.missing;
      this.#release(key, assembly);
    }
  }

  #release(key: string, assembly: Assembly): void {
    this.#assemblies.delete(key);
    this.#bytes -= assembly.body.length;
    const left = (this.#bytesBySender.get(assembly.from) ?? 0) - assembly.body.length;
    if (left > 0) this.#bytesBySender.set(assembly.from, left);
    else this.#bytesBySender.delete(assembly.from);
  }
}

/** Copies a part to its place; false if it does not fit the others or is there already. */
function place(assembly: Assembly, fragment: Fragment, part: Uint8Array): boolean {
  const { body, received } = assembly;
  const { index, count, totalBytes } = fragment;
  if (count !== received.length || totalBytes !== body.length || index >= count) return false;
  if (received[index] !== 0) return false;
  const partBytes = Math.ceil(totalBytes / count);
  const start = index * partBytes;
  const end = Math.min(start + partBytes, totalBytes);
  if (part.byteLength !== end - start) return false;
  body.set(part, start);
  received[index] = 1;
  assembly.missing -= 1;
  return true;
}

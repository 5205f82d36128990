import type { CopyFault } from "../../agent/replica/snapshot-want.ts";
import type { CopyState, FileKind } from "./model-file.ts";
import { check } from "./violation.ts";

interface Known {
  taint: string;
  /** Before the last change, and when that was. */
  before: string;
  changedMs: number;
  fault: CopyFault | null;
  /** Infinite as long as it is a member that may speak. */
  goneMs: number;
}

/** A verdict may be so old: it was asked for, and was on its way. */
const VERDICT_MS_MAX = 5_000;

/**
 * Watches the copies of the data: at the same entry they are the same, unless one of them has computed a wrong result; and only a copy
 * that differs from another one is ever put out of use for that.
 */
export class CopyWatch {
  readonly #nowMs: () => number;
  /** By file and taint, by index. */
  readonly #hashes = new Map<string, Map<number, number>>();
  readonly #members = new Map<string, Known>();
  /** Members whose copies were put out of use because they differ, in order. */
  readonly quarantined: string[] = [];
  /** How often a copy was put out of use, or into it again. */
  changes = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** A process begins with what the disk has. */
  started(memberId: string, taint: string): void {
    this.#became(memberId, taint).fault = null;
  }

  /** Has applied an entry, the next one, to a file. */
  applied(memberId: string, kind: FileKind, index: number, { hash, taint }: CopyState): void {
    if (kind === "app") this.#became(memberId, taint);
    const hashes = this.#hashesOf(kind + taint);
    const known = hashes.get(index);
    check(
      known === undefined || known === hash,
      () => `${memberId} has another state at ${index} than others`,
    );
    hashes.set(index, hash);
  }

  /** A file was replaced by another member's. */
  installed(memberId: string, kind: FileKind, index: number, { hash, taint }: CopyState): void {
    if (kind === "app") this.#became(memberId, taint);
    check(
      this.#hashesOf(kind + taint).get(index) === hash,
      () => `${memberId} installed another state at ${index} than others had`,
    );
  }

  /** After each step of a member. */
  observe(memberId: string, fault: CopyFault | null): void {
    const member = this.#members.get(memberId);
    if (member === undefined || member.fault === fault) return;
    member.fault = fault;
    this.changes += 1;
    if (fault !== "diverged") return;
    this.quarantined.push(memberId);
    const { taint } = member;
    check(
      this.#isOdd(memberId, taint),
      () => `${memberId} was put out of use, and its copy is as all others`,
    );
  }

  /** It never speaks again. */
  gone(memberId: string): void {
    const member = this.#members.get(memberId);
    if (member !== undefined) member.goneMs = this.#nowMs();
  }

  /** True if no member has computed what another one has not. */
  get areAlike(): boolean {
    const present = [...this.#members.values()].filter(({ goneMs }) => goneMs === Infinity);
    return new Set(present.map(({ taint }) => taint)).size <= 1;
  }

  taintOf(memberId: string): string {
    return this.#members.get(memberId)?.taint ?? "";
  }

  #isOdd(memberId: string, taint: string): boolean {
    const sinceMs = this.#nowMs() - VERDICT_MS_MAX;
    return [...this.#members].some(([other, { taint: theirs, before, changedMs, goneMs }]) => {
      if (other === memberId || goneMs < sinceMs) return false;
      return theirs !== taint || (changedMs >= sinceMs && before !== taint);
    });
  }

  #became(memberId: string, taint: string): Known {
    const known = this.#members.get(memberId);
    if (known === undefined) {
      const member = { taint, before: taint, changedMs: this.#nowMs(), fault: null, goneMs: Infinity };
      this.#members.set(memberId, member);
      return member;
    }
    if (known.taint !== taint) {
      known.before = known.taint;
      known.taint = taint;
      known.changedMs = this.#nowMs();
    }
    return known;
  }

  #hashesOf(name: string): Map<number, number> {
    const known = this.#hashes.get(name);
    if (known !== undefined) return known;
    const hashes = new Map<number, number>();
    this.#hashes.set(name, hashes);
    return hashes;
  }
}

import type { LogBatch, RecoveredLog } from "../../agent/log/log-types.ts";
import type { Random } from "../../agent/platform/random.ts";
import type { Entry, HardState, LogPosition } from "../../agent/raft/types.ts";
import { command, randomInt } from "./log-fixture.ts";

/** What a log holds, kept the simple way. */
export interface ModelState {
  readonly base: LogPosition;
  readonly entries: readonly Entry[];
  readonly hardState: HardState;
}

export type ModelStep =
  | { readonly kind: "append"; readonly batch: LogBatch }
  | { readonly kind: "compact"; readonly base: LogPosition };

export const EMPTY_MODEL: ModelState = {
  base: { index: 0, term: 0 },
  entries: [],
  hardState: { term: 0, vote: null, commit: 0 },
};

export function lastOf(state: ModelState): LogPosition {
  return state.entries.at(-1) ?? state.base;
}

export function applyStep(state: ModelState, step: ModelStep): ModelState {
  if (step.kind === "compact") return compacted(state, step.base);
  const { base, entries, hardState = state.hardState } = step.batch;
  const before = base ? compacted(state, base) : state;
  const from = entries[0]?.index ?? Number.POSITIVE_INFINITY;
  return {
    ...before,
    hardState,
    entries: [...before.entries.filter(({ index }) => index < from), ...entries],
  };
}

function compacted(state: ModelState, base: LogPosition): ModelState {
  const isKept = state.entries.some(({ index, term }) => index === base.index && term === base.term);
  const commit = Math.max(state.hardState.commit, base.index);
  const entries = isKept ? state.entries.filter(({ index }) => index > base.index) : [];
  return { base, entries, hardState: { ...state.hardState, commit } };
}

/** A step that Raft could take in this state. */
export function randomStep(random: Random, state: ModelState): ModelStep {
  const { hardState, base } = state;
  const last = lastOf(state);
  const choice = random.float();
  if (choice < 0.08 && hardState.commit > base.index) {
    const index = base.index + 1 + randomInt(random, hardState.commit - base.index);
    const term = state.entries.find((entry) => entry.index === index)?.term ?? 0;
    return { kind: "compact", base: { index, term } };
  }
  if (choice < 0.1) {
    // A snapshot, often of a term that this log does not know yet, and what stands behind it.
    const term = hardState.term + randomInt(random, 2);
    const from = choice < 0.09 ? last.index + 1 : hardState.commit + 1;
    const base = { index: Math.max(from, state.base.index + 1) + randomInt(random, 9), term };
    const entries = Array.from({ length: randomInt(random, 3) }, (_, at) =>
      command(base.index + 1 + at, term),
    );
    const vote = term > hardState.term ? null : hardState.vote;
    return { kind: "append", batch: { base, entries, hardState: { term, vote, commit: base.index } } };
  }
  if (choice < 0.2)
    return { kind: "append", batch: { entries: [], hardState: { ...hardState, commit: last.index } } };
  const replaces = choice < 0.35 && last.index > hardState.commit;
  const term = Math.max(hardState.term, last.term) + (replaces || choice < 0.45 ? 1 : 0);
  const vote = term > hardState.term ? `member-${randomInt(random, 3)}` : hardState.vote;
  const from = replaces
    ? hardState.commit + 1 + randomInt(random, last.index - hardState.commit)
    : last.index + 1;
  const count = randomInt(random, 4) + (choice < 0.45 ? 0 : 1);
  const entries = Array.from({ length: count }, (_, at) => command(from + at, term, randomInt(random, 700)));
  const end = entries.at(-1)?.index ?? last.index;
  const isCommitted = random.float() < 0.5;
  const commit = isCommitted
    ? hardState.commit + randomInt(random, end - hardState.commit + 1)
    : hardState.commit;
  return { kind: "append", batch: { entries, hardState: { term, vote, commit } } };
}

/** Whether this was recovered, where `commit` is only a lower bound. */
export function isRecoveredAs(state: ModelState, recovered: RecoveredLog): boolean {
  const { commit } = recovered.hardState;
  return (
    commit >= recovered.base.index &&
    commit <= state.hardState.commit &&
    recovered.base.index === state.base.index &&
    recovered.hardState.term === state.hardState.term &&
    recovered.entries.length === state.entries.length &&
    textOf({ ...recovered, hardState: { ...recovered.hardState, commit: 0 } }) ===
      textOf({ ...state, hardState: { ...state.hardState, commit: 0 } })
  );
}

function textOf({ base, entries, hardState }: ModelState): string {
  return JSON.stringify(
    [base.index, base.term, entries, hardState.term, hardState.vote],
    (_, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value),
  );
}

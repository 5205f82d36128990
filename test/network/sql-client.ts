import type { AgentProcess, Answer, QueryResult } from "../cluster/agent-process.ts";

/** How long an agent may take: long enough for an election, mostly. */
const TIMEOUT = "2s";

export interface Request {
  readonly kind: "read" | "write";
  /** For a write: all of them in one transaction. */
  readonly statements: readonly (string | readonly unknown[])[];
}

/** How a request ended, as far as the client can know. */
export type Outcome =
  /** With what the first statement gave. */
  | { readonly kind: "done"; readonly result: QueryResult }
  /** The agent vouches for it that nothing was done. */
  | { readonly kind: "refused"; readonly code: string }
  | { readonly kind: "unknown"; readonly code: string }
  /** Nothing in these requests gives a reason for such an answer. It may have been done. */
  | { readonly kind: "surprise"; readonly code: string };

/** The place of a write in a client session. */
export interface Guard {
  readonly id: number;
  readonly sequence: number;
}

/** Null if none was opened. */
export async function openSession(agent: AgentProcess | null): Promise<number | null> {
  const answer = await agent?.post(`/db/session?timeout=${TIMEOUT}`, "").catch(() => null);
  return answer?.session ?? null;
}

export async function send(
  agent: AgentProcess,
  { kind, statements }: Request,
  guard: Guard | null = null,
): Promise<Outcome> {
  const session = guard === null ? "" : `&session=${guard.id}&sequence=${guard.sequence}`;
  const path =
    kind === "write"
      ? `/db/execute?transaction&timeout=${TIMEOUT}${session}`
      : `/db/query?level=linearizable&timeout=${TIMEOUT}`;
  try {
    return outcomeOf(await agent.post(path, JSON.stringify(statements)));
  } catch (error) {
    // Nobody listened, so nobody did anything.
    if (isRefused(error)) return { kind: "refused", code: "ECONNREFUSED" };
    return { kind: "unknown", code: String(error) };
  }
}

function outcomeOf(answer: Answer): Outcome {
  const [result] = answer.results ?? [];
  if (
    answer.status === 200 &&
    result !== undefined &&
    answer.results?.every(({ error }) => error === undefined)
  )
    return { kind: "done", result };
  const code = answer.code ?? JSON.stringify(answer);
  if (answer.status === 503) return { kind: "refused", code };
  if (answer.status === 504) return { kind: "unknown", code };
  return { kind: "surprise", code };
}

function isRefused(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : null;
  return cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED";
}

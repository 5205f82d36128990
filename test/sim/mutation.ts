/** One place of the agent's compiled code, replaced. */
export interface Edit {
  /** From agent/, such as "raft/core.ts". */
  readonly file: string;
  /** Stands exactly once in what the compiler makes of the file, but for the white space. */
  readonly find: string;
  /** Never empty: what takes nothing as the place of a statement may take the next one. */
  readonly replace: string;
}

/** A bug that can be planted in the agent. */
export interface Mutation extends Edit {
  readonly name: string;
  /** What else must go for the bug to do harm: a second safeguard. */
  readonly also?: readonly Edit[];
  /** It keeps the cluster from going on. Any other bug counts as caught only where it does something wrong. */
  readonly stops?: boolean;
  /** It must be caught by one of so many seeds that follow each other, wherever they begin. */
  readonly seeds: number;
}

export function editsOf({ file, find, replace, also = [] }: Mutation): readonly Edit[] {
  return [{ file, find, replace }, ...also];
}

/** A bug that can be planted in the agent: one place of its compiled code, replaced. */
export interface Mutation {
  readonly name: string;
  /** In agent/, such as "raft/core.ts". */
  readonly file: string;
  /** Stands exactly once in what the compiler makes of the file, but for the white space. */
  readonly find: string;
  /** Never empty: what takes nothing as the place of a statement may take the next one. */
  readonly replace: string;
  /** It keeps the cluster from going on. Any other bug counts as caught only where it does something wrong. */
  readonly stops?: boolean;
  /** It must be caught by one of so many seeds that follow each other, wherever they begin. */
  readonly seeds: number;
}

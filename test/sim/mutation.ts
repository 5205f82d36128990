/** A bug that can be planted in the agent: one place of its compiled code, replaced. */
export interface Mutation {
  readonly name: string;
  /** In agent/, such as "raft/core.ts". */
  readonly file: string;
  /** Stands exactly once in what the compiler makes of the file, but for the white space. */
  readonly find: string;
  readonly replace: string;
  /** It must be caught by one of the seeds from 1 to this one. */
  readonly seeds: number;
}

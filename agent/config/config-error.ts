/** One thing that is wrong with the configuration. */
export interface ConfigProblem {
  /** The setting's name, or what stood in its place. */
  readonly setting: string;
  /** Where it came from, as the operator wrote it: `--http`, `TRIVET_HTTP`, `http in /etc/trivet.yaml`. */
  readonly source: string;
  /** What was found there. */
  readonly found: string;
  /** What is allowed, or what to do. */
  readonly allowed: string;
}

/** The configuration cannot be used. Carries every problem at once, so that one run shows them all. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.problems = problems;
  }
}

/** One line for a person. */
export function formatProblem({ source, found, allowed }: ConfigProblem): string {
  return `${source}: found ${found}, but ${allowed}`;
}

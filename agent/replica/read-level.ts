/** As rqlite means them; see the README for what each costs. */
export const READ_LEVELS = ["none", "weak", "linearizable", "strong"] as const;
export type ReadLevel = (typeof READ_LEVELS)[number];

import type { SqlService } from "../replica/sql-service.ts";

/** The shapes that the SQL service takes and gives, by the names that the store has for them. */
export type SqlStatement = Parameters<SqlService["execute"]>[0][number];
export type SqlParameters = SqlStatement["parameters"];
export type SqlValue = Extract<SqlParameters, readonly unknown[]>[number];
export type CommandResult = Awaited<ReturnType<SqlService["execute"]>>;
export type StatementResult = CommandResult[number];
export type SessionGuard = NonNullable<Parameters<SqlService["execute"]>[1]["session"]>;

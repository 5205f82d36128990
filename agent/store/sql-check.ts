import { LruCache } from "../platform/lru-cache.ts";
import { TOKENS_MAX } from "./limits.ts";
import {
  ALLOWED_PRAGMAS,
  classifyPragma,
  isPragmaFunctionAllowed,
  isPragmaOfOneNode,
} from "./pragma-check.ts";
import { countPasses, mayChangeSchema, mayRemove } from "./sql-bounds.ts";
import { readSqlShape, type SqlShape } from "./sql-shape.ts";
import type { SqlTokens } from "./sql-tokens.ts";
import { readWriteShape, type WriteShape } from "./sql-writes.ts";

/**
 * What may become part of the log: SQL that does the same on every node, and that leaves alone what keeps the
 * nodes the same. Checked before a statement is proposed, never when it is applied: two versions of this file must
 * not make two versions of the data.
 *
 * Only the refused is named here. Everything else, nonsense included, goes to SQLite, whose error is the answer.
 */
export type SqlCheck = SqlVerdict & {
  /** Of the text; no more than `TOKENS_MAX` and one are counted. */
  readonly tokenCount: number;
};

type SqlVerdict =
  | {
      readonly ok: true;
      readonly isReadOnly: boolean;
      /** True if its answer tells of one node's file or program: it may be asked, and must not become an entry. */
      readonly isOfOneNode: boolean;
      /** See `countPasses`. */
      readonly passes: number;
      readonly mayRemove: boolean;
      /** True if it may bring what makes others do more than their text shows: see `Store.hiddenWork`. */
      readonly mayChangeSchema: boolean;
      readonly writes: WriteShape;
    }
  | { readonly ok: false; readonly code: string; readonly message: string };

export const TOO_MANY_TOKENS = `The SQL of a request may have ${TOKENS_MAX} words, values and signs; this has more. Pass values as parameters, or send several requests.`;

type Refusal = Extract<SqlVerdict, { readonly ok: false }>;

/** Names that begin so are ours, in any letter case. */
const RESERVED_PREFIX = "_trivet_";

/**
 * Answers to recent statements: most clients send the same few texts again and again. Longer ones are not kept, for they are bulk loads
 * with their values inside; whoever needs an answer twice passes it on.
 */
const CACHED_LENGTH_MAX = 4096;
const CACHE_COUNT_MAX = 512;
const CACHE_LENGTH_MAX = 128 * CACHED_LENGTH_MAX;
const recent = new LruCache<SqlCheck>({ countMax: CACHE_COUNT_MAX, sizeMax: CACHE_LENGTH_MAX });

/** A function of `sql` alone. */
export function checkStatement(sql: string): SqlCheck {
  if (sql.length > CACHED_LENGTH_MAX) return checkText(sql);
  const known = recent.get(sql);
  if (known !== undefined) return known;
  const check = checkText(sql);
  recent.set(sql, check, sql.length);
  return check;
}

/** What every word that `checkTokens` refuses contains: most texts have none, and are spared the closer look. */
const SUSPECT = /_trivet_|sqlite_|dbstat|pragma_|total_changes|fts5_|load_extension|rollback/i;

function checkText(sql: string): SqlCheck {
  const shape = readSqlShape(sql, TOKENS_MAX + 1);
  return { ...checkShape(sql, shape), tokenCount: shape.tokenCount };
}

function checkShape(sql: string, shape: SqlShape): SqlVerdict {
  if (sql.includes("\0")) {
    return refuse(
      "nul-in-sql",
      "The statement contains a NUL character, where SQLite would end it. Pass such text as a parameter.",
    );
  }
  if (shape.tokenCount > TOKENS_MAX) return refuse("too-large", TOO_MANY_TOKENS);
  if (shape.hasSecond) {
    return refuse(
      "several-statements",
      "There is more than one statement in one string. Send a list of statements.",
    );
  }
  if (shape.tokens.length === 0)
    return refuse("empty-statement", "The statement is empty. Send one SQL statement.");
  const reads = shape.isExplain || readsOnly(shape);
  const isSuspect = SUSPECT.test(sql);
  const refusal = checkVerb(shape) ?? (isSuspect ? checkTokens(shape, reads) : null);
  if (refusal !== null) return refusal;
  const isOfOneNode =
    shape.isExplain ||
    (shape.verb === "PRAGMA" && isPragmaOfOneNode(shape.tokens)) ||
    (reads && isSuspect && checkTokens(shape, false) !== null);
  return {
    ok: true,
    isReadOnly: reads,
    isOfOneNode,
    passes: countPasses(shape),
    mayRemove: mayRemove(shape),
    mayChangeSchema: mayChangeSchema(shape),
    writes: readWriteShape(shape, sql.length),
  };
}

function readsOnly({ verb, tokens }: SqlShape): boolean {
  return verb === "SELECT" || verb === "VALUES" || (verb === "PRAGMA" && classifyPragma(tokens) === "reads");
}

const TRANSACTION_VERBS: ReadonlySet<string> = new Set([
  "BEGIN",
  "COMMIT",
  "END",
  "ROLLBACK",
  "SAVEPOINT",
  "RELEASE",
]);

function checkVerb({ verb, tokens }: SqlShape): Refusal | null {
  if (TRANSACTION_VERBS.has(verb)) {
    return refuse(
      "transaction-control",
      `${verb} is not supported: a transaction cannot span requests. Send its statements as one request, with transaction set.`,
    );
  }
  if (verb === "ATTACH" || verb === "DETACH") {
    return refuse("attach", `${verb} is not supported: only the cluster's own database is replicated.`);
  }
  if (verb === "VACUUM") {
    return refuse(
      "vacuum",
      "VACUUM is not supported: it would rewrite the file of one node. Free pages are used again by later writes.",
    );
  }
  if (verb === "PRAGMA" && classifyPragma(tokens) === "refused") {
    return refuse(
      "pragma",
      `This PRAGMA is not supported, or not with a value. Supported: ${ALLOWED_PRAGMAS}.`,
    );
  }
  if (verb === "CREATE" && createsTemporary(tokens)) {
    return refuse(
      "temporary-object",
      "Temporary tables, views and triggers are not replicated. Create an ordinary one and drop it after use.",
    );
  }
  return null;
}

/** CREATE TEMP ..., or CREATE ... temp.name: it would belong to a connection, so a restarted node had it not. */
function createsTemporary(tokens: SqlTokens): boolean {
  if (["TEMP", "TEMPORARY"].includes(tokens.keyword(1))) return true;
  const kindAt = tokens.findIndex((at) => CREATED_KINDS.has(tokens.keyword(at)));
  const nameAt = kindAt + (tokens.keyword(kindAt + 1) === "IF" ? 4 : 1);
  return tokens.isOperator(nameAt + 1, ".") && tokens.text(nameAt).toLowerCase() === "temp";
}
const CREATED_KINDS: ReadonlySet<string> = new Set(["TABLE", "VIEW", "INDEX", "TRIGGER"]);

function checkTokens({ tokens }: SqlShape, reads: boolean): Refusal | null {
  for (let at = 0; at < tokens.length; at++) {
    const refusal = checkWord(tokens, at, reads) ?? checkConflict(tokens, at);
    if (refusal !== null) return refusal;
  }
  return null;
}

function checkWord(tokens: SqlTokens, at: number, reads: boolean): Refusal | null {
  if (tokens.keyword(at) !== "") return null;
  // SQLite takes text in '' as a name where only a name fits, so it is checked like one.
  if (!tokens.isName(at) && tokens.kind(at) !== "string") return null;
  const name = tokens.text(at).toLowerCase();
  const isCall = tokens.isName(at) && tokens.isOperator(at + 1, "(");
  return checkName(name, reads) ?? (isCall ? checkCall(name, reads) : null);
}

function checkName(name: string, reads: boolean): Refusal | null {
  if (name.startsWith(RESERVED_PREFIX)) {
    return refuse(
      "reserved-name",
      `Names that begin with ${RESERVED_PREFIX} are reserved. Choose another name, or pass the text as a parameter.`,
    );
  }
  if (name === "sqlite_dbpage" || (name === "dbstat" && !reads)) {
    return refuse(
      "file-layout",
      `${name} shows the layout of one node's file: it may not be written, nor become data. Pass it as a parameter if it is text.`,
    );
  }
  if (/^sqlite_stat\d$/.test(name) && !reads) {
    return refuse(
      "planner-statistics",
      `${name} may only be read, ANALYZE fills it: a running node would not notice a change made by hand. Pass it as a parameter if it is text.`,
    );
  }
  if (name.startsWith("pragma_") && !isPragmaFunctionAllowed(name.slice("pragma_".length), reads)) {
    return refuse(
      "pragma",
      `${name} is not supported here. Pass it as a parameter if it is text. Supported: ${ALLOWED_PRAGMAS}.`,
    );
  }
  return null;
}

/** Functions whose answer depends on more than the replicated data. */
const REFUSED_FUNCTIONS: ReadonlyMap<string, string> = new Map([
  ["total_changes", "it counts since the database was opened, which differs from node to node"],
  ["fts5_locale", "it marks its values with a random number, which differs from node to node"],
  ["load_extension", "a node has no extensions"],
]);

/** Functions whose answer depends on the program, which is not the same everywhere while the nodes are updated. */
const OF_THE_PROGRAM =
  /^(?:sqlite_version|sqlite_source_id|sqlite_compileoption_get|sqlite_compileoption_used|fts5_source_id)$/;

function checkCall(name: string, reads: boolean): Refusal | null {
  const isOfProgram = !reads && OF_THE_PROGRAM.test(name);
  const reason = isOfProgram ? "it tells of the program of one node" : REFUSED_FUNCTIONS.get(name);
  return reason === undefined ? null : refuse("refused-function", `${name}() is not supported: ${reason}.`);
}

/** OR ROLLBACK, ON CONFLICT ROLLBACK and RAISE(ROLLBACK, ...) end the SQLite transaction, which others share. */
function checkConflict(tokens: SqlTokens, at: number): Refusal | null {
  if (tokens.keyword(at) !== "ROLLBACK") return null;
  const isRaise = tokens.isOperator(at - 1, "(") && tokens.keyword(at - 2) === "RAISE";
  if (!isRaise && !["OR", "CONFLICT"].includes(tokens.keyword(at - 1))) return null;
  return refuse(
    "conflict-rollback",
    "The conflict clause ROLLBACK is not supported: it would undo other requests. Use ABORT, and send the request with transaction set.",
  );
}

function refuse(code: string, message: string): Refusal {
  return { ok: false, code, message };
}

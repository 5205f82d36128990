import { REQUEST_BYTES_MAX, TOKENS_MAX } from "../../agent/store/limits.ts";
import { checkStatement } from "../../agent/store/sql-check.ts";
import { tokenizeSql } from "../../agent/store/tokenize-sql.ts";

/**
 * `npm run bench:check`: what the check of one statement takes of the main thread, in CPU time. Texts of many small tokens are the
 * worst. Next to it how often the characters could be looked at meanwhile: that can be compared between runs and boxes.
 */
const ROUNDS = 5;
const MIB = 1024 * 1024;

const PARTS: Readonly<Record<string, (nth: number) => string>> = {
  "?1,?2,": (nth) => `?${(nth % 9999) + 1},`,
  ":a,:b,": (nth) => `:${nth.toString(36)},`,
  "a a ": () => "a ",
  "((": () => "(",
  "a(a(": () => "a(",
  "in(in(": () => "in(",
  "(1),(2),": (nth) => `(${nth % 10}),`,
  "'' '' ": () => "'' ",
  "like''like''": () => "like''",
  "rollback rollback ": () => "rollback ",
  "/**//**/": () => "/**/",
  "rows of a dump": (nth) => `(${nth}, 'Name ${nth}', 17.25, NULL),\n`,
};

console.log(`texts of ${TOKENS_MAX} tokens, or of ${REQUEST_BYTES_MAX} bytes if that is less`);
for (const [name, part] of Object.entries(PARTS)) {
  const sql = longestOf(part);
  const checkMs = leastMs((round) => checkStatement(`${sql}${round}`));
  const passMs = leastMs(() => lookAtAll(sql));
  const sizeMib = sql.length / MIB;
  const figures = [
    `${sizeMib.toFixed(2)} MiB`.padStart(9),
    `${checkMs.toFixed(1)} ms`.padStart(9),
    `${(checkMs / sizeMib).toFixed(1)} ms/MiB`.padStart(13),
    `${(checkMs / passMs).toFixed(1)} passes`.padStart(14),
  ];
  console.log(name.padEnd(20), figures.join(""));
}

/** A statement of such parts that is just within the bounds of a request; a round's number may follow. */
function longestOf(part: (nth: number) => string): string {
  const begin = "INSERT INTO t VALUES ";
  const tokensOfPart = Math.max(1, tokenizeSql(part(1)).length);
  const count = Math.floor((TOKENS_MAX - tokenizeSql(begin).length - 1) / tokensOfPart);
  let sql = begin;
  for (let nth = 0; nth < count && sql.length < REQUEST_BYTES_MAX - 64; nth++) sql += part(nth);
  return sql;
}

function lookAtAll(sql: string): number {
  let sum = 0;
  for (let at = 0; at < sql.length; at++) sum += sql.charCodeAt(at);
  return sum;
}

function leastMs(act: (round: number) => unknown): number {
  const times = Array.from({ length: ROUNDS }, (_, round) => {
    const before = process.cpuUsage();
    act(round);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  });
  return Math.min(...times);
}

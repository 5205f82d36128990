/** As much of SQLite's syntax as a shell needs: where a statement ends. */

interface Token {
  readonly kind: "word" | "semicolon" | "other";
  /** Upper case for words, empty for what only matters by being there. */
  readonly text: string;
  /** Just behind its last character. */
  readonly end: number;
}

/**
 * Complete statements at the start of `text`, without their semicolons, and what follows the last of them. A
 * trigger goes on until `; END ;`, as in sqlite3_complete().
 */
export function splitStatements(text: string): {
  readonly statements: readonly string[];
  readonly rest: string;
} {
  const statements: string[] = [];
  let start = 0;
  let current: Token[] = [];
  for (const token of tokensOf(text)) {
    if (token.kind !== "semicolon") {
      current.push(token);
      continue;
    }
    if (isTrigger(current) && !isTriggerEnd(current)) {
      current.push(token);
      continue;
    }
    if (current.length > 0) statements.push(text.slice(start, token.end - 1).trim());
    start = token.end;
    current = [];
  }
  return { statements, rest: text.slice(start) };
}

/** True if nothing but space and comments is there. */
export function isBlankSql(text: string): boolean {
  return tokensOf(text).next().done === true;
}

function isTrigger(tokens: readonly Token[]): boolean {
  const words = tokens.slice(0, 4).map(({ text }) => text);
  const create = words.indexOf("CREATE");
  if (create < 0 || create > 1) return false;
  const object = words[create + 1];
  return object === "TRIGGER" || (/^TEMP(?:ORARY)?$/.test(object ?? "") && words[create + 2] === "TRIGGER");
}

function isTriggerEnd(tokens: readonly Token[]): boolean {
  return tokens.at(-1)?.text === "END" && tokens.at(-2)?.kind === "semicolon";
}

/** Unterminated text and comments swallow the rest, so that a statement inside them is not complete. */
function* tokensOf(text: string): Generator<Token, void> {
  const pattern =
    /\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?(?:\*\/|$)|(?<quoted>'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|`(?:[^`]|``)*(?:`|$)|\[[^\]]*(?:\]|$))|(?<word>[\p{L}_][\p{L}\p{N}_$]*)|(?<other>[\s\S])/guy;
  for (const match of text.matchAll(pattern)) {
    const { quoted, word, other } = match.groups ?? {};
    const end = match.index + match[0].length;
    if (word !== undefined) yield { kind: "word", text: word.toUpperCase(), end };
    else if (quoted !== undefined) yield { kind: "other", text: "", end };
    else if (other !== undefined) yield { kind: other === ";" ? "semicolon" : "other", text: "", end };
  }
}

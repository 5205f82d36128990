/** From journald's priorities, most urgent first. */
export const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Named values that go with a message; no secret may be among them. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where messages for the operator go. Passed in, never a global. */
export interface Logger {
  log(level: LogLevel, message: string, fields?: LogFields): void;
}

/**
 * One line per message on `write`: journald's priority prefix if `journal` is set (sd-daemon(3)), else the
 * level as a word; then the message and `key=value` fields.
 */
export function createLineLogger(options: {
  readonly level: LogLevel;
  readonly journal: boolean;
  readonly write: (line: string) => void;
}): Logger {
  const lowest = LOG_LEVELS.indexOf(options.level);
  return {
    log(level, message, fields = {}) {
      if (LOG_LEVELS.indexOf(level) > lowest) return;
      const prefix = options.journal ? JOURNAL_PRIORITY[level] : `${level.padEnd(5)} `;
      const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${formatValue(value)}`);
      options.write(`${prefix}${message}${rest.join("")}`);
    },
  };
}

const JOURNAL_PRIORITY: Readonly<Record<LogLevel, string>> = {
  error: "<3>",
  warn: "<4>",
  info: "<6>",
  debug: "<7>",
};

function formatValue(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message);
  if (typeof value === "string") return /^[\w.:/@-]+$/.test(value) ? value : JSON.stringify(value);
  return JSON.stringify(value) ?? String(value);
}

import { ConfigError } from "../config/config-error.ts";
import { isTrivetError } from "../platform/trivet-error.ts";
import { UsageError } from "./usage-error.ts";

/** Scripts and service managers rely on these. */
export const EXIT_CODE = {
  done: 0,
  failed: 1,
  wrongUsage: 2,
  /** EX_CONFIG of sysexits.h. */
  wrongConfiguration: 78,
} as const;

/** What stands in the way of a start until somebody changes the settings, the directory or the other program. */
const CONFIGURATION_CODES: readonly string[] = [
  "address-unavailable",
  "data-locked",
  "data-unreadable",
  "identity-mismatch",
  "identity-unreadable",
  "log-behind-store",
  "log-corrupt",
  "log-lost",
  "log-unproven",
  "log-version",
  "port-in-use",
  "port-not-permitted",
  "store-damaged",
];

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT_CODE.wrongUsage;
  if (error instanceof ConfigError) return EXIT_CODE.wrongConfiguration;
  if (isTrivetError(error) && CONFIGURATION_CODES.includes(error.code)) return EXIT_CODE.wrongConfiguration;
  return EXIT_CODE.failed;
}

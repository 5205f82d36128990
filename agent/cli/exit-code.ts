import { ConfigError } from "../config/config-error.ts";
import { isTrivetError } from "../platform/trivet-error.ts";
import { UsageError } from "./usage-error.ts";

/** Scripts and service managers rely on these. */
export const EXIT_CODE = {
  done: 0,
  failed: 1,
  wrongUsage: 2,
  /** EX_CONFIG of sysexits.h: the systemd unit does not restart after it, since only a person can help. */
  wrongConfiguration: 78,
} as const;

/**
 * What no restart can heal. A port or a data directory in use is not among them: who has it may be an agent that
 * is just ending, and an unattended box must try again.
 */
const CONFIGURATION_CODES: readonly string[] = ["data-unreadable", "port-not-permitted"];

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT_CODE.wrongUsage;
  if (error instanceof ConfigError) return EXIT_CODE.wrongConfiguration;
  if (isTrivetError(error) && CONFIGURATION_CODES.includes(error.code)) return EXIT_CODE.wrongConfiguration;
  return EXIT_CODE.failed;
}

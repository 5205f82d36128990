import { resolve } from "node:path";
import { type HostPort, parseHostPort } from "./host-port.ts";

/** How one setting is read. Flags and variables arrive as text (lists as text, too), YAML as parsed. */
export interface SettingKind<T> {
  /** What stands for the value in the help: `HOST:PORT`. */
  readonly placeholder: string;
  /** Completes "found x, but it must be ...". */
  readonly allowed: string;
  /** True if the flag may be given several times; `parse` then gets an array. */
  readonly isList: boolean;
  /** Undefined if `found` is not allowed. */
  parse(found: unknown): T | undefined;
}

/** A whole number from `min` to `max`. */
export function integer(range: {
  readonly min: number;
  readonly max: number;
  readonly unit: string;
}): SettingKind<number> {
  return {
    placeholder: range.unit.toUpperCase(),
    allowed: `it must be a whole number of ${range.unit} from ${range.min} to ${range.max}`,
    isList: false,
    parse(found) {
      const value = typeof found === "string" && /^-?\d+$/.test(found) ? Number(found) : found;
      if (typeof value !== "number" || !Number.isInteger(value)) return undefined;
      return value >= range.min && value <= range.max ? value : undefined;
    },
  };
}

/** One word of a fixed set. */
export function choice<const T extends string>(words: readonly T[]): SettingKind<T> {
  return {
    placeholder: words.join("|"),
    allowed: `it must be one of ${words.join(", ")}`,
    isList: false,
    parse: (found) => words.find((word) => word === found),
  };
}

/** A directory, made absolute from the working directory. */
export const directory: SettingKind<string> = {
  placeholder: "DIR",
  allowed: "it must be the path of a directory",
  isList: false,
  parse: (found) =>
    typeof found === "string" && found !== "" && !found.includes("\0") ? resolve(found) : undefined,
};

/** A name that may stand in an MQTT topic, a file name and a DNS label list without quoting. */
export const plainName: SettingKind<string> = {
  placeholder: "NAME",
  allowed:
    "it must be 1 to 63 letters, digits, dots, dashes or underscores, and start with a letter or digit",
  isList: false,
  parse: (found) =>
    typeof found === "string" && /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(found) ? found : undefined,
};

/** An address to listen on. */
export const listenAddress: SettingKind<HostPort> = {
  placeholder: "HOST:PORT",
  allowed:
    "it must be HOST:PORT with a port from 0 (any free one) to 65535, such as 127.0.0.1:4001 or [::1]:4001",
  isList: false,
  parse: (found) => (typeof found === "string" ? parseHostPort(found) : undefined),
};

/** An address to listen on, or `off`: null. */
export const optionalListenAddress: SettingKind<HostPort | null> = {
  placeholder: "HOST:PORT|off",
  allowed: `${listenAddress.allowed}, or the word off`,
  isList: false,
  // YAML 1.1 readers take a bare `off` for false, and so do people.
  parse: (found) => (found === "off" || found === false ? null : listenAddress.parse(found)),
};

/** URLs of MQTT brokers, at most `countMax`; duplicates are dropped. */
export function brokerUrls(countMax: number): SettingKind<readonly string[]> {
  return {
    placeholder: "MQTT-URL",
    allowed: `each must be mqtt://HOST:PORT without user, path or query, at most ${countMax} of them`,
    isList: true,
    parse(found) {
      const list = typeof found === "string" ? found.split(",").map((part) => part.trim()) : found;
      if (!Array.isArray(list) || list.length > countMax) return undefined;
      const urls = list.map(parseBrokerUrl);
      return urls.every((url) => url !== undefined) ? [...new Set(urls)] : undefined;
    },
  };
}

const MQTT_PORT = 1883;

function parseBrokerUrl(found: unknown): string | undefined {
  const rest = typeof found === "string" ? /^mqtt:\/\/([^/?#@\s]+)\/?$/i.exec(found)?.[1] : undefined;
  if (rest === undefined) return undefined;
  const address = parseHostPort(rest) ?? parseHostPort(`${rest}:${MQTT_PORT}`);
  if (address === undefined || address.port === 0) return undefined;
  return `mqtt://${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

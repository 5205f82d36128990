import { isIPv4, isIPv6 } from "node:net";

/** Where to listen or connect: `host` without brackets, `port` 0..65535 (0: any free one, when listening). */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Reads `127.0.0.1:4001`, `localhost:4001` or `[::1]:4001`; undefined if it is none of these. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[(?<ipv6>[^\]]*)\]|(?<name>[A-Za-z0-9.-]+)):(?<port>\d{1,5})$/.exec(text);
  const { ipv6, name, port: digits } = match?.groups ?? {};
  const port = Number(digits);
  if (digits === undefined || port > 65_535) return undefined;
  if (ipv6 !== undefined) return isIPv6(ipv6) ? { host: ipv6, port } : undefined;
  if (name === undefined) return undefined;
  // All digits and dots can only be meant as an IPv4 address: `1.2.3` or `999.1.1.1` is a typing error.
  if (/^[\d.]+$/.test(name) && !isIPv4(name)) return undefined;
  return { host: name.toLowerCase(), port };
}

/** The inverse of `parseHostPort`; also the authority of a URL (RFC 3986 3.2). */
export function formatHostPort({ host, port }: HostPort): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/** True if only this machine can reach it: 127.0.0.0/8 (RFC 1122 3.2.1.3), ::1 (RFC 4291 2.5.3), localhost (RFC 6761 6.3). */
export function isLoopbackHost(host: string): boolean {
  if (isIPv4(host)) return host.startsWith("127.");
  // One address has many spellings; the URL parser knows them all.
  if (isIPv6(host)) return new URL(`http://[${host}]`).hostname === "[::1]";
  return host.toLowerCase() === "localhost";
}

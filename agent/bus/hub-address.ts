export interface HubAddress {
  readonly host: string;
  readonly port: number;
}

/** Host and port of an `mqtt://` URL (port 1883 if it names none); null if it is not one that can be linked to. */
export function parseHubUrl(url: string): HubAddress | null {
  if (!URL.canParse(url)) return null;
  const { protocol, hostname, port } = new URL(url);
  if (protocol !== "mqtt:" || hostname === "") return null;
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  if (host === "0.0.0.0" || host === "::") return null;
  return { host, port: port === "" ? 1883 : Number(port) };
}

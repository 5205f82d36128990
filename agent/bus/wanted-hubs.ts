import { parseHubUrl } from "./hub-address.ts";
import type { PeerTable } from "./peer-table.ts";

/**
 * URLs of the hubs to link to, the most useful first and at most `max`: the seeds, the brokers of nodes that are
 * up, those of spares after the others, and the brokers of nodes that went down after `triedSinceMs`.
 */
export function wantedHubs(from: {
  readonly seeds: readonly string[];
  /** URL of our own broker, which is never linked to; null if there is none. */
  readonly ownUrl: string | null;
  readonly peers: PeerTable;
  readonly triedSinceMs: number;
  readonly max: number;
}): ReadonlySet<string> {
  const ranked: { readonly url: string; readonly rank: number }[] = [];
  for (const peer of from.peers.peers.values()) {
    const url = peer.presence?.broker ?? null;
    if (url === null || parseHubUrl(url) === null) continue;
    const downSinceMs = from.peers.downSinceMs(peer.nodeId);
    if (downSinceMs !== null && downSinceMs < from.triedSinceMs) continue;
    ranked.push({ url, rank: (peer.up ? 0 : 2) + (peer.presence?.role === "spare" ? 1 : 0) });
  }
  ranked.sort((a, b) => a.rank - b.rank);
  const urls = new Set([...from.seeds, ...ranked.map(({ url }) => url)]);
  if (from.ownUrl !== null) urls.delete(from.ownUrl);
  return new Set([...urls].slice(0, from.max));
}

import type { Peer } from "../bus/peer-table.ts";

/** What may be wrong with a node. Others hear of it by these words, which follow the node's name. */
export const TROUBLES = {
  damaged: "is damaged",
  rejoining: "is coming back as a new member",
  "disk-low": "is short of disk space",
  "disk-critical": "has a full disk",
  diverged: "has diverged",
  incomplete: "is fetching a copy",
} as const;
export type TroubleCode = keyof typeof TROUBLES;

export interface Trouble {
  readonly code: TroubleCode;
  /** For a person at this node: what is wrong, and what to do. */
  readonly text: string;
}

/** What a node says of its own troubles with its presence. */
export function troubleCodesOf({ up, presence }: Peer): readonly TroubleCode[] {
  const codes = presence?.extra?.["troubles"];
  if (!up || !Array.isArray(codes)) return [];
  return codes.filter((code: unknown) => typeof code === "string" && code in TROUBLES);
}

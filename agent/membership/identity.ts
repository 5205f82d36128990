import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from "node:crypto";
import { readWholeFile, replaceWholeFile } from "../platform/atomic-file.ts";
import type { Directory } from "../platform/directory.ts";
import { TrivetError } from "../platform/trivet-error.ts";

const KEY_FILE = "identity.key";
const NODE_ID_BYTES = 16;

/** Who a node is: an Ed25519 key. Addresses and names may change; this does not. */
export interface Identity {
  readonly privateKey: KeyObject;
  /** The first 16 bytes of the SHA-256 of the public key (SPKI, DER), in hex. */
  readonly nodeId: string;
}

/** Reads the node's key, or makes one. Rejects with `identity-unreadable` if the file holds something else. */
export async function openIdentity(directory: Directory): Promise<Identity> {
  const pem = await readWholeFile(directory, KEY_FILE);
  if (pem !== null) return identityOf(parseKey(pem, `${directory.path}/${KEY_FILE}`));
  const { privateKey } = generateKeyPairSync("ed25519");
  await replaceWholeFile(
    directory,
    KEY_FILE,
    Buffer.from(privateKey.export({ type: "pkcs8", format: "pem" })),
  );
  return identityOf(privateKey);
}

function parseKey(pem: Buffer, path: string): KeyObject {
  const unreadable = (cause?: unknown) =>
    new TrivetError(
      "identity-unreadable",
      `${path} holds no Ed25519 private key. Restore it from a backup, or remove the whole data directory to join as a new node.`,
      { cause },
    );
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw unreadable(error);
  }
  if (key.asymmetricKeyType !== "ed25519") throw unreadable();
  return key;
}

function identityOf(privateKey: KeyObject): Identity {
  const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  const nodeId = createHash("sha256").update(spki).digest().subarray(0, NODE_ID_BYTES).toString("hex");
  return { privateKey, nodeId };
}

import { invariant } from "../platform/invariant.ts";
import type { ObjectHead, StoredObject } from "./objects.ts";
import type { PreparedStatement } from "./prepared-statement.ts";

/** What the tables of objects and of their history share, in the order in which the readers take it. */
export const HEAD_COLUMNS = "kind, namespace, name, uid, revision, created";
export const OBJECT_COLUMNS = `${HEAD_COLUMNS}, body`;
export const REVISION_COLUMN = 4;
const BODY_COLUMN = 6;
/** Where a query that asks for more finds it. */
export const AFTER_OBJECT_COLUMNS = 7;

export function readObject(row: PreparedStatement): StoredObject {
  const body = row.readColumn(BODY_COLUMN);
  invariant(body instanceof Uint8Array, "the body of an object is a blob");
  return { ...readHead(row), body };
}

/** All but the body, which may be large. */
export function readHead(row: PreparedStatement): ObjectHead {
  return {
    kind: String(row.readColumn(0)),
    namespace: String(row.readColumn(1)),
    name: String(row.readColumn(2)),
    uid: String(row.readColumn(3)),
    revision: Number(row.readColumn(REVISION_COLUMN)),
    createdRevision: Number(row.readColumn(5)),
  };
}

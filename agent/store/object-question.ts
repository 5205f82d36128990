import type { ObjectHistoryPage, ObjectKey, ObjectList, PageLimits, StoredObject } from "./objects.ts";

/** What can be asked of the objects, as plain data. */
export type ObjectQuestion =
  | { readonly kind: "get-object"; readonly key: ObjectKey }
  | { readonly kind: "list-objects"; readonly range: ObjectRange; readonly limit: number }
  | { readonly kind: "object-history"; readonly afterRevision: number; readonly limits: PageLimits };

/** Objects of one kind: of a namespace, or of all; behind one, or all. */
export interface ObjectRange {
  readonly kind: string;
  readonly namespace: string | null;
  readonly after: { readonly namespace: string; readonly name: string } | null;
}

/** Its `kind` is that of the question. */
export type ObjectAnswer =
  | { readonly kind: "get-object"; readonly revision: number; readonly object: StoredObject | null }
  | (ObjectList & { readonly kind: "list-objects" })
  | (ObjectHistoryPage & { readonly kind: "object-history" });

import type { ObjectChange, ObjectFilter, ObjectsService } from "../replica/objects-service.ts";

/** The shapes that the objects service takes and gives, by the names that the store has for them. */
export type ObjectKey = Parameters<ObjectsService["get"]>[0];
export type ObjectWrite = Parameters<ObjectsService["write"]>[0][number];
export type ObjectPrecondition = Exclude<ObjectWrite, { readonly kind: "compact" }>["revision"];
export type ObjectList = Awaited<ReturnType<ObjectsService["list"]>>;
export type StoredObject = ObjectList["objects"][number];
export type ObjectHead = Omit<StoredObject, "body">;
export type { ObjectChange, ObjectFilter };

import type { ObjectsService } from "../../agent/replica/objects-service.ts";

function none(): never {
  throw new Error("this test has no objects");
}

/** For an API of which only the SQL is tested. */
export const noObjects: ObjectsService = {
  get: none,
  list: none,
  write: none,
  watchFrom: none,
  changes: none,
};

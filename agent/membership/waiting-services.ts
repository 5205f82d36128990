import type { ObjectsService } from "../replica/objects-service.ts";
import type { SqlService } from "../replica/sql-service.ts";
import type { Member } from "./member.ts";

/** What a node offers before it has a cluster: every request waits for the member that is to serve it. */

/** Resolves once this node is a member, with what is left of the time. Rejects if that does not come in time. */
export type WhenMember = (timeoutMs: number) => Promise<readonly [Member, number]>;

export function sqlOf(whenMember: WhenMember): SqlService {
  return {
    execute: async (statements, options) => {
      const [member, timeoutMs] = await whenMember(options.timeoutMs);
      return member.sql.execute(statements, { ...options, timeoutMs });
    },
    query: async (statements, options) => {
      const [member, timeoutMs] = await whenMember(options.timeoutMs);
      return member.sql.query(statements, { ...options, timeoutMs });
    },
    openSession: async (options) => {
      const [member, timeoutMs] = await whenMember(options.timeoutMs);
      return member.sql.openSession({ timeoutMs });
    },
  };
}

export function objectsOf(whenMember: WhenMember): ObjectsService {
  return {
    get: async (key, options) => {
      const [member, timeoutMs] = await whenMember(options.timeoutMs);
      return member.objects.get(key, { ...options, timeoutMs });
    },
    list: async (options) => {
      const [member, timeoutMs] = await whenMember(options.timeoutMs);
      return member.objects.list({ ...options, timeoutMs });
    },
    write: async (writes, options) => {
      const [member, timeoutMs] = await whenMember(options.timeoutMs);
      return member.objects.write(writes, { ...options, timeoutMs });
    },
    watchFrom: async (options) => {
      const [member, timeoutMs] = await whenMember(options.timeoutMs);
      return member.objects.watchFrom({ ...options, timeoutMs });
    },
    changes: async (options) => {
      const [member, waitMs] = await whenMember(options.waitMs);
      return member.objects.changes({ ...options, waitMs });
    },
  };
}

import type { ObjectChange } from "../../agent/replica/objects-service.ts";
import type { ObjectEvent, ObjectHead, ObjectList, StoredObject } from "../../agent/store/objects.ts";
import { check } from "./violation.ts";

/** All changes of objects that ever happened, as the log has them: what watchers and lists are held to. */
export class ObjectWatch {
  /** In log order. */
  readonly #events: ObjectEvent[] = [];
  /** Each body is written once. */
  readonly #writtenAt = new Map<string, number>();

  /** Up to here changes are known. */
  get newest(): number {
    return this.#events.at(-1)?.revision ?? 0;
  }

  /** A member has applied these, of one entry; another one may have before. */
  happened(events: readonly ObjectEvent[]): void {
    const revision = events[0]?.revision ?? 0;
    if (revision <= this.newest) return;
    this.#events.push(...events);
    for (const { type, object } of events) {
      if (type !== "put") continue;
      const body = String(Buffer.from(object.body));
      const at = this.#writtenAt.get(body) ?? revision;
      check(
        at === revision,
        () => `the write of object ${body} took effect twice: at ${at} and at ${revision}`,
      );
      this.#writtenAt.set(body, revision);
    }
  }

  /** A watcher that has seen everything up to `place` is told of this. */
  told(watcher: string, place: number, { revision, events }: ObjectChange): void {
    check(
      revision > place || (revision === place && events.length === 0),
      () => `${watcher} was told of ${revision} after ${place}`,
    );
    const missed = this.#events.filter((event) => event.revision > place && event.revision <= revision);
    check(
      describe(missed) === describe(events),
      () =>
        `${watcher} was told ${describe(events)} between ${place} and ${revision}, it was ${describe(missed)}`,
    );
  }

  listed(reader: string, { revision, objects }: ObjectList): void {
    const wanted = new Map<string, StoredObject>();
    for (const event of this.#events) {
      if (event.revision > revision) break;
      if (event.type === "put") wanted.set(event.object.name, event.object);
      else wanted.delete(event.object.name);
    }
    const state = (all: Iterable<StoredObject>) => [...all].map(describeObject).sort().join(" ");
    check(
      state(wanted.values()) === state(objects),
      () => `${reader} was given ${state(objects)} at ${revision}, it was ${state(wanted.values())}`,
    );
  }
}

function describe(events: readonly ObjectEvent[]): string {
  return events.map(({ type, object }) => `${type} ${describeObject(object)}`).join(" ");
}

function describeObject(object: StoredObject | ObjectHead): string {
  const { name, uid, revision, createdRevision } = object;
  const body = "body" in object ? Buffer.from(object.body) : "gone";
  return `${name} ${uid} ${createdRevision} ${revision} ${body}`;
}

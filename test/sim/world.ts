import { EventQueue, type SimEvent } from "./event-queue.ts";
import { Stuck } from "./violation.ts";

const STEPS_PER_TURN = 4096;
/** More than ever happens in one moment of virtual time, unless something goes on at once for ever. */
const STEPS_AT_ONCE_MAX = 100_000;

/** The actor of what nobody in particular does. */
export const NOBODY = -1;

export interface EndOfRun {
  readonly kind: "done" | "violation";
  readonly error: unknown;
}

/**
 * Virtual time. One event happens after the other, and everything that promises do because of it is done before the
 * next: so a run is a function of its seed.
 */
export class World {
  readonly #queue = new EventQueue();
  /** Called after each event, when all promises have settled. */
  onStep: (actor: number) => void = () => undefined;
  #nowMs = 0;
  #lastActor = NOBODY;
  #order = 0;
  #steps = 0;
  /** Without that time has passed. */
  #stepsAtOnce = 0;
  #trace = 0x811c9dc5;
  #end: ((end: EndOfRun) => void) | null = null;

  get nowMs(): number {
    return this.#nowMs;
  }

  get steps(): number {
    return this.#steps;
  }

  /** Of all that has happened so far: equal for equal runs. */
  get traceHash(): number {
    return this.#trace >>> 0;
  }

  at(delayMs: number, actor: number, run: () => void): SimEvent {
    const event = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, actor, run };
    this.#queue.push(event);
    return event;
  }

  /** Something that two runs of one seed must have in common. */
  note(value: number): void {
    this.#trace = Math.imul(this.#trace ^ (value | 0), 0x01000193);
  }

  /** The run is over: nothing happens any more. */
  end(end: EndOfRun): void {
    const resolve = this.#end;
    this.#end = null;
    resolve?.(end);
  }

  /** Resolves when `end` is called. What an event throws, and a promise that nobody handles, ends it as a violation. */
  async run(): Promise<EndOfRun> {
    let unhandled: unknown = null;
    const onUnhandled = (error: unknown) => {
      unhandled = error;
      this.end({ kind: "violation", error });
    };
    process.on("unhandledRejection", onUnhandled);
    try {
      const end = await new Promise<EndOfRun>((resolve) => {
        this.#end = resolve;
        queueMicrotask(() => process.nextTick(this.#turn));
      });
      await new Promise((resolve) => setImmediate(resolve));
      return unhandled === null ? end : { kind: "violation", error: unhandled };
    } finally {
      process.off("unhandledRejection", onUnhandled);
    }
  }

  /**
   * The tick queue is looked at again only when no microtask is left; so this runs an event, and itself again when
   * all that follows from the event has happened. Much cheaper than a turn of Node's event loop each.
   */
  readonly #turn = (): void => {
    if (this.#end === null) return;
    try {
      this.#step();
    } catch (error) {
      this.end({ kind: "violation", error });
      return;
    }
    queueMicrotask(() => process.nextTick(this.#settled));
  };

  readonly #settled = (): void => {
    if (this.#end === null) return;
    try {
      this.onStep(this.#lastActor);
    } catch (error) {
      this.end({ kind: "violation", error });
      return;
    }
    // Node tells of a rejection that nobody handled only when it gets a turn.
    if (this.#steps % STEPS_PER_TURN === 0) setImmediate(this.#turn);
    else this.#turn();
  };

  #step(): void {
    let event = this.#queue.pop();
    while (event !== undefined && event.run === null) event = this.#queue.pop();
    if (event?.run == null) throw new Error("nothing is left to happen: the simulation is stuck");
    this.#stepsAtOnce = event.atMs === this.#nowMs ? this.#stepsAtOnce + 1 : 0;
    if (this.#stepsAtOnce > STEPS_AT_ONCE_MAX) throw new Stuck(`time stands still at ${this.#nowMs} ms`);
    this.#nowMs = event.atMs;
    this.#steps += 1;
    this.#lastActor = event.actor;
    this.note(Math.round(event.atMs * 1000));
    this.note(event.actor);
    event.run();
  }
}

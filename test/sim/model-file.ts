import { crc32 } from "node:zlib";
import { decodeCommand } from "../../agent/store/command.ts";
import type { ObjectEvent } from "../../agent/store/objects.ts";
import type {
  Command,
  CommandResult,
  LogPosition,
  ObjectsCommand,
  SessionGuard,
  SqlCommand,
  StoredConfiguration,
  StoreEntry,
} from "../../agent/store/types.ts";
import { type KvOperation, operationOf } from "./kv-sql.ts";
import { type HistoryLimits, ModelObjects, type PackedObjects } from "./model-objects.ts";
import { ModelSessions } from "./model-sessions.ts";
import type { Written } from "./value-watch.ts";
import type { WrongResults } from "./wrong-results.ts";

/** What is in a file of a copy of the data. */
export interface CopyState {
  /** Of everything that was applied to it. */
  readonly hash: number;
  /** The wrong results in it, which no member can know of: which member computed them, at which entries. "" if there are none. */
  readonly taint: string;
  /** That bits in it have flipped. */
  readonly isFlipped: boolean;
}

/** What an entry did to a file. */
export interface Effect {
  readonly result: CommandResult;
  /** Each value a client writes once. */
  readonly written: readonly Written[];
  readonly events: readonly ObjectEvent[];
}

/** An entry that was applied, and what came out if that was wrong. */
interface Taken {
  readonly entry: StoreEntry;
  readonly wrong: CommandResult | null;
}

const NO_EFFECT: Effect = { result: [], written: [], events: [] };

/** Everything that is in one database file at a position. */
interface Content {
  position: LogPosition;
  /** Of all that was applied, results included. */
  hash: number;
  /** See `CopyState`. */
  taint: string;
  isFlipped: boolean;
  timeMs: number;
  readonly values: Map<string, string>;
  readonly sessions: ModelSessions;
  readonly objects: ModelObjects;
  configuration: StoredConfiguration | null;
}

/** As a snapshot carries it. */
export interface PackedContent extends Omit<Content, "values" | "sessions" | "objects" | "configuration"> {
  readonly values: readonly (readonly [string, string])[];
  readonly sessions: ReturnType<ModelSessions["pack"]>;
  readonly objects: PackedObjects;
  readonly configuration: { readonly index: number; readonly hex: string } | null;
}

/** `app` holds what clients write by SQL, `state` the objects; each has its own sessions. */
export type FileKind = "app" | "state";

/**
 * One database file of a node, as it is on its disk. SQLite commits lazily and syncs at checkpoints only: a crash takes
 * the file back to any position between the last checkpoint and what was applied.
 */
export class ModelFile {
  readonly kind: FileKind;
  readonly #history: HistoryLimits;
  #durable: Content;
  #current: Content;
  /** What was applied since the last checkpoint. */
  #since: Taken[] = [];

  constructor(kind: FileKind, history: HistoryLimits) {
    this.kind = kind;
    this.#history = history;
    this.#durable = {
      position: { index: 0, term: 0 },
      hash: 0,
      taint: "",
      isFlipped: false,
      timeMs: 0,
      values: new Map(),
      sessions: new ModelSessions(),
      objects: new ModelObjects(history),
      configuration: null,
    };
    this.#current = copyOf(this.#durable);
  }

  get position(): LogPosition {
    return this.#current.position;
  }

  get durable(): LogPosition {
    return this.#durable.position;
  }

  get timeMs(): number {
    return this.#current.timeMs;
  }

  get configuration(): StoredConfiguration | null {
    return this.#current.configuration;
  }

  get state(): CopyState {
    return this.#current;
  }

  get objects(): ModelObjects {
    return this.#current.objects;
  }

  /** See `ModelSessions.hasAnswer`. */
  hasAnswer(session: SessionGuard, timeMs: number): boolean {
    return this.#current.sessions.hasAnswer(session, timeMs);
  }

  read(key: string): string | null {
    return this.#current.values.get(key) ?? null;
  }

  apply(entry: StoreEntry, results: WrongResults | null = null): Effect {
    const effect = run(this.#current, entry, this.kind);
    const wrong = results?.replacementOf(effect.result) ?? null;
    this.#since.push({ entry, wrong });
    return take(this.#current, entry, effect, wrong);
  }

  pack(): PackedContent {
    const { values, sessions, objects, configuration, ...rest } = this.#current;
    const packed = configuration && {
      index: configuration.index,
      hex: Buffer.from(configuration.bytes).toString("hex"),
    };
    return {
      ...rest,
      values: [...values],
      sessions: sessions.pack(),
      objects: objects.pack(),
      configuration: packed,
    };
  }

  /** Durably becomes what another node packed. */
  unpack(packed: PackedContent): void {
    const { values, sessions, objects, configuration, ...rest } = packed;
    this.#durable = {
      ...rest,
      values: new Map(values),
      sessions: ModelSessions.unpack(sessions),
      objects: ModelObjects.unpack(objects, this.#history),
      configuration: configuration && {
        index: configuration.index,
        bytes: Buffer.from(configuration.hex, "hex"),
      },
    };
    this.#current = copyOf(this.#durable);
    this.#since = [];
  }

  /** A bit flips, at rest, in a row that no client looks at, and that changes no result. */
  flip(name: string): void {
    for (const content of [this.#durable, this.#current]) {
      content.taint += ` ${name}`;
      content.isFlipped = true;
    }
  }

  checkpoint(): void {
    this.#durable = copyOf(this.#current);
    this.#since = [];
  }

  /** `kept`: how much of it, from 0 to 1. */
  crash(kept: number): void {
    this.#since = this.#since.slice(0, Math.round(kept * this.#since.length));
    this.#current = copyOf(this.#durable);
    for (const { entry, wrong } of this.#since)
      take(this.#current, entry, run(this.#current, entry, this.kind), wrong);
  }
}

/** Carries an entry out. */
function run(content: Content, { index, command }: StoreEntry, kind: FileKind): Effect {
  return command === null ? NO_EFFECT : runCommand(content, index, decodeCommand(command), kind);
}

/** What `run` has done stands for the entry; `wrong` is what came out instead. */
function take(content: Content, entry: StoreEntry, effect: Effect, wrong: CommandResult | null): Effect {
  const { index, term, command } = entry;
  if (index !== content.position.index + 1) {
    throw new Error(`entry ${index} came to a file at ${content.position.index}`);
  }
  content.position = { index, term };
  if (entry.configuration !== undefined) content.configuration = { index, bytes: entry.configuration };
  const result = wrong ?? effect.result;
  const text = `${index} ${term} ${JSON.stringify(result)}`;
  content.hash = crc32(command ?? "", crc32(text, content.hash));
  if (wrong !== null) content.taint += ` ${index}:${crc32(text)}`;
  return { ...effect, result };
}

function runCommand(content: Content, index: number, command: Command, kind: FileKind): Effect {
  const { timeMs } = command;
  if (timeMs < content.timeMs)
    throw new Error(`the log's clock went back from ${content.timeMs} to ${timeMs}`);
  content.timeMs = timeMs;
  switch (command.kind) {
    case "open-session":
      content.sessions.open(index, timeMs);
      return { ...NO_EFFECT, result: [{ kind: "session", id: index }] };
    case "sql":
      return kind === "app" ? runSql(content, command) : NO_EFFECT;
    case "objects":
      return kind === "state" ? writeObjects(content, index, command) : NO_EFFECT;
  }
}

function runSql(content: Content, { session, statements, timeMs }: SqlCommand): Effect {
  const written: Written[] = [];
  const runAll = () => statements.map((statement) => runOperation(content, operationOf(statement), written));
  const result = session === null ? runAll() : content.sessions.guard(session, timeMs, runAll);
  return { ...NO_EFFECT, result, written };
}

function writeObjects(content: Content, index: number, command: ObjectsCommand): Effect {
  const { session, timeMs } = command;
  let events: readonly ObjectEvent[] = [];
  const write = () => {
    const done = content.objects.write(command, index);
    events = done.events;
    return done.result;
  };
  const result = session === null ? write() : content.sessions.guard(session, timeMs, write);
  return { ...NO_EFFECT, result, events };
}

function runOperation(
  { values }: Content,
  operation: KvOperation,
  written: Written[],
): CommandResult[number] {
  const write = (value: string) => {
    values.set(operation.key, value);
    written.push({ key: operation.key, value });
  };
  switch (operation.kind) {
    case "get":
      return rowsOf(values.get(operation.key) ?? null);
    case "put":
      write(operation.value);
      return { kind: "changed", lastInsertId: 0, rowsAffected: 1 };
    case "cas": {
      const isEqual = (values.get(operation.key) ?? null) === operation.from;
      if (isEqual) write(operation.to);
      return { kind: "changed", lastInsertId: 0, rowsAffected: isEqual ? 1 : 0 };
    }
  }
}

/** What a SELECT of one value answers. */
export function rowsOf(value: string | null): CommandResult[number] {
  return { kind: "rows", columns: ["value"], types: [value === null ? "" : "text"], values: [[value]] };
}

function copyOf(content: Content): Content {
  const { values, sessions, objects } = content;
  return {
    ...content,
    values: new Map(values),
    sessions: new ModelSessions(sessions),
    objects: objects.copy(),
  };
}

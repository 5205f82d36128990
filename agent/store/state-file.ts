import { ConfigurationRecord } from "./configuration-record.ts";
import type { DatabaseFile } from "./database-file.ts";
import { GuardedFile } from "./guarded-file.ts";
import { HISTORY_SCHEMA, ObjectHistory } from "./object-history.ts";
import type { ObjectAnswer, ObjectQuestion } from "./object-question.ts";
import { OBJECT_SCHEMA, ObjectTable } from "./object-table.ts";
import { NOTHING_RAN, type RanCommand } from "./ran-command.ts";
import { SESSION_SCHEMA } from "./session-table.ts";
import type { ObjectsCommand, StoredConfiguration } from "./types.ts";

/** Reserved tables of `state.db`, all that there are in it. */
export const STATE_SCHEMA = [...SESSION_SCHEMA, ...OBJECT_SCHEMA, ...HISTORY_SCHEMA] as const;

/** `state.db`: the cluster's objects with their history, and its membership. */
export class StateFile extends GuardedFile {
  readonly #history: ObjectHistory;
  readonly #objects: ObjectTable;
  readonly #configuration: ConfigurationRecord;

  constructor(file: DatabaseFile) {
    super(file);
    this.#history = new ObjectHistory(file);
    this.#objects = new ObjectTable(file, this.#history);
    this.#configuration = new ConfigurationRecord(file);
  }

  /** Another object whenever it changes. */
  get configuration(): StoredConfiguration | null {
    return this.#configuration.current;
  }

  saveConfiguration(index: number, bytes: Uint8Array): void {
    if (!this.has(index)) this.#configuration.save(index, bytes);
  }

  /** The events also of an entry that the file has: nobody was told of them since it was opened. */
  write(index: number, command: ObjectsCommand): RanCommand {
    if (this.has(index)) {
      // mark: store: state.db was ahead of app.db after a crash
      return { ...NOTHING_RAN, events: this.#history.at(index) };
    }
    return this.carryOut(index, command, () => this.#objects.write(command, index));
  }

  /** `applied` is the last entry that was applied to all files; this one may be ahead. */
  answer(question: ObjectQuestion, applied: number): ObjectAnswer {
    const revision = Math.max(applied, this.file.committed.index);
    switch (question.kind) {
      case "get-object":
        return { kind: question.kind, revision, object: this.#objects.get(question.key) };
      case "list-objects":
        return { kind: question.kind, revision, ...this.#objects.list(question.range, question.limit) };
      case "object-history": {
        const { compactedRevision } = this.#history;
        const { afterRevision, limits } = question;
        return {
          kind: question.kind,
          revision,
          compactedRevision,
          ...this.#history.readAfter(afterRevision, limits),
        };
      }
    }
  }
}

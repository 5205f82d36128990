import { decodeCommand } from "../../agent/store/command.ts";
import type { StoreEntry } from "../../agent/store/types.ts";
import { check } from "./violation.ts";

/** What a member has tried out must be applied to the data that it was tried on: no other command may come between. */
export class RehearsalWatch {
  /** The last command before each rehearsal, by the seed that was tried. */
  readonly #before = new Map<string, number>();
  #lastCommand = 0;

  rehearsed(seed: Uint8Array): void {
    this.#before.set(Buffer.from(seed).toString("hex"), this.#lastCommand);
  }

  applied({ index, command }: StoreEntry): void {
    if (command === null) return;
    const decoded = decodeCommand(command);
    const before =
      decoded.kind === "sql" ? this.#before.get(Buffer.from(decoded.seed).toString("hex")) : undefined;
    const last = this.#lastCommand;
    check(
      before === undefined || before === last,
      () => `entry ${index} was tried out behind entry ${before}, and is applied behind ${last}`,
    );
    this.#lastCommand = index;
  }

  /** Another copy has taken the place of the data: entries were skipped. */
  installed(): void {
    this.#before.clear();
  }
}

import type { Message } from "../../agent/raft/messages.ts";
import type { LogWrite } from "../../agent/raft/outbox.ts";
import type { Configuration, Entry } from "../../agent/raft/types.ts";

/** Text for transcripts. An entry or a place in the log is `index/term`. */

export function describeMessage(message: Message): string {
  const head = `${message.kind} ${message.term}`;
  switch (message.kind) {
    case "pre-vote-request":
      return `${head}, log ends ${message.lastIndex}/${message.lastTerm}`;
    case "vote-request":
      return `${head}, log ends ${message.lastIndex}/${message.lastTerm}${message.transfer ? ", transfer" : ""}`;
    case "pre-vote-response":
    case "vote-response":
      return `${head}, ${message.granted ? "granted" : "refused"}`;
    case "append-request": {
      const { previousIndex, previousTerm, entries, commit } = message;
      return `${head}, behind ${previousIndex}/${previousTerm}: ${describeEntries(entries)}, commit ${commit}`;
    }
    case "append-response":
      return message.hint === null
        ? `${head}, holds ${message.index}`
        : `${head}, rejects ${message.index}, try ${message.hint.index}/${message.hint.term}`;
    case "heartbeat-request":
      return `${head}, commit ${message.commit}, round ${message.readContext}`;
    case "heartbeat-response":
      return `${head}, round ${message.readContext}`;
    case "snapshot-request":
      return `${head}, log begins behind ${message.baseIndex}/${message.baseTerm}`;
    case "timeout-now":
      return head;
  }
}

export function describeWrite({ restored, hardState, entries }: LogWrite): string {
  const { term, vote } = hardState;
  const snapshot = restored === null ? "" : `snapshot ${restored.index}/${restored.term}, `;
  return `${snapshot}term ${term}, vote ${vote ?? "none"}, ${describeEntries(entries)}`;
}

function describeEntries(entries: readonly Entry[]): string {
  if (entries.length === 0) return "no entries";
  if (entries.length > 4) return `${entries.length} entries`;
  return entries.map(describeEntry).join(" ");
}

function describeEntry(entry: Entry): string {
  const place = `${entry.index}/${entry.term}`;
  switch (entry.kind) {
    case "noop":
      return place;
    case "configuration":
      return `${place}(${describeConfiguration(entry.configuration)})`;
    case "command":
      return `${place}"${Buffer.from(entry.command).toString()}"`;
  }
}

/** The voters; `-` before those of the outgoing set of a joint one, `~` before learners. */
export function describeConfiguration({ voters, outgoing, learners }: Configuration): string {
  return [voters, outgoing.map((id) => `-${id}`), learners.map((id) => `~${id}`)].flat().join(" ");
}

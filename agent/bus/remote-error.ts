import { TrivetError } from "../platform/trivet-error.ts";

/** An error that the handler on another node answered with: its `code` and sentence are that node's own. */
export class RemoteError extends TrivetError {
  readonly nodeId: string;

  constructor(nodeId: string, code: string, message: string) {
    super(code, message);
    this.nodeId = nodeId;
  }
}

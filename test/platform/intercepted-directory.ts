import type { Directory } from "../../agent/platform/directory.ts";
import type { DiskOperation } from "../../agent/platform/memory-directory.ts";

/** `directory`, with a word before each of its calls: what `before` throws is the error of the call. */
export function interceptedDirectory(
  directory: Directory,
  before: (operation: DiskOperation) => void,
): Directory {
  const call = async <Result>(operation: DiskOperation, act: () => Promise<Result>): Promise<Result> => {
    before(operation);
    return await act();
  };
  return {
    path: directory.path,
    list: () => call("list", () => directory.list()),
    rename: (from, to) => call("rename", () => directory.rename(from, to)),
    remove: (name) => call("remove", () => directory.remove(name)),
    sync: () => call("sync-directory", () => directory.sync()),
    open: async (name) => {
      const file = await call("open", () => directory.open(name));
      return {
        size: () => call("size", () => file.size()),
        read: (offset, length) => call("read", () => file.read(offset, length)),
        write: (offset, bytes) => call("write", () => file.write(offset, bytes)),
        sync: () => call("sync", () => file.sync()),
        close: () => call("close", () => file.close()),
      };
    },
  };
}

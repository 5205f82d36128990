import { t } from "tap";
import { ValueWatch } from "./value-watch.ts";
import { Violation } from "./violation.ts";

t.test("read() wants a value that was in force somewhere in the range", (t) => {
  const watch = new ValueWatch();
  watch.happened(3, [{ key: "k", value: "a" }]);
  watch.happened(5, [{ key: "k", value: "b" }]);
  // Another member, later.
  watch.happened(3, [{ key: "k", value: "a" }]);
  watch.read("none", "k", null, { from: 2, to: 9 });
  watch.read("none", "k", "a", { from: 4, to: 9 });
  watch.read("none", "k", "b", { from: 4, to: 9 });
  t.throws(() => watch.read("none", "k", null, { from: 3, to: 9 }), Violation);
  t.throws(() => watch.read("none", "k", "a", { from: 5, to: 9 }), /was a for k.* between 5 and 9/);
  t.throws(() => watch.read("none", "k", "b", { from: 3, to: 4 }), Violation);
  t.throws(() => watch.read("none", "k", "c", { from: 0, to: 9 }), Violation);
  t.throws(() => watch.read("none", "other", "a", { from: 0, to: 9 }), Violation);
  watch.read("none", "other", null, { from: 7, to: 9 });
  t.end();
});

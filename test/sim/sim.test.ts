import { readFileSync } from "node:fs";
import { join } from "node:path";
import { t } from "tap";
import { dismiss } from "./hunt.ts";
import { editsOf } from "./mutation.ts";
import { MUTATIONS } from "./mutations.ts";
import { marksIn, rewriteSource } from "./rewrite-source.ts";
import { runSeed } from "./run-seed.ts";
import { runSimulator } from "./run-simulator.ts";
import { isProgramError, Violation } from "./violation.ts";

/** Bugs that show soon: that the simulator finds all of them is what `npm run sim -- --mutations` is for. */
const QUICK_MUTATIONS = [
  "acknowledge before the sync",
  "grant a vote to a log that is behind",
  "read before what was asked for is applied",
  "a read is never settled",
];

/** A busy machine gets through fewer seeds; never so few that they say nothing. */
const SECONDS = 40;
const SEEDS_MIN = 5;

t.test("nothing that the agent promises is broken in a few hundred seeds", async (t) => {
  const { code, lines } = await runSimulator("--first", "1", "--seeds", "300", "--seconds", String(SECONDS));
  t.equal(code, 0, lines.join("\n"));
  const [, seeds, violations] = /^(\d+) seeds, (\d+) violations, /.exec(lines.at(-1) ?? "") ?? [];
  t.equal(violations, "0");
  t.ok(Number(seeds) >= SEEDS_MIN, `${seeds} seeds`);
});

t.test("a seed replays exactly", async (t) => {
  const logs: string[][] = [[], []];
  const runs = [
    await runSeed(11, (line) => logs[0]?.push(line)),
    await runSeed(11, (line) => logs[1]?.push(line)),
  ];
  t.strictSame(runs[0], runs[1]);
  t.strictSame(logs[0], logs[1]);
  t.ok((logs[0]?.length ?? 0) > 100);
  const quiet = await runSeed(11, null);
  t.equal(quiet.traceHash, runs[0]?.traceHash, "and does not depend on its log");
  const other = await runSeed(8, null);
  t.not(other.traceHash, quiet.traceHash);
});

t.test("--seed replays in a process of its own what ran among others", async (t) => {
  const here = await runSeed(5, null);
  const { code, lines } = await runSimulator("--seed", "5");
  t.equal(code, 0);
  t.match(lines.at(-2), new RegExp(`"traceHash":${here.traceHash},`));
});

/** Of a bug of the simulator itself. It replays that only as long as the mix stays as it is. */
t.test("seed 782 stays mended", async (t) => {
  const { violation } = await runSeed(782, null);
  t.equal(violation, null);
});

for (const mutation of QUICK_MUTATIONS) {
  t.test(`a planted bug is found: ${mutation}`, async (t) => {
    const { code, lines } = await runSimulator("--mutations", "--mutation", mutation);
    t.equal(code, 0, lines.join("\n"));
    t.match(lines[0], /caught by seed \d+/);
  });
}

t.test("--mutations exits with 1 and names the bug that no seed has found", async (t) => {
  const rare = "trust the last batch that is found after a crash";
  const { code, lines } = await runSimulator("--mutations", "--mutation", rare, "--seeds", "1");
  t.equal(code, 1);
  t.match(lines.at(-1), new RegExp(`^1 mutations, 0 caught, 1 survived in \\d+ s: ${rare}$`));
});

t.test("dismiss() counts no seed that fails without the bug, nor one that fails for another reason", (t) => {
  const wrong = { failure: "wrong" } as const;
  const sound = { violation: null };
  t.equal(dismiss({}, wrong, sound), null);
  t.match(dismiss({}, wrong, { violation: "x" }), "fails without the bug");
  t.match(dismiss({}, { failure: "stuck" }, sound), "not to stop the cluster");
  t.equal(dismiss({ stops: true }, { failure: "stuck" }, sound), null);
  const broken = new Error("the log failed", { cause: new TypeError("x is not a function") });
  t.ok(isProgramError(broken) && !isProgramError(new Violation("two leaders", { cause: new Error() })));
  t.match(dismiss({}, { failure: "program-error" }, sound), "does not run");
  t.match(dismiss({}, { failure: "undecided" }, sound), "nobody knows");
  t.end();
});

t.test("--mutation with a bug that a seed finds exits with 1 and says so", async (t) => {
  const mutation = "read before what was asked for is applied";
  const { code, lines } = await runSimulator("--seeds", "8", "--mutation", mutation);
  t.equal(code, 1);
  t.match(lines.join("\n"), /seed \d+: VIOLATION: /);
  t.match(lines.at(-1), /^8 seeds, [1-9]\d* violations/);
});

t.test("rewriteSource() makes calls of the marks and plants the bug at its place", (t) => {
  const text = "if (a) {\n    // mark: raft: rare\n    b();\n}\nlet c = `// mark: not one`;\n";
  t.strictSame(marksIn(text), ["raft: rare"]);
  const mutation = { file: "f.ts", find: "b(); }", replace: "}" };
  t.equal(
    rewriteSource(text, [mutation]),
    'if (a) {\n    globalThis.simulatorMark("raft: rare");\n    }\nlet c = `// mark: not one`;\n',
  );
  t.throws(() => rewriteSource(text, [{ ...mutation, find: "d();" }]), /finds its place 0 times in f.ts/);
  t.throws(() => rewriteSource(`${text}${text}`, [mutation]), /finds its place 2 times/);
  t.end();
});

t.test("every mutation finds its place in the agent, once", (t) => {
  const root = join(import.meta.dirname, "..", "..", "agent");
  for (const mutation of MUTATIONS) {
    for (const edit of editsOf(mutation)) {
      const text = readFileSync(join(root, edit.file.replace(/\.ts$/, ".js")), "utf8");
      t.not(rewriteSource(text, [edit]), rewriteSource(text, []), mutation.name);
      t.not(edit.replace, "", `${mutation.name}: an "if" without braces would take the next statement`);
    }
  }
  t.equal(new Set(MUTATIONS.map(({ name }) => name)).size, MUTATIONS.length);
  t.end();
});

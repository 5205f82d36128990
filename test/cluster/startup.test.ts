import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { t } from "tap";
import { AgentProcess, BUNDLE } from "./agent-process.ts";
import { freePorts } from "./free-ports.ts";
import { runTrivet } from "./run-trivet.ts";
import { TestCluster } from "./test-cluster.ts";

/**
 * Every cut starts an agent, so `npm test` takes some of them, odd and even, in headers and in payloads (the tests of
 * the log take every byte); `npm run test:cuts` takes all.
 */
const IS_EVERY_CUT = process.env["TRIVET_EVERY_CUT"] === "1";
const CUT_STRIDE = 29;

/** How many damaged copies are started at the same time. */
const PARALLEL = 4;

t.test(
  "an agent that cannot start says why and exits with the right code",
  { timeout: 60_000 },
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), "trivet-test-"));
    t.teardown(() => rm(directory, { recursive: true, force: true }));
    const data = join(directory, "data");
    const anyPorts = ["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"];

    await t.test("a wrong flag", async (t) => {
      t.match(await runTrivet(["agent", "--dta", data]), { code: 2, stderr: /--dta.*--data/s });
      t.match(await runTrivet(["frobnicate"]), { code: 2, stderr: /frobnicate/ });
      t.match(await runTrivet(["agent", "--http", "nowhere"]), { code: 78, stderr: /--http/ });
    });

    await t.test("a port that another program has", async (t) => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
      t.teardown(() => new Promise((resolve) => server.close(resolve)));
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      const http = ["--http", `127.0.0.1:${port}`, "--mqtt", "127.0.0.1:0"];
      t.match(await runTrivet(["agent", "--data", data, ...http]), {
        code: 78,
        stderr: new RegExp(`:${port}.*--http`),
      });
      const mqtt = ["--mqtt", `127.0.0.1:${port}`, "--http", "127.0.0.1:0"];
      t.match(await runTrivet(["agent", "--data", data, ...mqtt]), {
        code: 78,
        stderr: new RegExp(`:${port}.*--mqtt`),
      });
    });

    await t.test("a data directory that is a file, or below one", async (t) => {
      const file = join(directory, "file");
      await writeFile(file, "");
      for (const path of [file, join(file, "below")]) {
        t.match(await runTrivet(["agent", "--data", path, ...anyPorts]), {
          code: 78,
          stderr: /data directory.*--data/,
        });
      }
    });

    await t.test(
      "a data directory of another user",
      { skip: process.getuid?.() !== 0 && "needs root" },
      async (t) => {
        // The other user must be able to read the program, wherever the checkout is.
        const shared = await mkdtemp(join(tmpdir(), "trivet-test-"));
        t.teardown(() => rm(shared, { recursive: true, force: true }));
        await cp(dirname(BUNDLE), shared, { recursive: true });
        await chmod(shared, 0o755);
        const foreign = join(shared, "foreign");
        await mkdir(foreign, { mode: 0o700 });
        const options = { uid: 65_534, bundle: join(shared, basename(BUNDLE)) };
        const answer = await runTrivet(["agent", "--data", foreign, ...anyPorts], options);
        t.match(answer, { code: 78, stderr: /cannot be used \(EACCES\)/ });
      },
    );
  },
);

t.test("one agent and its data directory", { timeout: IS_EVERY_CUT ? 1_800_000 : 240_000 }, async (t) => {
  const cluster = await TestCluster.start(1);
  t.teardown(() => cluster.end());
  const [agent] = cluster.agents;
  if (agent === undefined) throw new Error("one agent");
  await agent.execute(["CREATE TABLE kept (id INTEGER NOT NULL)"]);
  for (let id = 1; id <= 20; id++) await agent.execute([["INSERT INTO kept VALUES (?)", id]]);

  await t.test("a second agent on the same directory is refused", async (t) => {
    const second = ["agent", "--data", agent.directory, "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"];
    t.match(await runTrivet(second), { code: 78, stderr: /Another agent runs on/ });
    t.match(await agent.status(), { raft: { role: "leader" } }, "the first one goes on");
  });

  await t.test("a log whose last record is cut at any byte: nothing acknowledged is lost", async (t) => {
    await agent.kill();
    const before = await copyOf(agent, "before");
    agent.start();
    await cluster.untilLed();
    const whole = await readSegment(agent.directory);
    await agent.execute([["INSERT INTO kept VALUES (?)", 21]]);
    await agent.kill();
    const written = await readSegment(agent.directory);
    t.equal(written.name, whole.name, "the last write went to the same segment");
    // The databases are older than the log, as after a power cut; row 21 counts as never acknowledged.
    const everyByte = range(whole.end, written.end - 1);
    t.ok(everyByte.length > 40, `the last record has ${everyByte.length} bytes`);
    const cuts = everyByte.filter((_, nth) => IS_EVERY_CUT || nth < 2 || nth % CUT_STRIDE === 0);
    t.comment(`${cuts.length} of ${everyByte.length} cuts`);
    const wrong: string[] = [];
    await inParallel(cuts, async (cut) => {
      const copy = await mkdtemp(join(cluster.directory, "cut-"));
      await copyData(before, copy);
      const bytes = Buffer.concat([written.bytes.subarray(0, cut), Buffer.alloc(written.bytes.length - cut)]);
      await writeFile(join(copy, "raft", written.name), bytes);
      const rows = await idsAfterRestart(copy);
      if (rows !== range(1, 20).join()) wrong.push(`cut at ${cut}: ${rows}`);
      await rm(copy, { recursive: true, force: true });
    });
    t.strictSame(wrong, []);
  });

  await t.test(
    "a log with one bit flipped in the middle: the agent refuses to vote and says why",
    async (t) => {
      const { name, end } = await readSegment(agent.directory);
      for (const place of [0.25, 0.5, 0.75]) {
        const copy = await copyOf(agent, `flip-${place}`);
        const path = join(copy, "raft", name);
        const bytes = await readFile(path);
        const at = Math.floor(end * place);
        bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
        await writeFile(path, bytes);
        const answer = await startOn(copy);
        t.match(answer, { code: 78, stderr: new RegExp(`${name}`) }, `at ${at}`);
        t.match(answer.stderr, /corrupt|damaged/i);
      }
    },
  );

  await t.test("a log that was emptied: the agent does not start as if it had never voted", async (t) => {
    const { name, bytes } = await readSegment(agent.directory);
    const copy = await copyOf(agent, "emptied");
    for (const content of [Buffer.alloc(0), Buffer.alloc(bytes.length)]) {
      await writeFile(join(copy, "raft", name), content);
      const answer = await startOn(copy);
      t.match(answer, { code: 78, stderr: /log/ }, `${content.length} bytes of zeros`);
    }
    // Also where the databases do not give it away.
    for (const file of ["app.db", "app.db-wal", "state.db", "state.db-wal"])
      await rm(join(copy, file), { force: true });
    const answer = await startOn(copy);
    t.match(answer, { code: 78, stderr: /the log in raft\/ is blank/ });
  });

  await t.test("an agent goes on when nobody reads its log any more", async (t) => {
    agent.start();
    await cluster.untilLed();
    agent.closeLog();
    // Each makes it say something: another link, another client, and at last its own stop.
    t.match(await agent.execute(["INSERT INTO kept VALUES (22)"]), { status: 200 });
    t.equal(await agent.stop(), 0);
  });

  async function copyOf(from: AgentProcess, name: string): Promise<string> {
    const copy = join(cluster.directory, name);
    await copyData(from.directory, copy);
    return copy;
  }
});

/** The newest segment that holds something, and where its zeros begin. */
async function readSegment(directory: string): Promise<{ name: string; bytes: Buffer; end: number }> {
  for (const name of (await readdir(join(directory, "raft"))).sort().reverse()) {
    const bytes = await readFile(join(directory, "raft", name));
    let end = bytes.length;
    while (end > 0 && bytes[end - 1] === 0) end--;
    if (end > 0) return { name, bytes, end };
  }
  throw new Error(`no segment in ${directory}`);
}

/** Starts an agent on a copy of the data; resolves with the ids that it has. */
async function idsAfterRestart(directory: string): Promise<string> {
  const [http = 0, mqtt = 0] = await freePorts(2);
  const agent = new AgentProcess({ name: "copy", directory, http, mqtt, args: [] });
  agent.start();
  try {
    await agent.untilStatus("leads", (status) => status.raft.role === "leader");
    const answer = await agent.query("SELECT id FROM kept ORDER BY id", "linearizable");
    return (answer.results?.[0]?.values ?? []).join();
  } catch (error) {
    return `${error}: ${agent.lines.slice(-3).join(" / ")}`;
  } finally {
    await agent.kill();
  }
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, nth) => from + nth);
}

/** All but the lock, which is a socket. */
function copyData(from: string, to: string): Promise<void> {
  return cp(from, to, { recursive: true, filter: (path) => basename(path) !== "lock" });
}

/** An agent that is expected to end by itself. */
function startOn(directory: string): ReturnType<typeof runTrivet> {
  return runTrivet(["agent", "--data", directory, "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"]);
}

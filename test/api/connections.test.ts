import { once } from "node:events";
import { connect, type Socket } from "node:net";
import t from "tap";
import { type Clock, systemClock, type Timer } from "../../agent/platform/clock.ts";
import type { ObjectsService } from "../../agent/replica/objects-service.ts";
import type { SqlService } from "../../agent/replica/sql-service.ts";
import type { CommandResult } from "../../agent/store/types.ts";
import { until } from "../cluster/until.ts";
import { post, readUntil, start, statusOf, talk } from "./api-fixture.ts";
import { noObjects } from "./no-objects.ts";

const HOST = "Host: localhost";
const query = (sql: string): string => `GET /db/query?q=${sql} HTTP/1.1\r\n${HOST}\r\n\r\n`;
const execute = (sql: string, { headers = "", padding = 0 } = {}): string => {
  const body = `${JSON.stringify([sql])}${" ".repeat(padding)}`;
  return `POST /db/execute HTTP/1.1\r\n${HOST}\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
};
const WATCH = `GET /objects?watch HTTP/1.1\r\n${HOST}\r\n\r\n`;
const LAST = `GET /livez HTTP/1.1\r\n${HOST}\r\nConnection: close\r\n\r\n`;

/** 24 MiB, of which the kernel takes 2 to 6: two of them are all that reads may leave unsent. */
const LARGE: CommandResult = [
  {
    ...{ kind: "rows", columns: ["a"], types: [""] },
    values: Array.from({ length: 192 }, () => ["x".repeat(128 * 1024)]),
  },
];

/** SQL that says what it was asked for, and answers "slow" only once it is let go. */
class HeldSql implements SqlService {
  readonly asked: string[] = [];
  readonly #held: (() => void)[] = [];

  async execute([statement]: readonly { readonly sql: string }[]): Promise<CommandResult> {
    const sql = statement?.sql ?? "";
    this.asked.push(sql);
    if (sql === "slow") await new Promise<void>((resolve) => this.#held.push(resolve));
    return sql === "large" ? LARGE : [];
  }

  query(statements: readonly { readonly sql: string }[]): Promise<CommandResult> {
    return this.execute(statements);
  }

  async openSession(): Promise<number> {
    return 1;
  }

  letGo(): void {
    for (const resolve of this.#held.splice(0)) resolve();
  }

  hasBeenAsked(count: number): Promise<true> {
    return until(`${count} statements`, 10_000, async () => (this.asked.length >= count ? true : null));
  }
}

/** Objects that never change; tells how many watches wait for that. */
class StillObjects implements ObjectsService {
  readonly get = noObjects.get;
  readonly list = noObjects.list;
  readonly write = noObjects.write;
  waiting = 0;

  async watchFrom(): Promise<number> {
    return 1;
  }

  async changes({
    waitMs,
    signal,
  }: Parameters<ObjectsService["changes"]>[0]): ReturnType<ObjectsService["changes"]> {
    if (waitMs > 0 && !signal.aborted) {
      this.waiting++;
      await once(signal, "abort");
      this.waiting--;
    }
    return { changes: [], revision: 1 };
  }
}

/** The machine's clock, with the timers that are set. */
class CountedClock implements Clock {
  readonly running = new Set<object>();
  readonly nowMs = systemClock.nowMs;
  readonly wallMs = systemClock.wallMs;
  readonly defer = systemClock.defer;

  setTimer(delayMs: number, callback: () => void): Timer {
    const key = {};
    this.running.add(key);
    const timer = systemClock.setTimer(delayMs, () => {
      this.running.delete(key);
      callback();
    });
    const cancel = (): void => {
      this.running.delete(key);
      timer.cancel();
    };
    return { cancel };
  }
}

async function open(port: number, bytes: string): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.write(bytes);
  return socket;
}

t.test("answers behind others are let go when their client leaves", async (t) => {
  const asked = (_socket: Socket, sql: HeldSql, count: number): Promise<true> => sql.hasBeenAsked(count);
  const answered = (socket: Socket): Promise<unknown> => once(socket, "readable");
  const firsts = [
    { name: "a watch", first: WATCH, hasBegun: answered },
    { name: "a slow query", first: query("slow"), hasBegun: asked },
    { name: "an answer that is not read", first: query("large"), hasBegun: answered },
  ];
  for (const { name, first, hasBegun } of firsts) {
    const sql = new HeldSql();
    const objects = new StillObjects();
    const clock = new CountedClock();
    const { port, url } = await start(t, { sql, objects, clock });
    for (let nth = 0; nth < 3; nth++) {
      const socket = await open(port, first + query("large") + WATCH + query("large"));
      await hasBegun(socket, sql, nth + 1);
      // What has come with the first is parsed, too, when another connection is answered.
      t.equal((await fetch(`${url}/livez`)).status, 200);
      socket.destroy();
      sql.letGo();
    }
    await until(`room for reads again after ${name}`, 5_000, async () => {
      const { status } = await post(`${url}/db/query`, '["SELECT 1"]');
      return status === 200 ? true : null;
    });
    await until(`no watch goes on after ${name}`, 5_000, async () => (objects.waiting === 0 ? true : null));
    await until(`no timer is left after ${name}`, 5_000, async () =>
      clock.running.size === 0 ? true : null,
    );
  }
});

t.test("a client that leaves before its answer is made leaves no timer behind", async (t) => {
  const sql = new HeldSql();
  const clock = new CountedClock();
  const large: SqlService = {
    execute: sql.execute,
    openSession: sql.openSession,
    query: async (statements) => {
      await sql.query(statements);
      return LARGE;
    },
  };
  const { port, url } = await start(t, { sql: large, clock });
  const socket = await open(port, query("slow"));
  await sql.hasBeenAsked(1);
  socket.destroy();
  t.equal((await fetch(`${url}/livez`)).status, 200);
  sql.letGo();
  await until("no timer is left", 5_000, async () => (clock.running.size === 0 ? true : null));
});

t.test("the requests of a connection are done one after another [RFC 9112 9.3.2]", async (t) => {
  const sql = new HeldSql();
  const { port, url } = await start(t, { sql });
  const requests = [
    execute("slow"),
    query("large").replace("GET", "HEAD"),
    // More than Node keeps of a body that nobody reads.
    execute("second", { padding: 1024 * 1024 }),
    execute("third", { headers: "Expect: 100-continue\r\n" }),
    LAST,
  ];
  const socket = await open(port, requests.join(""));
  const received = readUntil(socket, () => false);
  await sql.hasBeenAsked(1);
  t.equal((await fetch(`${url}/livez`)).status, 200);
  t.same(sql.asked, ["slow"], "what is behind has not begun");
  sql.letGo();
  const statuses = (await received).match(/(?<=HTTP\/1.1 )\d+/g);
  t.same(sql.asked, ["slow", "large", "second", "third"]);
  t.same(statuses, ["200", "200", "200", "100", "200", "200"]);
});

t.test("what waits behind a request is not done when its client leaves", async (t) => {
  const sql = new HeldSql();
  const { port, url } = await start(t, { sql });
  const socket = await open(port, execute("slow") + execute("second") + execute("third").slice(0, -1));
  await sql.hasBeenAsked(1);
  socket.destroy();
  t.equal((await fetch(`${url}/livez`)).status, 200);
  sql.letGo();
  await post(`${url}/db/execute`, '["other"]');
  t.same(sql.asked, ["slow", "other"]);
});

t.test("a connection that sends too far ahead is answered what it may have, and ends", async (t) => {
  const sql = new HeldSql();
  const { port, url } = await start(t, { sql });
  const socket = await open(port, query("slow") + query("small").repeat(400));
  const received = readUntil(socket, () => false);
  await sql.hasBeenAsked(1);
  t.equal((await fetch(`${url}/livez`)).status, 200);
  sql.letGo();
  const text = await received;
  t.same(text.match(/HTTP\/1.1 200/g)?.length, 101);
  t.match(text, /HTTP\/1.1 503(?:.*\r\n)*connection: close\r\n(?:.*\r\n)*\r\n\{"code":"overloaded".*\}\n$/i);
  t.equal(sql.asked.length, 101);
});

t.test("what is not HTTP is not the answer to the request before it", async (t) => {
  const sql = new HeldSql();
  const { port, url } = await start(t, { sql });
  const socket = await open(port, `${execute("slow")}nonsense\r\n\r\n`);
  const received = readUntil(socket, () => false);
  await sql.hasBeenAsked(1);
  t.equal((await fetch(`${url}/livez`)).status, 200);
  sql.letGo();
  const text = await received;
  t.equal(statusOf(text), 200);
  t.match(text, /connection: close/i);
  t.equal(text.match(/HTTP\/1.1/g)?.length, 1);

  const reading = await open(port, `${query("large")}nonsense\r\n\r\n`);
  t.notMatch(
    (await readUntil(reading, () => false)).slice(-1_000),
    /HTTP/,
    "nor is it a part of that answer",
  );
});

t.test("a CONNECT behind a watch ends both", async (t) => {
  const objects = new StillObjects();
  const { port } = await start(t, { objects });
  await talk(port, `${WATCH}CONNECT a:1 HTTP/1.1\r\n${HOST}\r\n\r\n`);
  await until("the watch has ended", 5_000, async () => (objects.waiting === 0 ? true : null));
});

t.test("close() does not begin what waits behind an answer", async (t) => {
  const sql = new HeldSql();
  const { port, close } = await start(t, { sql });
  const socket = await open(port, execute("slow") + execute("second"));
  const received = readUntil(socket, () => false);
  await sql.hasBeenAsked(1);
  const closed = close();
  sql.letGo();
  t.equal((await received).match(/HTTP\/1.1 200/g)?.length, 1);
  await closed;
  t.same(sql.asked, ["slow"]);
});

t.test("close() answers what waits behind an answer that has begun, and nothing after it", async (t) => {
  const sql = new HeldSql();
  const { port, close } = await start(t, { sql });
  const socket = await open(port, query("large") + query("second") + query("third"));
  await once(socket, "readable");
  const closed = close();
  const text = await readUntil(socket, () => false);
  await closed;
  t.match(text.slice(-1_000), /connection: close/i);
  t.same(sql.asked, ["large", "second"]);
});

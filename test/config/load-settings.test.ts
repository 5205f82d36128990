import fc from "fast-check";
import t from "tap";
import { ConfigError } from "../../agent/config/config-error.ts";
import { nearestWord } from "../../agent/config/did-you-mean.ts";
import { formatHostPort, isLoopbackHost, parseHostPort } from "../../agent/config/host-port.ts";
import { loadSettings, type SettingsInput } from "../../agent/config/load-settings.ts";
import { SETTINGS, type Setting, type Settings, variableOf } from "../../agent/config/settings.ts";

function load(input: Partial<SettingsInput> & { readonly yaml?: string }): Settings {
  const { yaml, ...rest } = input;
  return loadSettings({
    flags: yaml === undefined ? {} : { config: "/etc/trivet.yaml" },
    env: {},
    machine: { hostname: "box-7" },
    readFile: () => yaml ?? "",
    ...rest,
  });
}

/** The problems as `source: found` lines. */
function problemsOf(run: () => unknown): string[] {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ source, found }) => `${source}: ${found}`);
    throw error;
  }
  return [];
}

t.test("loadSettings() has a default for everything", async (t) => {
  t.same(load({}), {
    data: "/var/lib/trivet",
    name: "box-7",
    cluster: "trivet",
    http: { host: "127.0.0.1", port: 4001 },
    mqtt: { host: "127.0.0.1", port: 1883 },
    peers: [],
    bootstrapExpect: 1,
    heartbeatMs: 150,
    electionTimeoutMs: 900,
    electionTimeoutMsMax: 10_000,
    logRetainBytes: 8 * 1024 * 1024,
    requestTimeoutMs: 10_000,
    requestTimeoutMsMax: 60_000,
    queryTimeoutMs: 10_000,
    bodyBytesMax: 4 * 1024 * 1024,
    diskWatermarkBytes: 64 * 1024 * 1024,
    logLevel: "info",
  });
});

t.test("loadSettings() makes a node name of any host name", async (t) => {
  const pattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
  const isNamed = (hostname: string): boolean => pattern.test(load({ machine: { hostname } }).name);
  t.doesNotThrow(() => fc.assert(fc.property(fc.string(), isNamed)));
});

t.test("loadSettings() prefers the flag, then the variable, then the file, then the default", async (t) => {
  const sources = { flag: "shop-1", env: "shop-2", file: "shop-3" };
  const property = fc.property(fc.boolean(), fc.boolean(), fc.boolean(), (flag, env, file) => {
    const settings = loadSettings({
      flags: { config: "f.yaml", ...(flag ? { name: sources.flag } : {}) },
      env: env ? { TRIVET_NAME: sources.env } : {},
      readFile: () => (file ? `name: ${sources.file}` : ""),
      machine: { hostname: "box-7" },
    });
    const expected = flag ? sources.flag : env ? sources.env : file ? sources.file : "box-7";
    return settings.name === expected;
  });
  t.doesNotThrow(() => fc.assert(property));
});

t.test("loadSettings() takes an empty variable for one that is not set", async (t) => {
  t.equal(load({ env: { TRIVET_HTTP: "", TRIVET_CONFIG: "" } }).http.port, 4001);
});

t.test("loadSettings() reads the same values from flags, variables and the file", async (t) => {
  const settings = {
    http: { host: "::1", port: 0 },
    mqtt: null,
    peers: ["mqtt://127.0.0.1:1884", "mqtt://localhost:1883"],
    bootstrapExpect: 3,
    logLevel: "debug",
  };
  const texts = { http: "[::1]:0", mqtt: "off", "bootstrap-expect": "3", "log-level": "debug" };
  const peers = ["mqtt://127.0.0.1:1884/", "mqtt://localhost", "mqtt://127.0.0.1:1884"];
  t.match(load({ flags: { ...texts, peer: peers } }), settings);
  const env = Object.entries({ ...texts, peer: peers.join(", ") }).map(([name, text]) => [
    variableOf(name),
    text,
  ]);
  t.match(load({ env: Object.fromEntries(env) }), settings);
  const yaml = `
    http: "[::1]:0"
    mqtt: off
    bootstrap-expect: 3
    log-level: debug
    peer: [${peers.map((peer) => JSON.stringify(peer)).join(", ")}]
  `;
  t.match(load({ yaml }), settings);
});

t.test("loadSettings() names every problem at once, with its source", async (t) => {
  const run = (): Settings =>
    load({
      flags: { config: "a.yaml", http: "nowhere", peer: ["http://127.0.0.1:1"] },
      env: { TRIVET_HEARTBEAT_MS: "soon" },
      readFile: () => "bootstrap-expect: 10\nclutser: x\n",
    });
  t.same(problemsOf(run).sort(), [
    '--http: "nowhere"',
    '--peer: ["http://127.0.0.1:1"]',
    'TRIVET_HEARTBEAT_MS: "soon"',
    'a.yaml: the key "clutser"',
    "bootstrap-expect in a.yaml: 10",
  ]);
  t.throws(run, { name: "ConfigError", message: /did you mean "cluster"\?/ });
});

t.test("loadSettings() refuses a file that it cannot read as a mapping", async (t) => {
  const readFile = (): string => {
    throw new Error("EACCES: permission denied");
  };
  t.match(
    problemsOf(() => load({ flags: { config: "a.yaml" }, readFile })),
    [/^a.yaml: EACCES/],
  );
  t.match(
    problemsOf(() => load({ yaml: "- a\n- b" })),
    [/^\/etc\/trivet.yaml: /],
  );
  t.match(
    problemsOf(() => load({ yaml: "name: [" })),
    [/line 1/],
  );
  t.match(
    problemsOf(() => load({ yaml: "name: a\nname: b" })),
    [/unique/],
  );
  t.match(
    problemsOf(() => load({ yaml: "name: &a [x]\ndata: *a" })),
    [/alias/i],
  );
  t.match(
    problemsOf(() => load({ yaml: `name: ${"x".repeat(300_000)}` })),
    [/characters/],
  );
});

t.test("loadSettings() keeps numbers within their range, whatever is written", async (t) => {
  const numbers = Object.entries(SETTINGS).filter(([, { kind }]) => kind.allowed.includes("whole number"));
  t.equal(numbers.length, 10);
  for (const [key, setting] of numbers as [keyof Settings, Setting<unknown>][]) {
    const [min = 0, max = 0] = setting.kind.allowed.match(/\d+/g)?.map(Number) ?? [];
    const isRead = (text: string): boolean => {
      const value = setting.kind.parse(text);
      return value === undefined || (Number.isInteger(value) && Number(value) >= min && Number(value) <= max);
    };
    const texts = fc.oneof(fc.string(), fc.integer().map(String), fc.double().map(String));
    t.doesNotThrow(() => fc.assert(fc.property(texts, isRead)), key);
    t.equal(setting.kind.parse(String(min)), min);
    t.equal(setting.kind.parse(max), max);
    t.equal(setting.kind.parse(min - 1), undefined);
    t.equal(setting.kind.parse(String(max + 1)), undefined);
  }
});

t.test("loadSettings() refuses a body limit that lets 10 MB through", async (t) => {
  t.match(
    problemsOf(() => load({ flags: { "body-limit": "10000000" } })),
    ['--body-limit: "10000000"'],
  );
});

t.test(
  "loadSettings() refuses an election timeout of less than 3 heartbeats, naming where it came from",
  async (t) => {
    t.match(
      problemsOf(() => load({ env: { TRIVET_HEARTBEAT_MS: "400" } })),
      ["election-timeout-ms (default): 900"],
    );
    t.equal(load({ flags: { "heartbeat-ms": "300" } }).electionTimeoutMs, 900);
  },
);

t.test("loadSettings() refuses to raise the election timeout up to less than itself", async (t) => {
  t.match(
    problemsOf(() => load({ flags: { "election-timeout-ms": "20000" } })),
    ["election-timeout-max-ms (default): 10000"],
  );
});

t.test("loadSettings() refuses timeouts above their maximum", async (t) => {
  const flags = { "request-timeout-max-ms": "5000" };
  t.equal(problemsOf(() => load({ flags })).length, 2);
});

t.test("loadSettings() lets nothing off this machine without a key", async (t) => {
  const open = [
    "0.0.0.0:1",
    "10.0.0.1:1",
    "[::]:1",
    "[fe80::1]:1",
    "example.org:1",
    "127.0.0.1.example.org:1",
  ];
  for (const address of open) {
    t.same(problemsOf(() => load({ flags: { mqtt: address } })).length, 1, `mqtt ${address}`);
    t.same(problemsOf(() => load({ flags: { http: address } })).length, 1, `http ${address}`);
    t.same(problemsOf(() => load({ flags: { peer: [`mqtt://${address}`] } })).length, 1, `peer ${address}`);
  }
  for (const address of [
    "127.0.0.1:1",
    "127.8.9.10:1",
    "[::1]:1",
    "[0:0::0:1]:1",
    "localhost:1",
    "LOCALHOST:1",
  ]) {
    t.same(
      problemsOf(() => load({ flags: { mqtt: address, http: address, peer: [`mqtt://${address}`] } })),
      [],
    );
  }
});

t.test("loadSettings() refuses a key rather than ignoring it", async (t) => {
  t.match(
    problemsOf(() => load({ flags: { key: "/etc/trivet.key" } })),
    ["--key: a value"],
  );
  t.match(
    problemsOf(() => load({ env: { TRIVET_KEY: "k" } })),
    ["TRIVET_KEY: a value"],
  );
  t.match(
    problemsOf(() => load({ yaml: "key: k" })),
    ["key in /etc/trivet.yaml: a value"],
  );
});

t.test("parseHostPort() is the inverse of formatHostPort()", async (t) => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
  const isInverse = (host: string, port: number): boolean => {
    const parsed = parseHostPort(formatHostPort({ host, port }));
    return parsed?.host === host.toLowerCase() || parsed?.host === host ? parsed.port === port : false;
  };
  t.doesNotThrow(() => fc.assert(fc.property(host, fc.integer({ min: 0, max: 65_535 }), isInverse)));
});

t.test("parseHostPort() refuses what is no address", async (t) => {
  for (const text of [
    "",
    ":1",
    "a",
    "a:",
    "a:65536",
    "1.2.3:1",
    "256.1.1.1:1",
    "::1:1",
    "[::1]",
    "[x]:1",
    "a b:1",
    "a:1:2",
  ]) {
    t.equal(parseHostPort(text), undefined, text);
  }
});

t.test("isLoopbackHost() knows IPv6 in every spelling", async (t) => {
  t.ok(isLoopbackHost("0000:0::1"));
  t.notOk(isLoopbackHost("::2"));
  t.notOk(isLoopbackHost("::ffff:10.0.0.1"));
});

t.test("nearestWord() finds typing errors, and nothing in other words", async (t) => {
  const words = ["agent", "status", "sql", "cluster"];
  t.equal(nearestWord("agnet", words), "agent");
  t.equal(nearestWord("statu", words), "status");
  t.equal(nearestWord("sqll", words), "sql");
  t.equal(nearestWord("x", words), undefined);
  t.equal(nearestWord("backup", words), undefined);
});

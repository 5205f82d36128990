// Builds dist/: the program, the store's worker thread, SQLite's wasm beside them, and the licences of what is in
// them. Fails if the JavaScript outgrows its budget.
import { chmod, copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const OUT_DIR = "dist";
const JAVASCRIPT_BYTES_MAX = 1_000_000;
const WASM = "node_modules/node-sqlite3-wasm/dist/node-sqlite3-wasm.wasm";
const ENTRIES = { trivet: "agent/cli/main.ts", "store-worker": "agent/store/store-worker.ts" };

// Packages that carry a copy of what Node has, or support for browsers that nothing here takes.
const NODE_HAS = {
  "readable-stream": "node:stream",
  string_decoder: "node:string_decoder",
  "safe-buffer": "node:buffer",
  buffer: "node:buffer",
  events: "node:events",
  process: "node:process",
};
const UNUSED = ["worker-timers", "socks", "abort-controller"];
const OPTIONAL_NATIVE = ["cbor-extract", "bufferutil", "utf-8-validate"];

// Most of the packages are CommonJS, and an ES module has none of these.
const COMMONJS_BANNER = [
  'import { createRequire as trivetCreateRequire } from "node:module";',
  'import { fileURLToPath as trivetFileUrlToPath } from "node:url";',
  'import { dirname as trivetDirname } from "node:path";',
  "const require = trivetCreateRequire(import.meta.url);",
  "const __filename = trivetFileUrlToPath(import.meta.url);",
  "const __dirname = trivetDirname(__filename);",
].join("");

const emptyStub = {
  name: "empty-stub",
  setup(setup) {
    const filter = new RegExp(`^(?:${UNUSED.join("|")})$`);
    setup.onResolve({ filter }, ({ path }) => ({ path, namespace: "empty-stub" }));
    setup.onLoad({ filter: /.*/, namespace: "empty-stub" }, () => ({ contents: "module.exports = {};" }));
  },
};

const { version } = JSON.parse(await readFile("package.json", "utf8"));
await rm(OUT_DIR, { recursive: true, force: true });
await mkdir(OUT_DIR);

const { metafile } = await build({
  entryPoints: ENTRIES,
  outdir: OUT_DIR,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  minify: true,
  format: "esm",
  platform: "node",
  target: "node20",
  alias: NODE_HAS,
  external: OPTIONAL_NATIVE,
  plugins: [emptyStub],
  define: { TRIVET_VERSION: JSON.stringify(version) },
  banner: { js: COMMONJS_BANNER },
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});

await copyFile(WASM, join(OUT_DIR, basename(WASM)));
await chmod(join(OUT_DIR, "trivet.mjs"), 0o755);
await writeFile(join(OUT_DIR, "LICENSES.txt"), await licenseNotices(Object.keys(metafile.inputs)));
await checkSize();

/** The licence texts of every package that has a file in the bundle. */
async function licenseNotices(inputs) {
  const packages = new Set(["node_modules/node-sqlite3-wasm"]);
  for (const input of inputs) {
    const match = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input);
    if (match) packages.add(match[0]);
  }
  const notices = await Promise.all([...packages].sort().map(licenseNotice));
  return [await readFile("LICENSE", "utf8"), ...notices].join(`\n${"-".repeat(80)}\n\n`);
}

async function licenseNotice(directory) {
  const { name, version, license } = JSON.parse(await readFile(join(directory, "package.json"), "utf8"));
  const files = (await readdir(directory)).filter((file) => /^(?:licen[cs]e|notice|copying)/i.test(file));
  const texts = await Promise.all(files.map((file) => readFile(join(directory, file), "utf8")));
  return [`${name} ${version} (${license})\n`, ...texts].join("\n");
}

/** Prints the size of every output; the budget is for all JavaScript together. */
async function checkSize() {
  let javascriptBytes = 0;
  for (const file of (await readdir(OUT_DIR)).sort()) {
    const bytes = await readFile(join(OUT_DIR, file));
    if (file.endsWith(".mjs")) javascriptBytes += bytes.length;
    console.log(`${format(bytes.length)} ${format(gzipSync(bytes).length)} gzip  ${join(OUT_DIR, file)}`);
  }
  console.log(`${format(javascriptBytes)} of at most ${JAVASCRIPT_BYTES_MAX} bytes of JavaScript`);
  if (javascriptBytes > JAVASCRIPT_BYTES_MAX) {
    console.error("The bundle is over its budget: find what grew, or argue for a new one.");
    process.exitCode = 1;
  }
}

function format(bytes) {
  return String(bytes).padStart(9);
}

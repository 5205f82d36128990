import { ConfigError, type ConfigProblem } from "./config-error.ts";
import { didYouMean } from "./did-you-mean.ts";
import { isLoopbackHost } from "./host-port.ts";
import {
  type Machine,
  SETTINGS,
  SETTINGS_NOT_YET,
  type Setting,
  type Settings,
  variableOf,
} from "./settings.ts";
import { readSettingsFile } from "./settings-file.ts";

/** Where settings come from. */
export interface SettingsInput {
  /** As given on the command line, by setting name without dashes; `config` names the YAML file. */
  readonly flags: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Throws what `fs.readFileSync` throws. */
  readonly readFile: (path: string) => string;
  readonly machine: Machine;
}

/** One value as found, and where. */
interface Finding {
  readonly source: string;
  readonly value: unknown;
}

/**
 * Reads, merges and checks all settings: a flag wins over a `TRIVET_*` variable, a variable over the YAML file,
 * the file over the default. An empty variable counts as not set. Throws a `ConfigError` with every problem.
 */
export function loadSettings(input: SettingsInput): Settings {
  const problems: ConfigProblem[] = [];
  const path = textFlag(input.flags["config"]) ?? (input.env["TRIVET_CONFIG"] || undefined);
  const file = path === undefined ? {} : readSettingsFile(path, input.readFile, problems);

  const find = (name: string): Finding | undefined => {
    const flag = input.flags[name];
    if (flag !== undefined) return { source: `--${name}`, value: flag };
    const variable = variableOf(name);
    if (input.env[variable]) return { source: variable, value: input.env[variable] };
    if (Object.hasOwn(file, name)) return { source: `${name} in ${path}`, value: file[name] };
    return undefined;
  };

  const names: string[] = [...Object.values(SETTINGS), ...SETTINGS_NOT_YET].map(({ name }) => name);
  for (const key of Object.keys(file).filter((key) => !names.includes(key))) {
    const allowed = `there is no such setting${didYouMean(key, names)}`;
    problems.push({ setting: key, source: `${path}`, found: `the key ${quote(key)}`, allowed });
  }
  for (const { name, why } of SETTINGS_NOT_YET) {
    const finding = find(name);
    if (finding) problems.push({ setting: name, source: finding.source, found: "a value", allowed: why });
  }

  const sources = new Map<string, string>();
  const entries = Object.entries(SETTINGS).map(([key, setting]: [string, Setting<unknown>]) => {
    const finding = find(setting.name);
    sources.set(key, finding?.source ?? `${setting.name} (default)`);
    if (!finding) return [key, setting.defaultOf(input.machine)] as const;
    const value = setting.kind.parse(finding.value);
    if (value === undefined) {
      const { source } = finding;
      problems.push({
        setting: setting.name,
        source,
        found: quote(finding.value),
        allowed: setting.kind.allowed,
      });
    }
    return [key, value] as const;
  });
  if (problems.length > 0) throw new ConfigError(problems);

  // Every entry went through its kind's `parse` or its default, which the table ties to the type.
  const settings = Object.fromEntries(entries) as Settings;
  const conflicts = findConflicts(settings, (key) => sources.get(key) ?? key);
  if (conflicts.length > 0) throw new ConfigError(conflicts);
  return settings;
}

/** What no setting can see by itself. */
function findConflicts(settings: Settings, sourceOf: (key: keyof Settings) => string): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const report = (key: keyof Settings, found: string, allowed: string): void => {
    problems.push({ setting: SETTINGS[key].name, source: sourceOf(key), found, allowed });
  };

  const electionMsMin = 3 * settings.heartbeatMs;
  if (settings.electionTimeoutMs < electionMsMin) {
    const allowed = `it must be at least 3 heartbeats (3 x ${settings.heartbeatMs} = ${electionMsMin} milliseconds)`;
    report("electionTimeoutMs", `${settings.electionTimeoutMs}`, allowed);
  }
  if (settings.electionTimeoutMsMax < settings.electionTimeoutMs) {
    const allowed = `it must be at least the election timeout (${settings.electionTimeoutMs} milliseconds)`;
    report("electionTimeoutMsMax", `${settings.electionTimeoutMsMax}`, allowed);
  }
  for (const key of ["requestTimeoutMs", "queryTimeoutMs"] as const) {
    if (settings[key] <= settings.requestTimeoutMsMax) continue;
    report(key, `${settings[key]}`, `request-timeout-max-ms allows at most ${settings.requestTimeoutMsMax}`);
  }

  // Nobody is trusted by position: what is neither sealed nor authenticated stays on this machine.
  const unsealed = "without a cluster key only loopback addresses (127.0.0.1, [::1], localhost) are allowed";
  const open =
    "the API has neither TLS nor tokens yet: only loopback addresses (127.0.0.1, [::1], localhost) are allowed";
  if (!isLoopbackHost(settings.http.host)) report("http", quote(settings.http.host), open);
  if (settings.mqtt && !isLoopbackHost(settings.mqtt.host))
    report("mqtt", quote(settings.mqtt.host), unsealed);
  for (const peer of settings.peers) {
    const host = new URL(peer).hostname.replace(/^\[|\]$/g, "");
    if (!isLoopbackHost(host)) report("peers", quote(peer), unsealed);
  }
  return problems;
}

function textFlag(flag: string | readonly string[] | undefined): string | undefined {
  return typeof flag === "string" ? flag : flag?.at(-1);
}

const QUOTE_LENGTH_MAX = 100;

function quote(found: unknown): string {
  const text = JSON.stringify(found) ?? String(found);
  return text.length <= QUOTE_LENGTH_MAX ? text : `${text.slice(0, QUOTE_LENGTH_MAX)}...`;
}

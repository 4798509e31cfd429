/**
 * The command line from its first argument to its exit status: global flags, the command, its flags, errors in
 * Docker's form. The environment comes in as a value; nothing here reads it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { hasCode } from "../base/error-codes.ts";
import { COMMIT, VERSION } from "../base/version.ts";
import { Engine, type EngineOptions } from "../client/engine.ts";
import { EngineConnectionError, EngineError } from "../client/errors.ts";
import { type Cli, type Command, checkArgs, type Invocation, messageOf, StatusError } from "./command.ts";
import { type CommandEntry, type CommandGroup, findCommand, groups, namesOf, topLevel } from "./commands.ts";
import { ConfigFile } from "./config/config-file.ts";
import { chooseContext, DEFAULT_CONTEXT, readContext } from "./config/contexts.ts";
import { parseCustomHeaders } from "./config/custom-headers.ts";
import {
  bool,
  FlagError,
  type FlagTable,
  type FlagValues,
  list,
  parseFlags,
  string,
  withDefaults,
} from "./flags/flags.ts";
import type { CliPlugin, PluginPlaces } from "./plugins/find.ts";
import { BrokenPipeError, isTerminal, Output } from "./terminal/output.ts";

const SHORT = "A self-sufficient runtime for containers";
const DEFAULT_ADDRESS = "unix:///run/gantry/gantry.sock";
const DEFAULT_TLS_ADDRESS = "tcp://localhost:2376";

/** Below Docker's own sentence, which scripts look for. */
const HOW_TO_START = "Start it as root: npm start in its clone, or gantry daemon.";

/** As a shell reports a process that SIGPIPE has ended. */
const BROKEN_PIPE_STATUS = 128 + 13;

export interface CliOptions {
  readonly args: readonly string[];
  /** The name by which the program was called. */
  readonly program: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const globalFlagsFor = (configDirectory: string) => ({
  config: string({ usage: "Location of client config files", initial: configDirectory }),
  context: string({
    short: "c",
    usage:
      'Name of the context to use to connect to the daemon (overrides DOCKER_HOST env var and default context set with "docker context use")',
  }),
  debug: bool({ short: "D", usage: "Enable debug mode" }),
  host: list({ short: "H", usage: "Daemon socket to connect to" }),
  "log-level": string({
    short: "l",
    usage: 'Set the logging level ("debug", "info", "warn", "error", "fatal")',
    initial: "info",
  }),
  tls: bool({ usage: "Use TLS; implied by --tlsverify" }),
  tlscacert: string({
    usage: "Trust certs signed only by this CA",
    initial: join(configDirectory, "ca.pem"),
  }),
  tlscert: string({ usage: "Path to TLS certificate file", initial: join(configDirectory, "cert.pem") }),
  tlskey: string({ usage: "Path to TLS key file", initial: join(configDirectory, "key.pem") }),
  tlsverify: bool({ usage: "Use TLS and verify the remote" }),
  version: bool({ short: "v", usage: "Print version information and quit" }),
});

type GlobalFlags = FlagValues<ReturnType<typeof globalFlagsFor>>;

/** Runs one command. @returns the exit status */
export async function runCli(options: CliOptions): Promise<number> {
  const stdout = new Output(1);
  const stderr = new Output(2);
  try {
    return await dispatch(options, stdout, stderr);
  } catch (error) {
    if (error instanceof BrokenPipeError) return BROKEN_PIPE_STATUS;
    const message = messageOf(error);
    if (message !== "") stderr.line(message);
    if (isOwnEngineMissing(error)) stderr.line(HOW_TO_START);
    return error instanceof StatusError ? error.status : 1;
  }
}

/** Only at the address that nobody chose: elsewhere it is not known how its engine is started. */
function isOwnEngineMissing(error: unknown): boolean {
  return (
    error instanceof EngineConnectionError &&
    hasCode(error.cause, "ENOENT", "ECONNREFUSED") &&
    error.message.includes(` ${DEFAULT_ADDRESS}.`)
  );
}

async function dispatch(
  { args, program, environment }: CliOptions,
  stdout: Output,
  stderr: Output,
): Promise<number> {
  const directory = environment.DOCKER_CONFIG || join(environment.HOME ?? "/root", ".docker");
  const flagTable = globalFlagsFor(directory);
  const globals = parseGlobals(flagTable, args, program);
  for (const note of globals.notes) stderr.line(note);
  const [name, ...rest] = globals.positionals;
  if (globals.values.version) {
    stdout.line(`Docker version ${VERSION}, build ${COMMIT}`);
    return 0;
  }
  const cli = new ClientCli({
    program,
    environment,
    stdout,
    stderr,
    flags: globals.values,
    changed: globals.changed,
  });
  if (globals.help || name === undefined) {
    await showRootHelp(globals.help ? stdout : stderr, flagTable, program, await cli.plugins);
    return 0;
  }
  if (name === "help") return await showHelp(rest, cli, flagTable);
  const group = Object.hasOwn(groups, name) ? groups[name] : undefined;
  if (group) return await runInGroup(name, group, rest, cli);
  const found = findCommand(topLevel, name);
  if (!found) {
    const status = await runAsPlugin(name, args, cli);
    if (status !== undefined) return status;
    const near = await meant(name, [...Object.keys(groups), ...namesOf(topLevel)]);
    throw new Error(
      `${program}: unknown command: ${program} ${name}\n\n${near}Run '${program} --help' for more information`,
    );
  }
  return await runCommand(found.entry, `${program} ${found.name}`, rest, cli);
}

function parseGlobals<F extends FlagTable>(table: F, args: readonly string[], program: string) {
  try {
    return parseFlags(table, args, { interspersed: false });
  } catch (error) {
    throw usageError(error, `${program} [OPTIONS] COMMAND [ARG...]`, program);
  }
}

async function runInGroup(
  groupName: string,
  group: CommandGroup,
  args: readonly string[],
  cli: Cli,
): Promise<number> {
  const path = `${cli.program} ${groupName}`;
  const { positionals, help, notes } = parseGlobals({}, args, path);
  for (const note of notes) cli.stdout.line(note);
  const [name, ...rest] = positionals;
  if (help || name === undefined) {
    await showGroupHelp(help ? cli.stdout : cli.stderr, path, group);
    return 0;
  }
  const found = findCommand(group.commands, name);
  if (!found) {
    const near = await meant(name, namesOf(group.commands));
    throw new Error(
      `${cli.program}: unknown command: ${path} ${name}\n\n${near}Usage:  ${group.use ? `${path} ${group.use}` : path}\n\nRun '${path} --help' for more information`,
    );
  }
  return await runCommand(found.entry, `${path} ${found.name}`, rest, cli);
}

/** A command that is none of ours may be a plugin's. @returns undefined if there is no such plugin that can be run */
async function runAsPlugin(
  name: string,
  args: readonly string[],
  cli: ClientCli,
): Promise<number | undefined> {
  const [{ findPlugin }, { runPlugin }] = await Promise.all([
    import("./plugins/find.ts"),
    import("./plugins/run.ts"),
  ]);
  const plugin = await findPlugin(name, pluginPlaces(cli));
  if (!plugin) return undefined;
  if (plugin.Err !== undefined)
    throw new Error(`${cli.program}: plugin ${plugin.Path} is not valid: ${plugin.Err}`);
  const { program, environment } = cli;
  return await runPlugin(plugin, { args, environment, program, address: cli.defaultAddress });
}

function pluginPlaces({ config }: Cli): PluginPlaces {
  return {
    directory: config.directory,
    extra: config.settings.cliPluginsExtraDirs ?? [],
    builtin: new Set([...Object.keys(groups), ...namesOf(topLevel)]),
  };
}

/** In cobra's words; empty where nothing is near. */
async function meant(typed: string, names: readonly string[]): Promise<string> {
  const { suggest } = await import("./suggest.ts");
  const near = suggest(typed, names);
  return near.length === 0 ? "" : `Did you mean this?\n${near.map((name) => `\t${name}\n`).join("")}\n`;
}

async function runCommand(
  entry: CommandEntry,
  path: string,
  args: readonly string[],
  cli: Cli,
): Promise<number> {
  const command = withEnvironment((await entry.load()).command, cli);
  const line = `${path}${command.use.slice(command.use.indexOf(" ") < 0 ? command.use.length : command.use.indexOf(" "))}`;
  const parsed = parseCommand(command, args, line, path);
  for (const note of parsed.notes) cli.stdout.line(note);
  if (parsed.help) {
    await showCommandHelp(cli.stdout, command, path, cli.program);
    return 0;
  }
  checkArgs(command.args, parsed.positionals, { program: cli.program, path, useLine: line });
  const invocation: Invocation = {
    flags: parsed.values,
    changed: (name) => parsed.changed.has(name),
    args: parsed.positionals,
    path,
    cli,
  };
  return (await command.run(invocation)) ?? 0;
}

function withEnvironment(command: Command, { environment }: Cli): Command {
  return { ...command, flags: withDefaults(command.flags, environment) };
}

function parseCommand(command: Command, args: readonly string[], line: string, path: string) {
  try {
    return parseFlags(command.flags, args, { interspersed: command.interspersed ?? true });
  } catch (error) {
    throw usageError(error, line, path);
  }
}

function usageError(error: unknown, line: string, path: string): unknown {
  if (!(error instanceof FlagError)) return error;
  return new StatusError(
    `${error.message}\n\nUsage:  ${line}\n\nRun '${path} --help' for more information`,
    125,
    { cause: error },
  );
}

// ---- help: loaded only when asked for

async function showHelp(names: readonly string[], cli: ClientCli, flagTable: FlagTable): Promise<number> {
  const [first, second] = names;
  if (first === undefined) {
    await showRootHelp(cli.stdout, flagTable, cli.program, await cli.plugins);
    return 0;
  }
  const group = groups[first];
  if (group && second === undefined) {
    await showGroupHelp(cli.stdout, `${cli.program} ${first}`, group);
    return 0;
  }
  const found = group ? findCommand(group.commands, second ?? "") : findCommand(topLevel, first);
  if (!found || names.length > (group ? 2 : 1)) throw new Error(`unknown help topic: ${names.join(" ")}`);
  const command = withEnvironment((await found.entry.load()).command, cli);
  const path = group ? `${cli.program} ${first} ${found.name}` : `${cli.program} ${found.name}`;
  await showCommandHelp(cli.stdout, command, path, cli.program);
  return 0;
}

async function showCommandHelp(out: Output, command: Command, path: string, program: string): Promise<void> {
  const { commandHelp } = await import("./help.ts");
  out.write(commandHelp(command, { path, program, columns: helpColumns() }));
}

async function showGroupHelp(out: Output, path: string, group: CommandGroup): Promise<void> {
  const { groupHelp } = await import("./help.ts");
  const commands = await loadSummaries(group.commands);
  out.write(groupHelp({ path, program: path, columns: helpColumns() }, group.short, commands));
}

async function showRootHelp(
  out: Output,
  flags: FlagTable,
  program: string,
  plugins: readonly CliPlugin[],
): Promise<void> {
  const { rootHelp } = await import("./help.ts");
  const common = Object.entries(topLevel)
    .filter(([, { common }]) => common !== undefined)
    .sort(([, a], [, b]) => (a.common ?? 0) - (b.common ?? 0));
  const others = Object.entries(topLevel).filter(([, { common }]) => common === undefined);
  const management = Object.entries(groups).map(([name, { short }]) => ({ name, short }));
  // Marked as Docker marks them: they are not the client's own.
  const added = plugins.filter(({ Err, Hidden }) => Err === undefined && Hidden !== true);
  management.push(
    ...added.map(({ Name, ShortDescription = "" }) => ({ name: `${Name}*`, short: ShortDescription })),
  );
  management.sort((a, b) => (a.name < b.name ? -1 : 1));
  out.write(
    rootHelp({ path: program, program, columns: helpColumns() }, SHORT, {
      common: await loadSummaries(Object.fromEntries(common)),
      management,
      others: await loadSummaries(Object.fromEntries(others)),
      flags,
    }),
  );
}

async function loadSummaries(commands: Readonly<Record<string, CommandEntry>>) {
  const shown = Object.entries(commands).filter(([, { hidden }]) => !hidden);
  return await Promise.all(
    shown.map(async ([name, { load }]) => ({ name, short: (await load()).command.short })),
  );
}

/** Docker wraps help at the width of the terminal on standard input, or 80. */
function helpColumns(): number {
  const { columns } = new Output(0).size;
  return columns > 0 ? columns : 80;
}

// ---- the client around a command

interface ClientCliOptions {
  readonly program: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly flags: GlobalFlags;
  readonly changed: ReadonlySet<string>;
}

class ClientCli implements Cli {
  readonly program: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin = {
    get isTerminal(): boolean {
      return isTerminal(0);
    },
  };
  readonly debug: boolean;
  readonly config: ConfigFile;
  readonly #flags: GlobalFlags;
  readonly #changed: ReadonlySet<string>;
  #engine: Engine | undefined;

  constructor({ program, environment, stdout, stderr, flags, changed }: ClientCliOptions) {
    this.program = program;
    this.environment = environment;
    this.stdout = stdout;
    this.stderr = stderr;
    this.debug = flags.debug;
    this.config = new ConfigFile(flags.config, (warning) => stderr.line(warning));
    this.#flags = flags;
    this.#changed = changed;
    if (flags.context !== "" && flags.host.length > 0) {
      throw new Error("conflicting options: cannot specify both --host and --context");
    }
    const levels = ["panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"];
    if (!levels.includes(flags["log-level"].toLowerCase())) {
      throw new Error(`Unable to parse logging level: ${flags["log-level"]}`);
    }
  }

  get engine(): Engine {
    this.#engine ??= this.#connect();
    return this.#engine;
  }

  #connect(): Engine {
    const endpoint = initializing("unable to resolve docker endpoint: ", () => this.#endpoint());
    const headers = initializing("", () => this.#headers());
    const { DOCKER_API_VERSION } = this.environment;
    return initializing(
      "unable to resolve docker endpoint: ",
      () =>
        new Engine({ ...endpoint, headers, ...(DOCKER_API_VERSION && { apiVersion: DOCKER_API_VERSION }) }),
    );
  }

  /** The address of our own engine, where nobody has named another. */
  get defaultAddress(): string | undefined {
    return this.#endpoint().address === DEFAULT_ADDRESS ? DEFAULT_ADDRESS : undefined;
  }

  get plugins(): Promise<readonly CliPlugin[]> {
    return import("./plugins/find.ts").then(({ listPlugins }) => listPlugins(pluginPlaces(this)));
  }

  get currentContext(): string {
    const { host, context } = this.#flags;
    const { GANTRY_HOST, DOCKER_HOST, DOCKER_CONTEXT } = this.environment;
    return chooseContext({
      flag: context,
      hasAddress: { flag: host.length > 0, environment: Boolean(GANTRY_HOST || DOCKER_HOST) },
      variable: DOCKER_CONTEXT,
      current: () => this.config.settings.currentContext,
    });
  }

  get defaultHost(): string {
    const { GANTRY_HOST, DOCKER_HOST } = this.environment;
    return (this.#flags.host[0] ?? (GANTRY_HOST || DOCKER_HOST || "")).trim() || DEFAULT_ADDRESS;
  }

  /** Where the engine is: as a context says, or flags and environment. */
  #endpoint(): Pick<EngineOptions, "address" | "tls"> {
    const { host } = this.#flags;
    const { GANTRY_HOST, DOCKER_HOST } = this.environment;
    const chosen = this.currentContext;
    if (chosen !== DEFAULT_CONTEXT) {
      const { address, tls } = readContext(this.config.directory, chosen);
      return { address: address || DEFAULT_ADDRESS, ...(tls && { tls }) };
    }
    if (host.length > 1) throw new Error("Specify only one -H");
    const tls = this.#tlsOptions();
    const given = (host[0] ?? (GANTRY_HOST || DOCKER_HOST || "")).trim();
    const address = given || (tls ? DEFAULT_TLS_ADDRESS : DEFAULT_ADDRESS);
    return { address: address === "unix://" ? DEFAULT_ADDRESS : address, ...(tls && { tls }) };
  }

  #headers(): Record<string, string> {
    const { DOCKER_CUSTOM_HEADERS } = this.environment;
    const custom = DOCKER_CUSTOM_HEADERS ? parseCustomHeaders(DOCKER_CUSTOM_HEADERS) : {};
    const configured = Object.keys(custom).length > 0 ? custom : this.config.settings.HttpHeaders;
    return { ...configured, "User-Agent": `Gantry-Client/${VERSION} (linux)` };
  }

  #tlsOptions(): EngineOptions["tls"] {
    const flags = this.#flags;
    const { DOCKER_TLS, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH } = this.environment;
    const verify = this.#changed.has("tlsverify") ? flags.tlsverify : Boolean(DOCKER_TLS_VERIFY);
    if (!flags.tls && !verify && !this.#changed.has("tlsverify") && !DOCKER_TLS) return undefined;
    const read = (name: "tlscacert" | "tlscert" | "tlskey", file: string, required: boolean) => {
      const given = this.#changed.has(name);
      const path = given || !DOCKER_CERT_PATH ? flags[name] : join(DOCKER_CERT_PATH, file);
      return readPem(path, given || required);
    };
    const ca = read("tlscacert", "ca.pem", true);
    const cert = read("tlscert", "cert.pem", false);
    const key = read("tlskey", "key.pem", false);
    return {
      verify,
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
    };
  }
}

/** Tells a failure as one to set the client up. */
function initializing<T>(what: string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    throw new Error(`Failed to initialize: ${what}${messageOf(cause)}`, { cause });
  }
}

function readPem(path: string, required: boolean): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    if (!required && hasCode(cause, "ENOENT")) return undefined;
    const missing = hasCode(cause, "ENOENT");
    throw new EngineError(missing ? `open ${path}: no such file or directory` : messageOf(cause), { cause });
  }
}

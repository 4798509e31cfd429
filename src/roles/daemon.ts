/**
 * The engine's composition root. In here stands how a daemon begins, lives and ends; what it is put together from
 * is in `daemon/engine.ts`, what it can be told in `daemon/options.ts` and `daemon/settings.ts`.
 */
import { homedir } from "node:os";
import { log, setLogFormat, setLogLevel } from "../base/log.ts";
import { COMMIT, VERSION } from "../base/version.ts";
import type { EngineConfig } from "../core/config.ts";
import { messageOf } from "../core/errors.ts";
import { lengthenBacklog } from "../linux/sockets.ts";
import { createServer, listRoutes } from "../server/index.ts";
import { checkConflicts, readConfigFile } from "./daemon/config-file.ts";
import { toEndpoints } from "./daemon/endpoints.ts";
import { handlersToList, identity, openEngine } from "./daemon/engine.ts";
import { type Flags, parseFlags, UsageError, usage } from "./daemon/flags.ts";
import { openGates } from "./daemon/gates.ts";
import { takeGround } from "./daemon/ground.ts";
import {
  claimResources,
  connectionsFor,
  keepMemorySmall,
  surviveErrors,
  untilToldToStop,
  writePidFile,
} from "./daemon/process.ts";
import { takeProxies } from "./daemon/proxies.ts";
import { type Environment, placesOf, settingsWithoutEffect, toEngineConfig } from "./daemon/settings.ts";

/** Ends the process: 0, 1 for what went wrong, 125 for a command line that cannot be understood. */
export async function main(args: readonly string[], called = "gantry"): Promise<void> {
  try {
    const environment = {
      home: homedir(),
      dockerCertPath: process.env.DOCKER_CERT_PATH || undefined,
      proxies: takeProxies(process.env),
      calledDockerd: called === "dockerd",
    };
    await run(parseFlags(args), environment);
    process.exit(0);
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\nSee 'gantry daemon --help'.\n`);
      process.exit(125);
    }
    process.stderr.write(`failed to start daemon: ${messageOf(error)}\n`);
    log("debug", "why", { stack: error instanceof Error ? error.stack : undefined });
    process.exit(1);
  }
}

async function run(flags: Flags, environment: Environment): Promise<void> {
  if (flags.get("help") === true) return print(usage());
  if (flags.get("version") === true) return print(`Gantry version ${VERSION}, build ${COMMIT}\n`);
  const { config, warnings } = configure(flags, environment);
  if (flags.get("validate") === true) {
    process.stderr.write("configuration OK\n");
    return;
  }
  if (flags.get("list-routes") === true) return print(routeTable());
  setLogLevel(config.logLevel);
  setLogFormat(config.logFormat);
  for (const warning of warnings) log("warn", warning);
  await serve(config, () => configure(flags, environment).config);
}

/** @throws InvalidParameterError */
function configure(flags: Flags, environment: Environment): { config: EngineConfig; warnings: string[] } {
  const path = flags.get("config-file");
  const configFile = typeof path === "string" ? path : placesOf(environment).configFile;
  const file = readConfigFile(configFile, path !== undefined);
  checkConflicts(configFile, file, flags);
  return {
    config: toEngineConfig(flags, file, environment),
    warnings: settingsWithoutEffect({ flags, file }, environment.proxies),
  };
}

/** The life of a daemon. Containers are there before it and go on after it. `configure` reads the configuration anew. */
async function serve(wanted: EngineConfig, configure: () => EngineConfig): Promise<void> {
  const begun = performance.now();
  surviveErrors();
  const openFiles = claimResources();
  const told = untilToldToStop();

  using ground = await takeGround(wanted.paths);
  using _pidFile = wanted.pidfile === undefined ? undefined : writePidFile(wanted.pidfile);
  const config = { ...wanted, paths: ground.paths };
  const endpoints = await toEndpoints(config);

  await using engine = await openEngine(config);
  await engine.boot();

  const server = createServer({
    handlers: engine.handlers,
    identity,
    limits: { maxConnections: connectionsFor(openFiles) },
    onListening: lengthenBacklog,
  });
  using gates = openGates(config, engine);
  for (const endpoint of endpoints) await server.listen(endpoint, { gates: gates.all });
  for (const { endpoint, gates: own } of gates.scoped) await server.listen(endpoint, { gates: own });
  log("info", "daemon has completed initialization", {
    version: VERSION,
    instance: config.paths.instance,
    bootMilliseconds: Math.round(performance.now() - begun),
  });
  keepMemorySmall();

  process.on("SIGHUP", () => {
    gates.reopen();
    engine.reload(configure);
  });
  log("info", "stopping; containers go on", { signal: await told });
  await server.close(engine.config().shutdownTimeout * 1000);
}

/** One line a route: method, path, whether it is built. */
function routeTable(): string {
  return listRoutes(handlersToList())
    .map(
      ({ method, path, state, operation }) =>
        `${method.padEnd(7)}${path.padEnd(48)}${state.padEnd(11)}${operation}\n`,
    )
    .join("");
}

function print(text: string): void {
  process.stdout.write(text);
}

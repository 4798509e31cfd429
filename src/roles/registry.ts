/** The registry's composition root, `gantry registry serve`: how it begins, lives and ends. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { log, setLogLevel } from "../base/log.ts";
import { VERSION } from "../base/version.ts";
import { InvalidParameterError, messageOf } from "../core/errors.ts";
import type { SqlDatabase } from "../core/sql.ts";
import { FileRegistryBytes } from "../drivers/registry-bytes-fs/index.ts";
import { S3RegistryBytes } from "../drivers/registry-bytes-s3/index.ts";
import { openSqliteDatabase } from "../drivers/sql-sqlite/database.ts";
import { createHost, type Endpoint, type Listening, type TlsOptions } from "../http/index.ts";
import { Authority } from "../registry/server/access/authority.ts";
import { BearerTokens } from "../registry/server/access/bearer.ts";
import { importHtpasswd } from "../registry/server/access/htpasswd.ts";
import { Collector } from "../registry/server/content/collector.ts";
import type { RegistryDeps } from "../registry/server/deps.ts";
import { administratorHandler, registryHandler } from "../registry/server/index.ts";
import type { RegistryParts } from "../registry/server/parts.ts";
import { migrate } from "../registry/server/store/schema.ts";
import { untilToldToStop } from "./daemon/process.ts";
import { type RegistryConfig, readRegistryConfig, USAGE } from "./registry/config.ts";

/** What requests under way get when the registry stops. */
const DRAIN = 30_000;

/** Ends the process: 0, 1 for what went wrong, 125 for a command line that cannot be understood. */
export async function main(args: readonly string[]): Promise<void> {
  try {
    const config = readRegistryConfig(args, process.env);
    if (config === "help") process.stdout.write(USAGE);
    else await serve(config);
    process.exit(0);
  } catch (error) {
    process.stderr.write(`gantry registry: ${messageOf(error)}\n`);
    process.exit(error instanceof InvalidParameterError ? 125 : 1);
  }
}

async function serve(config: RegistryConfig): Promise<void> {
  setLogLevel(config.logLevel);
  const told = untilToldToStop();
  mkdirSync(config.dataRoot, { recursive: true, mode: 0o700 });
  await using database = await openDatabase(config);
  await migrate(database);
  const deps: RegistryDeps = {
    database,
    bytes: config.s3 ? new S3RegistryBytes(config.s3) : new FileRegistryBytes(config.dataRoot),
    clock: Date.now,
    policy: config.policy,
    events: { publish: () => {} },
  };
  const tokens = new BearerTokens({ database, issuer: "gantry-registry", clock: Date.now });
  await tokens.open();
  if (config.htpasswd !== undefined) await importHtpasswd(deps, readFileSync(config.htpasswd, "utf8"));
  const authority = new Authority({
    database,
    tokens,
    clock: Date.now,
    openWithoutAccounts: config.open || isLoopback(config.host),
  });
  const parts: RegistryParts = {
    deps,
    authority,
    tokens,
    isReady: async () => (await database.reader.get("SELECT 1 AS one")) !== undefined,
  };
  await using collector = new Collector(deps);
  await collector.start();

  const host = createHost();
  await host.listen({ kind: "unix", path: join(config.dataRoot, "admin.sock") }, administratorHandler(parts));
  const main = await host.listen(endpointOf(config), registryHandler(parts));
  log("info", "the registry listens", { version: VERSION, address: main.address, dataRoot: config.dataRoot });
  process.on("SIGHUP", () => reloadCertificates(config, main));
  log("info", "the registry stops", { signal: await told });
  await host.close(DRAIN);
}

async function openDatabase({ database, dataRoot }: RegistryConfig): Promise<SqlDatabase> {
  if (database === undefined) return openSqliteDatabase(join(dataRoot, "registry.db"));
  const { openPostgresDatabase } = await import("../drivers/sql-postgres/database.ts");
  return await openPostgresDatabase(database);
}

/** @throws InvalidParameterError for plain HTTP beyond loopback that nobody asked for: passwords would be read on the way */
function endpointOf(config: RegistryConfig): Endpoint {
  const { host, port } = config;
  if (!config.tls && !config.plain && !isLoopback(host)) {
    throw new InvalidParameterError(
      `refusing plain HTTP on ${host}:${port}: give --tls-cert and --tls-key, or --plain if TLS ends before this registry`,
    );
  }
  return { kind: "tcp", host, port, ...(config.tls ? { tls: readCertificates(config.tls) } : {}) };
}

function readCertificates({ certificate, key }: NonNullable<RegistryConfig["tls"]>): TlsOptions {
  return { cert: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") };
}

function reloadCertificates({ tls }: RegistryConfig, listening: Listening): void {
  if (!tls) return;
  try {
    listening.reloadTls(readCertificates(tls));
    log("info", "registry: certificates were read again");
  } catch (error) {
    log("error", "registry: certificates cannot be read; the old ones stay", { error: messageOf(error) });
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\./.test(host);
}

/** From `-H` to where the server listens, with certificates read and dangers told. */
import { readFileSync } from "node:fs";
import { log } from "../../base/log.ts";
import type { EngineConfig } from "../../core/config.ts";
import { InvalidParameterError, messageOf } from "../../core/errors.ts";
import { insecureTcpWarning } from "../../engine/system/info.ts";
import type { Endpoint, TlsOptions } from "../../http/index.ts";
import { inheritedSockets, parseEndpoint } from "../../server/index.ts";
import { DEFAULT_GROUP } from "./settings.ts";

/** @throws InvalidParameterError for a TCP address that anybody could use, unless that was asked for */
export function toEndpoints(config: EngineConfig): Endpoint[] {
  const tls = readTls(config.tls);
  return config.hosts.flatMap((host) => {
    const endpoint = parseEndpoint(host);
    if (endpoint.kind === "unix") return { ...endpoint, group: socketGroup(config.group) };
    if (endpoint.kind === "tcp") {
      if (!config.tls?.verify) checkInsecure(host, config);
      return { ...endpoint, tls };
    }
    if (endpoint.kind === "inherited") return inheritedSockets(endpoint.name, process.env, process.pid);
    return endpoint;
  });
}

function checkInsecure(host: string, { insecureTcp, tls }: EngineConfig): void {
  if (!insecureTcp) {
    throw new InvalidParameterError(
      `${host}: without --tlsverify whoever reaches this port is root on this host; use --tlsverify with certificates, or --insecure-tcp if that is meant`,
    );
  }
  log("warn", insecureTcpWarning(host, tls !== undefined));
}

function readTls(tls: EngineConfig["tls"]): TlsOptions | undefined {
  if (!tls) return undefined;
  const read = (path: string) => {
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      throw new InvalidParameterError(`could not read TLS file: ${messageOf(error)}`, {
        subject: path,
        cause: error,
      });
    }
  };
  return { cert: read(tls.cert), key: read(tls.key), ...(tls.ca !== undefined && { ca: read(tls.ca) }) };
}

/** As dockerd: without a group docker the socket is root's alone, with a warning; any other group must exist. */
function socketGroup(group: string): string | undefined {
  if (group !== DEFAULT_GROUP || groupExists(group)) return group;
  log("warn", "could not change group of the socket: group docker not found; only root can use it");
  return undefined;
}

function groupExists(name: string): boolean {
  return readFileSync("/etc/group", "utf8")
    .split("\n")
    .some((line) => line.startsWith(`${name}:`));
}

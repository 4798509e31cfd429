/**
 * Where plugins are found: sockets in one directory, files that name an address in others; each may lie in a directory
 * of its own name.
 * @see moby pkg/plugins/discovery.go
 */
import { lstatSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { InvalidParameterError, messageOf } from "../../core/errors.ts";
import type { PluginAddress, PluginTls } from "../../core/plugins.ts";

export interface PluginDirectories {
  /** `name.sock`, or `name/name.sock`. */
  readonly sockets: string;
  /** `name.spec`, `name.json`, or the same in a directory of that name; earlier directories go first. */
  readonly specs: readonly string[];
}

/** Docker's own: plugins install themselves there. */
export const DOCKER_DIRECTORIES: PluginDirectories = {
  sockets: "/run/docker/plugins",
  specs: ["/etc/docker/plugins", "/usr/lib/docker/plugins"],
};

/** One part of a path, and no other. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.:@-]*$/;
const LARGEST_SPEC = 64 * 1024;

/** Undefined if there is none of that name. @throws InvalidParameterError if its file makes no sense */
export function findPlugin({ sockets, specs }: PluginDirectories, name: string): PluginAddress | undefined {
  if (!NAME.test(name)) return undefined;
  for (const path of pathsOf(sockets, name, ".sock")) {
    if (statSync(path, { throwIfNoEntry: false })?.isSocket()) return { name, address: `unix://${path}` };
  }
  const candidates = specs.flatMap((directory) => [
    ...pathsOf(directory, name, ".spec"),
    ...pathsOf(directory, name, ".json"),
  ]);
  for (const path of candidates) {
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) continue;
    return path.endsWith(".json") ? readJson(name, path) : readSpec(name, path);
  }
  return undefined;
}

/** Names of all that are there, whatever they are. */
export function listPlugins({ sockets, specs }: PluginDirectories): string[] {
  const names = new Set(namesIn(sockets, [".sock"]));
  for (const directory of specs) for (const name of namesIn(directory, [".spec", ".json"])) names.add(name);
  return [...names].filter((name) => NAME.test(name)).sort();
}

function pathsOf(directory: string, name: string, extension: string): string[] {
  return [join(directory, name + extension), join(directory, name, name + extension)];
}

function namesIn(directory: string, extensions: readonly string[]): string[] {
  return entriesOf(directory).flatMap((entry) => {
    const extension = extensions.find((candidate) => entry.endsWith(candidate));
    if (extension) return entry.slice(0, -extension.length);
    const isDirectory = lstatSync(join(directory, entry), { throwIfNoEntry: false })?.isDirectory();
    const inside = isDirectory ? entriesOf(join(directory, entry)) : [];
    return extensions.some((candidate) => inside.includes(entry + candidate)) ? entry : [];
  });
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    // Most hosts have none of these directories.
    return [];
  }
}

function readSpec(name: string, path: string): PluginAddress {
  const address = readSmall(path).trim();
  if (!URL.canParse(address)) throw badSpec(path, `unknown protocol in ${JSON.stringify(address)}`);
  return { name, address };
}

interface JsonSpec {
  readonly Addr?: unknown;
  readonly TLSConfig?: {
    readonly InsecureSkipVerify?: unknown;
    readonly CAFile?: unknown;
    readonly CertFile?: unknown;
    readonly KeyFile?: unknown;
  } | null;
}

function readJson(name: string, path: string): PluginAddress {
  let spec: JsonSpec;
  try {
    spec = Object(JSON.parse(readSmall(path)));
  } catch (error) {
    throw badSpec(path, messageOf(error), error);
  }
  const { Addr: address, TLSConfig } = spec;
  if (typeof address !== "string" || !URL.canParse(address)) throw badSpec(path, "Addr is no address");
  return { name, address, ...(TLSConfig && { tls: readTls(path, TLSConfig) }) };
}

function readTls(path: string, config: NonNullable<JsonSpec["TLSConfig"]>): PluginTls {
  const read = (file: unknown): string | undefined => {
    if (typeof file !== "string" || file === "") return undefined;
    try {
      return readSmall(file);
    } catch (error) {
      throw badSpec(path, messageOf(error), error);
    }
  };
  const ca = read(config.CAFile);
  return {
    ca,
    cert: read(config.CertFile),
    key: read(config.KeyFile),
    // As Docker: without an authority there is nothing to compare with.
    insecure: config.InsecureSkipVerify === true || ca === undefined,
  };
}

function readSmall(path: string): string {
  const status = statSync(path);
  if (!status.isFile() || status.size > LARGEST_SPEC) {
    throw new InvalidParameterError(`${path} is no file of at most ${LARGEST_SPEC} bytes`, { subject: path });
  }
  return readFileSync(path, "utf8");
}

function badSpec(path: string, why: string, cause?: unknown): InvalidParameterError {
  return new InvalidParameterError(`cannot read plugin file ${path}: ${why}`, { subject: path, cause });
}

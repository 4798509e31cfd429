/**
 * Docker's CLI plugins: programs named `docker-<name>` in certain directories, which say what they are when asked
 * (docker/cli, cli-plugins/manager). `compose` and `buildx` are such.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { compareNaturally } from "../values/natural-order.ts";

const PREFIX = "docker-";
const NAME = /^[a-z][a-z0-9]*$/;
/** In the order in which they are looked through; the first program of a name counts. */
const SYSTEM_DIRECTORIES = [
  "/usr/local/lib/docker/cli-plugins",
  "/usr/local/libexec/docker/cli-plugins",
  "/usr/lib/docker/cli-plugins",
  "/usr/libexec/docker/cli-plugins",
];
/** A program that does not answer is none. */
const METADATA_TIME = 10_000;

export interface PluginMetadata {
  readonly SchemaVersion: string;
  readonly Vendor: string;
  readonly Version?: string;
  readonly ShortDescription?: string;
  readonly URL?: string;
  readonly Hidden?: boolean;
}

export interface CliPlugin extends Partial<PluginMetadata> {
  readonly Name: string;
  readonly Path: string;
  /** Why it cannot be run; undefined if it can. */
  readonly Err?: string;
  readonly ShadowedPaths?: readonly string[];
}

export interface PluginPlaces {
  /** Docker's configuration directory. */
  readonly directory: string;
  /** `cliPluginsExtraDirs` of the settings. */
  readonly extra: readonly string[];
  /** Names of the client's own commands, which no plugin may take. */
  readonly builtin: ReadonlySet<string>;
}

/** The program of that name, asked what it is; undefined if there is none. */
export async function findPlugin(name: string, places: PluginPlaces): Promise<CliPlugin | undefined> {
  if (!NAME.test(name)) return undefined;
  for (const directory of directoriesOf(places)) {
    const path = join(directory, PREFIX + name);
    if (statSync(path, { throwIfNoEntry: false })) return await examine(name, [path], places);
  }
  return undefined;
}

/** All there are, in the natural order of their names. */
export async function listPlugins(places: PluginPlaces): Promise<CliPlugin[]> {
  const candidates = new Map<string, string[]>();
  for (const directory of directoriesOf(places)) {
    for (const file of programsIn(directory)) {
      const name = file.slice(PREFIX.length);
      candidates.set(name, [...(candidates.get(name) ?? []), join(directory, file)]);
    }
  }
  const found = await Promise.all([...candidates].map(([name, paths]) => examine(name, paths, places)));
  return found.sort((a, b) => compareNaturally(a.Name, b.Name));
}

function directoriesOf({ directory, extra }: PluginPlaces): string[] {
  return [...extra, join(directory, "cli-plugins"), ...SYSTEM_DIRECTORIES];
}

/** Files, and links to what is there. */
function programsIn(directory: string): string[] {
  try {
    return readdirSync(directory).filter(
      (file) =>
        file.startsWith(PREFIX) && statSync(join(directory, file), { throwIfNoEntry: false })?.isFile(),
    );
  } catch {
    // Most of these directories do not exist, and one that cannot be read has nothing to offer.
    return [];
  }
}

async function examine(
  name: string,
  [path = "", ...shadowed]: readonly string[],
  places: PluginPlaces,
): Promise<CliPlugin> {
  const plugin = { Name: name, Path: path, ...(shadowed.length > 0 && { ShadowedPaths: shadowed }) };
  if (!NAME.test(name))
    return { ...plugin, Err: `plugin candidate "${name}" did not match "^[a-z][a-z0-9]*$"` };
  if (places.builtin.has(name)) return { ...plugin, Err: `plugin "${name}" duplicates builtin command` };
  try {
    return { ...plugin, ...(await askMetadata(path)) };
  } catch (error) {
    return { ...plugin, Err: error instanceof Error ? error.message : String(error) };
  }
}

/** @throws Error in Docker's words */
async function askMetadata(path: string): Promise<PluginMetadata> {
  let text: string;
  try {
    const child = Bun.spawn([path, "docker-cli-plugin-metadata"], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
      timeout: METADATA_TIME,
    });
    text = await new Response(child.stdout).text();
    if ((await child.exited) !== 0) throw new Error(`exit status ${child.exitCode ?? "unknown"}`);
  } catch (cause) {
    throw new Error(`failed to fetch metadata: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  let metadata: Partial<PluginMetadata>;
  try {
    metadata = JSON.parse(text) as Partial<PluginMetadata>;
  } catch (cause) {
    throw new Error(`invalid metadata: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  const { SchemaVersion = "", Vendor = "" } = metadata;
  if (!/^[01]\.\d+\.\d+$/.test(SchemaVersion)) {
    throw new Error(`plugin SchemaVersion "${SchemaVersion}" is not supported: must be lower than 2.0.0`);
  }
  if (Vendor === "") throw new Error("plugin metadata does not define a vendor");
  return { ...metadata, SchemaVersion, Vendor };
}

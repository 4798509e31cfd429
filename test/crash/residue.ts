/**
 * What an engine has on the host, found without asking the engine: by its exec root, data root and bridge.
 * `strays` compares it with the containers that the engine says are there; a stray is a leak.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

export interface EngineOnHost {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly bridge: string;
}

export interface KnownContainers {
  readonly all: ReadonlySet<string>;
  readonly running: ReadonlySet<string>;
}

const CONTAINER_ID = /[0-9a-f]{64}/;

/** One line for each thing on the host that no container owns, and for each running container that lacks its own. */
export function strays(engine: EngineOnHost, known: KnownContainers): string[] {
  const found: string[] = [];
  for (const target of mountsBeneath(engine)) {
    const id = CONTAINER_ID.exec(target)?.[0];
    if (id !== undefined && !known.running.has(id)) found.push(`mount ${target}`);
  }
  for (const { pid, id } of monitors(engine.execRoot))
    if (!known.running.has(id)) found.push(`conmon ${pid} of ${id}`);
  for (const path of cgroups(engine, known)) found.push(`cgroup ${path}`);
  const links = linksOn(engine.bridge);
  if (links.length > known.running.size)
    found.push(`${links.length} links for ${known.running.size} containers: ${links}`);
  for (const id of entries(join(engine.dataRoot, "containers")))
    if (!known.all.has(id)) found.push(`directory containers/${id}`);
  for (const id of entries(join(engine.execRoot, "tasks")))
    if (!known.running.has(id)) found.push(`directory tasks/${id}`);
  for (const name of entries(join(engine.execRoot, "netns")))
    if (!known.running.has(CONTAINER_ID.exec(name)?.[0] ?? "")) found.push(`namespace ${name}`);
  return found;
}

export function mountsBeneath({ dataRoot, execRoot }: EngineOnHost): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((target) => target.startsWith(`${dataRoot}/`) || target.startsWith(`${execRoot}/`));
}

export function monitors(execRoot: string): { pid: number; id: string }[] {
  const found: { pid: number; id: string }[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    let argv: string[];
    try {
      argv = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
    } catch {
      continue; // ended meanwhile
    }
    if (!argv[0]?.endsWith("conmon") || !argv.some((word) => word.includes(execRoot))) continue;
    found.push({ pid: Number(entry), id: CONTAINER_ID.exec(argv.join(" "))?.[0] ?? "" });
  }
  return found;
}

/** Control groups beside those of the running containers that name a container of this engine no longer running. */
function cgroups(engine: EngineOnHost, known: KnownContainers): string[] {
  const parents = new Set<string>();
  for (const root of cgroupRoots())
    for (const entry of entries(root)) if (entry.startsWith("gantry")) parents.add(join(root, entry));
  const ours = ownIds(engine, known);
  return [...parents].flatMap((parent) =>
    entries(parent)
      .filter((id) => CONTAINER_ID.test(id) && ours.has(id) && !known.running.has(id))
      .map((id) => join(parent, id)),
  );
}

/** Every container id that this engine was ever seen with: other engines of the host are not judged. */
const seen = new Map<string, Set<string>>();

function ownIds(engine: EngineOnHost, known: KnownContainers): Set<string> {
  const ids = seen.get(engine.dataRoot) ?? new Set<string>();
  seen.set(engine.dataRoot, ids);
  for (const id of known.all) ids.add(id);
  for (const id of entries(join(engine.dataRoot, "containers"))) ids.add(id);
  return ids;
}

function cgroupRoots(): string[] {
  const base = "/sys/fs/cgroup";
  if (existsSync(join(base, "cgroup.controllers"))) return [base];
  return entries(base)
    .map((name) => join(base, name))
    .filter((path) => statSync(path).isDirectory());
}

function linksOn(bridge: string): string[] {
  return entries(`/sys/class/net/${bridge}/brif`);
}

function entries(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

/**
 * What an engine has on the host, found without asking the engine: by its exec root, data root and instance.
 * `strays` compares it with the owners that the engine tells of. A thing without an owner is a leak; a running
 * container without its thing was robbed.
 *
 * Looked at: mounts, directories, processes, network namespaces (also those that have no name), links, the nft
 * table's elements, cgroups of every tree.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { cgroupTrees, instanceOf } from "../support/leaks.ts";
import type { OwnContainer, Owners } from "./owners.ts";

export interface EngineOnHost {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly bridge: string;
  /** Of the daemon. */
  readonly pid: number;
}

/** One line for each thing on the host that nobody owns, and for each running container that lacks its own. */
export function strays(engine: EngineOnHost, owners: Owners): string[] {
  return [
    ...mounts(engine, owners),
    ...directories(engine, owners),
    ...processes(engine, owners),
    ...networkNamespaces(engine, owners),
    ...links(engine, owners),
    ...firewallElements(engine, owners),
    ...cgroups(engine, owners),
  ];
}

export function mountsBeneath({ dataRoot, execRoot }: Pick<EngineOnHost, "dataRoot" | "execRoot">): string[] {
  return mountTable()
    .map(({ target }) => target)
    .filter((target) => target.startsWith(`${dataRoot}/`) || target.startsWith(`${execRoot}/`));
}

function mounts(engine: EngineOnHost, { live }: Owners): string[] {
  const { dataRoot, execRoot } = engine;
  // Where an engine mounts for containers is itself a mount, so that it can be private.
  const owned = new Set([join(execRoot, "rootfs"), join(execRoot, "netns")]);
  for (const { volumes } of live.values())
    for (const name of volumes) owned.add(join(dataRoot, "volumes", name, "_data"));
  const ofContainer = new RegExp(`^${execRoot}/(rootfs|netns|tasks|subpaths)/([0-9a-f]{64})(/.+)?$`);
  const found = mountsBeneath(engine);
  const robbed = [...live.keys()].filter((id) => !found.includes(join(execRoot, "rootfs", id)));
  return [
    ...found
      .filter((target) => !owned.has(target) && !live.has(ofContainer.exec(target)?.[2] ?? ""))
      .map((target) => `mount ${target}`),
    ...robbed.map((id) => `no root is mounted for ${id}`),
  ];
}

function directories({ dataRoot, execRoot }: EngineOnHost, owners: Owners): string[] {
  const { containers, live, volumes, layers } = owners;
  const places: Record<string, { has(name: string): boolean }> = {
    [join(dataRoot, "containers")]: containers,
    [join(dataRoot, "snapshots")]: containers,
    [join(dataRoot, "layers")]: layers,
    [join(dataRoot, "volumes")]: volumes,
    [join(dataRoot, "tmp")]: new Set(["build"]),
    // Steps of builds: none runs when this is asked.
    [join(dataRoot, "tmp/build")]: new Set(),
    [join(execRoot, "one-shot")]: new Set(),
    [join(execRoot, "build")]: new Set(),
    [join(execRoot, "tasks")]: live,
    [join(execRoot, "runtime")]: live,
    [join(execRoot, "rootfs")]: live,
    [join(execRoot, "netns")]: { has: (name) => live.has(name.replace(/\.json$/, "")) },
    [join(execRoot, "subpaths")]: live,
    // Of running containers nobody has seen the end, and that of others was taken down.
    [join(execRoot, "exits")]: new Set(),
  };
  for (const { id, execs } of live.values()) places[join(execRoot, "tasks", id, "execs")] = new Set(execs);
  for (const name of volumes) places[join(dataRoot, "volumes", name)] = new Set(["_data"]);
  const roots: [string, RegExp][] = [
    [
      dataRoot,
      /^(lock|tmp|containers|content|layers|snapshots|volumes|build|gantry\.db(-wal|-shm|\.reserve)?)$/,
    ],
    [execRoot, /^(lock|tasks|runtime|exits|rootfs|netns|subpaths|one-shot|build)$/],
  ];
  return [
    ...roots.flatMap(([root, known]) => strangers(root, { has: (name) => known.test(name) })),
    ...Object.entries(places).flatMap(([place, known]) => strangers(place, known)),
    // A download that was cut short is kept, to be continued; one that is whole has no second copy.
    ...entries(join(dataRoot, "content/ingest"))
      .filter((name) => existsSync(join(dataRoot, "content/blobs/sha256", name)))
      .map((name) => `directory entry content/ingest/${name}`),
  ];
}

function strangers(place: string, known: { has(name: string): boolean }): string[] {
  return entries(place)
    .filter((name) => !known.has(name))
    .map((name) => `directory entry ${place}/${name}`);
}

interface HostProcess {
  readonly pid: number;
  readonly parent: number;
  readonly zombie: boolean;
  readonly argv: readonly string[];
  /** The container of this engine in whose cgroup it is, or "". */
  readonly container: string;
  /** Works for the engine: by its arguments, its working directory or its cgroup. */
  readonly ours: boolean;
}

function processes(engine: EngineOnHost, { live }: Owners): string[] {
  const monitored = new Map<string, number>();
  const found: string[] = [];
  for (const { pid, parent, zombie, argv, container, ours } of hostProcesses(engine)) {
    if (parent === engine.pid && zombie) found.push(`process ${pid}, a zombie of the daemon`);
    if (!ours || pid === engine.pid || live.has(container)) continue;
    const monitor = monitorOf(argv);
    const owner = live.get(monitor?.container ?? "");
    const owned = owner && (monitor?.exec === undefined || owner.execs.includes(monitor.exec));
    if (!owned) found.push(`process ${pid} ${argv.join(" ")}`);
    else if (monitor?.exec === undefined) monitored.set(owner.id, (monitored.get(owner.id) ?? 0) + 1);
  }
  for (const id of live.keys())
    if (monitored.get(id) !== 1) found.push(`${monitored.get(id) ?? 0} monitors watch ${id}`);
  return found;
}

/** Which container, or which exec of it, a conmon watches. */
function monitorOf(argv: readonly string[]): { container: string; exec: string | undefined } | undefined {
  if (!argv[0]?.endsWith("conmon")) return undefined;
  const bundle = argv[argv.indexOf("-b") + 1] ?? "";
  const [, container, exec] = /\/tasks\/([0-9a-f]{64})(?:\/execs\/([^/]+))?$/.exec(bundle) ?? [];
  return container === undefined ? undefined : { container, exec };
}

function* hostProcesses({ dataRoot, execRoot, pid: daemon }: EngineOnHost): Generator<HostProcess> {
  const group = new RegExp(`/gantry-${instanceOf(dataRoot)}/([0-9a-f]{64})`);
  const roots = [`${dataRoot}/`, `${execRoot}/`];
  for (const pid of entries("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)) {
    try {
      const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      const [state, parent] = readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ");
      const container = group.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? "";
      const words = state === "Z" ? argv : [...argv, `${readlinkSync(`/proc/${pid}/cwd`)}/`];
      const named = words.some((word) => roots.some((root) => `${word}/`.includes(root)));
      const ours = container !== "" || named || pid === daemon;
      yield { pid, parent: Number(parent), zombie: state === "Z", argv, container, ours };
    } catch {
      // It ended while it was looked at.
    }
  }
}

/** Held by a mount of this engine, by a descriptor of the daemon, or by a process that works for the engine. */
function networkNamespaces(engine: EngineOnHost, { live }: Owners): string[] {
  const host = inodeOf("/proc/self/ns/net");
  const owned = new Set([host, ...[...live.values()].map(({ pid }) => inodeOf(`/proc/${pid}/ns/net`))]);
  const holders = new Map<number, string>();
  for (const { target, root } of mountTable()) {
    const inode = /^net:\[(\d+)\]$/.exec(root)?.[1];
    if (inode && target.startsWith(`${engine.execRoot}/`)) holders.set(Number(inode), `mount ${target}`);
  }
  const namespaceDevice = statSync("/proc/self/ns/net").dev;
  for (const fd of entries(`/proc/${engine.pid}/fd`)) {
    const path = `/proc/${engine.pid}/fd/${fd}`;
    const found = quietly(() => statSync(path));
    if (found?.dev !== namespaceDevice || quietly(() => readlinkSync(path))?.startsWith("mnt:")) continue;
    holders.set(found.ino, `descriptor ${fd} of the daemon`);
  }
  for (const { pid, argv, ours } of hostProcesses(engine)) {
    const inode = ours ? inodeOf(`/proc/${pid}/ns/net`) : undefined;
    if (inode !== undefined) holders.set(inode, `process ${pid} ${argv[0]}`);
  }
  return [...holders]
    .filter(([inode]) => !owned.has(inode))
    .map(([inode, holder]) => `network namespace ${inode}, held by ${holder}`);
}

interface Link {
  readonly ifname: string;
  readonly ifalias?: string;
  readonly master?: string;
  readonly group?: string;
  readonly linkinfo?: { readonly info_kind?: string };
}

/** Group of every engine's bridges: @see drivers/network-bridge/firewall.ts, `GUEST_LINK_GROUP` */
const BRIDGE_GROUP = "6775150";

function links({ dataRoot }: EngineOnHost, { live, bridges }: Owners): string[] {
  const instance = instanceOf(dataRoot);
  const prefix = `gv${instance.slice(0, 6)}`;
  const masters = new Map<string, string>();
  for (const { endpoints } of live.values())
    for (const { id, networkId } of endpoints)
      if (bridges.has(networkId)) masters.set(prefix + id.slice(0, 7), bridges.get(networkId) ?? "");
  const all = hostLinks();
  const ports = all.filter(({ ifname }) => ifname.startsWith(prefix));
  const own = all.filter(({ ifalias }) => ifalias?.startsWith(`gantry-${instance} `));
  const nameless = all.filter(
    ({ linkinfo, group, ifalias }) => linkinfo?.info_kind === "bridge" && group === BRIDGE_GROUP && !ifalias,
  );
  return [
    ...ports
      .filter(({ ifname, master = "" }) => masters.get(ifname) !== master)
      .map(({ ifname, master }) => `link ${ifname} on ${master ?? "no bridge"}`),
    ...[...masters.keys()]
      .filter((name) => !ports.some(({ ifname }) => ifname === name))
      .map((name) => `no link ${name} for a running container`),
    ...own
      .filter(({ ifname, ifalias }) => bridges.get(ifalias?.split(" ")[1] ?? "") !== ifname)
      .map(({ ifname, ifalias }) => `bridge ${ifname} (${ifalias})`),
    ...[...bridges.values()]
      .filter((bridge) => !own.some(({ ifname }) => ifname === bridge))
      .map((bridge) => `no bridge ${bridge} for a network`),
    ...nameless.map(({ ifname }) => `bridge ${ifname}, half made`),
  ];
}

function hostLinks(): Link[] {
  return JSON.parse(Bun.spawnSync(["ip", "-j", "-d", "link", "show"]).stdout.toString()) as Link[];
}

interface NftSet {
  readonly name: string;
  readonly elem?: readonly unknown[];
}

/** Sets are about bridges, maps `published…` lead host ports to running containers. */
function firewallElements({ dataRoot }: EngineOnHost, { live, bridges }: Owners): string[] {
  const known = new Set(bridges.values());
  const published = new Set([...live.values()].flatMap(publishedBy));
  const there: string[] = [];
  const found: string[] = [];
  for (const { name, elem = [] } of nftSets(`gantry-${instanceOf(dataRoot)}`)) {
    for (const element of elem) {
      const words = wordsOf(element);
      const line = `${name} ${words.join(" ")}`;
      there.push(line);
      const owned = name.startsWith("published")
        ? published.has(line)
        : words.filter((word) => /[a-z]/.test(word)).every((word) => known.has(word) || VERDICTS.has(word));
      if (!owned) found.push(`nft element ${line}`);
    }
  }
  for (const line of published) if (!there.includes(line)) found.push(`no nft element ${line}`);
  for (const bridge of known)
    if (!there.includes(`bridges ${bridge}`)) found.push(`no nft element of ${bridge}`);
  return found;
}

const VERDICTS = new Set(["accept", "goto", "target", "inbound"]);

/** As `wordsOf` shows the elements of its ports. */
function publishedBy({ ports, endpoints }: OwnContainer): string[] {
  return ports.map(({ protocol, hostAddress, hostPort, port }) => {
    const address = endpoints[0]?.address ?? "";
    return hostAddress === "0.0.0.0"
      ? `published4any ${protocol} ${hostPort} ${address} ${port}`
      : `published4 ${hostAddress} ${protocol} ${hostPort} ${address} ${port}`;
  });
}

function nftSets(table: string): NftSet[] {
  const listed = Bun.spawnSync(["nft", "-j", "list", "table", "inet", table], { stderr: "ignore" });
  if (!listed.success) return [];
  const { nftables } = JSON.parse(listed.stdout.toString()) as { nftables: Record<string, NftSet>[] };
  return nftables.flatMap(({ set, map }) => set ?? map ?? []);
}

/** The leaves of an element of `nft -j`: `{"concat": ["br0", "br0"]}` → `br0 br0`; verdicts are keys. */
function wordsOf(element: unknown): string[] {
  if (element === null) return [];
  if (Array.isArray(element)) return element.flatMap(wordsOf);
  if (typeof element !== "object") return [String(element)];
  return Object.entries(element).flatMap(([key, value]) => [
    ...(VERDICTS.has(key) ? [key] : []),
    ...wordsOf(value),
  ]);
}

function cgroups({ dataRoot }: EngineOnHost, { live }: Owners): string[] {
  const parents = cgroupTrees().map((tree) => join(tree, `gantry-${instanceOf(dataRoot)}`));
  return parents.flatMap((parent) =>
    entries(parent)
      .filter((name) => isDirectory(join(parent, name)) && !live.has(name))
      .map((name) => `cgroup ${parent}/${name}`),
  );
}

function mountTable(): { target: string; root: string }[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const [, , , root = "", target = ""] = line.split(" ");
      return { root, target };
    });
}

function inodeOf(path: string): number | undefined {
  return quietly(() => statSync(path).ino);
}

function isDirectory(path: string): boolean {
  return quietly(() => statSync(path).isDirectory()) ?? false;
}

function entries(directory: string): string[] {
  return quietly(() => readdirSync(directory)) ?? [];
}

/** Things vanish while they are looked at. */
function quietly<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

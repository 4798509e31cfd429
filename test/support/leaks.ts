/**
 * What an engine can leave behind in the kernel, as sorted lists of words, and the difference of two such lists.
 *
 *     bun test/support/leaks.ts snapshot > before.json
 *     bun test/support/leaks.ts compare before.json        prints what is new, exit 1 if there is anything
 *
 * Open files are compared by those who have a daemon: `openFiles` and `openedSince`.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { basename, join } from "node:path";

const cgroupRoot = "/sys/fs/cgroup";

/** Kind of resource → what there is of it. */
export type Snapshot = Record<string, string[]>;

export function snapshot(): Snapshot {
  return {
    mount: mounts(),
    "named namespace": ["/run/netns", "/var/run/docker/netns"].flatMap(listing),
    "network namespace": networkNamespaces(),
    link: listing("/sys/class/net"),
    "nft table": nftTables(),
    cgroup: cgroups(),
    process: processes(),
    "loop device": loopDevices(),
    directory: listing("/tmp").filter((path) => path.startsWith("/tmp/gantry-")),
  };
}

/** What is in `after` and was not in `before`, as lines `kind: what`. */
export function newSince(before: Snapshot, after: Snapshot): string[] {
  return Object.entries(after).flatMap(([kind, items]) => {
    const known = new Set(before[kind]);
    const fresh = items.filter((item) => !known.has(item));
    const left = kind === "cgroup" ? fresh.filter((group) => !isHostsOwn(group, known)) : fresh;
    return left.map((item) => `${kind}: ${item}`);
  });
}

/**
 * Engines make groups at the top of a tree, `gantry-<instance>`, `docker` or a parent that a test names. What comes and
 * goes inside of a group that somebody else had before is the host's own life, like its sessions and services.
 */
function isHostsOwn(group: string, known: ReadonlySet<string>): boolean {
  const words = group.split("/");
  const top = cgroupRoot.split("/").length + (existsSync(join(cgroupRoot, "cgroup.controllers")) ? 1 : 2);
  return words.slice(top).some((_, index) => {
    const parent = words.slice(0, top + index).join("/");
    return known.has(parent) && !/^(gantry-.*|docker)$/.test(basename(parent));
  });
}

/** What there is now that names one of the words (a data root, an instance, a bridge), as lines `kind: what`. */
export function remainsOf(words: readonly string[]): string[] {
  return newSince({}, snapshot()).filter((line) => words.some((word) => line.includes(word)));
}

/**
 * Open files of a process by what they are, numbers and ids taken out: `socket` → 3, `/var/lib/…/gantry.db` → 1. A
 * network namespace is `net`, whether it was opened by its mount or in `/proc`.
 */
export function openFiles(pid: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const fd of listing(`/proc/${pid}/fd`)) {
    const target = quietly(() => readlinkSync(fd));
    if (target === undefined) continue;
    const kind = target
      .replace(/:\[\d+\]$/, "")
      .replace(/^.*\/netns\/[^/]+$/, "net")
      .replace(/[0-9a-f]{64}/g, "…");
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

/**
 * What a process has open now and had not, a line for each kind. Sockets of requests that just ended go within a
 * moment: up to 5 s are given.
 * @param kept kinds that a first use opens for good, and how many more of each are no leak
 */
export async function openedSince(
  before: ReadonlyMap<string, number>,
  pid: number,
  kept: Readonly<Record<string, number>> = {},
): Promise<string[]> {
  return await settled(() =>
    [...openFiles(pid)].flatMap(([kind, count]) => {
      const had = before.get(kind) ?? 0;
      return count > had + (kept[kind] ?? 0) ? [`${count} × ${kind}, was ${had}`] : [];
    }),
  );
}

/**
 * Takes away what a stopped engine keeps for its next start: its namespaces' directory, default bridge, table and
 * empty parent cgroups. By exact name, so that anything else shows as left behind.
 */
export function removeKept(engine: { dataRoot: string; execRoot: string; bridge: string }): void {
  const instance = instanceOf(engine.dataRoot);
  const quiet = { stdout: "ignore", stderr: "ignore" } as const;
  Bun.spawnSync(["umount", "-l", join(engine.execRoot, "netns")], quiet);
  Bun.spawnSync(["ip", "link", "delete", engine.bridge], quiet);
  Bun.spawnSync(["nft", "delete", "table", "inet", `gantry-${instance}`], quiet);
  const parents = cgroups().filter((path) => path.endsWith(`/gantry-${instance}`));
  if (parents.length > 0) Bun.spawnSync(["rmdir", ...parents], quiet);
}

/** The part of kernel names that is one engine's. */
export function instanceOf(dataRoot: string): string {
  const real = existsSync(dataRoot) ? realpathSync(dataRoot) : dataRoot;
  return createHash("sha256").update(real).digest("hex").slice(0, 8);
}

function mounts(): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const [before = "", after = ""] = line.split(" - ");
      return `${before.split(" ")[4]} (${after.split(" ")[0]})`;
    })
    .sort();
}

function nftTables(): string[] {
  const listed = Bun.spawnSync(["nft", "list", "tables"], { stderr: "ignore" });
  return listed.success ? listed.stdout.toString().trim().split("\n").filter(Boolean).sort() : [];
}

/** The roots of the host's control group trees: one, or one for each controller. */
export function cgroupTrees(): string[] {
  return existsSync(join(cgroupRoot, "cgroup.controllers")) ? [cgroupRoot] : listing(cgroupRoot);
}

function cgroups(root = cgroupRoot): string[] {
  return (quietly(() => readdirSync(root, { withFileTypes: true })) ?? [])
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => [join(root, entry.name), ...cgroups(join(root, entry.name))])
    .sort();
}

/**
 * Namespaces besides the host's, named or not, by who holds them: a mount, a descriptor or a process. What services of
 * the host have for themselves is not looked at.
 */
function networkNamespaces(): string[] {
  const host = statSync("/proc/self/ns/net");
  const own = serviceOf("self");
  const found = new Map<number, string>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const service = serviceOf(pid);
    if (service !== undefined && service !== own) continue;
    for (const path of [`/proc/${pid}/ns/net`, ...listing(`/proc/${pid}/fd`)]) {
      const { dev, ino } = quietly(() => statSync(path)) ?? {};
      if (dev !== host.dev || ino === undefined || ino === host.ino) continue;
      // All kinds of namespaces are files of one device; where it is mounted, the kind is not in the name.
      const kind = quietly(() => readlinkSync(path))?.split(":")[0] ?? "";
      if (!OTHER_NAMESPACES.has(kind)) found.set(ino, `${pid} ${commandOf(pid)}`);
    }
  }
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    const [, , , root = "", target = ""] = line.split(" ");
    const inode = Number(/^net:\[(\d+)\]$/.exec(root)?.[1]);
    if (inode > 0 && inode !== host.ino) found.set(inode, target);
  }
  return [...found].map(([inode, holder]) => `${inode} held by ${holder}`).sort();
}

const OTHER_NAMESPACES: ReadonlySet<string> = new Set([
  ...["cgroup", "ipc", "mnt", "pid", "pid_for_children", "time", "time_for_children", "user", "uts"],
]);

function serviceOf(pid: string): string | undefined {
  const cgroup = quietly(() => readFileSync(`/proc/${pid}/cgroup`, "utf8")) ?? "";
  return /[^/\n]+\.service/.exec(cgroup)?.[0];
}

function commandOf(pid: string): string {
  return (
    quietly(() => readFileSync(`/proc/${pid}/cmdline`, "utf8"))
      ?.replaceAll("\0", " ")
      .trim() ?? ""
  );
}

const STARTED_BY_TESTS =
  /^(gantry|conmon|crun|runc|dockerd|containerd(-shim.*)?|docker-registry|docker-init)$/;

/**
 * `pid program arguments` of what tests can have started: by program, by a directory of theirs in its arguments, or
 * because it runs in a container. The rest of the host lives its own life meanwhile.
 */
function processes(): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const argv = quietly(() => readFileSync(`/proc/${pid}/cmdline`, "utf8"))?.split("\0") ?? [];
      const line = argv.join(" ").trim();
      const cgroup = quietly(() => readFileSync(`/proc/${pid}/cgroup`, "utf8")) ?? "";
      const ours =
        STARTED_BY_TESTS.test(basename(argv[0] ?? "")) ||
        line.includes("/tmp/gantry-") ||
        /:\/(gantry-[0-9a-f]{8}|docker)\//.test(cgroup);
      const parent = quietly(() => readFileSync(`/proc/${pid}/stat`, "utf8"))
        ?.split(") ")[1]
        ?.split(" ")[1];
      return line && ours && parent !== String(process.pid) ? [`${pid} ${line.slice(0, 300)}`] : [];
    })
    .sort();
}

function loopDevices(): string[] {
  return listing("/sys/block").flatMap((path) => {
    const file = join(path, "loop/backing_file");
    return existsSync(file) ? [`${path} ${quietly(() => readFileSync(file, "utf8"))?.trim() ?? ""}`] : [];
  });
}

function listing(directory: string): string[] {
  return (quietly(() => readdirSync(directory)) ?? []).map((name) => join(directory, name)).sort();
}

/** Things of /proc vanish while they are looked at. */
function quietly<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

if (import.meta.main) {
  const [command, file] = process.argv.slice(2);
  if (command === "snapshot") {
    process.stdout.write(JSON.stringify(snapshot()));
  } else if (command === "compare" && file !== undefined) {
    const before = JSON.parse(readFileSync(file, "utf8")) as Snapshot;
    const left = await settled(() => newSince(before, snapshot()));
    const kinds = Object.entries(before).map(([kind, items]) => `${items.length} × ${kind}`);
    console.log(`compared with what was there before: ${kinds.join(", ")}`);
    console.log(left.length === 0 ? "nothing was left behind" : left.join("\n"));
    process.exit(left.length === 0 ? 0 : 1);
  } else {
    console.error("usage: leaks.ts snapshot | leaks.ts compare FILE");
    process.exit(2);
  }
}

/** The kernel reclaims namespaces and links a moment after their last user: up to 5 s are given. */
async function settled(look: () => string[]): Promise<string[]> {
  for (let attempt = 0; attempt < 25; attempt++) {
    if (look().length === 0) return [];
    await Bun.sleep(200);
  }
  return look();
}

/**
 * Where the host is changed. A daemon may be killed between any two of these; what the next boot makes of it is said
 * here, room by room. A room that begins to change the host in another way fails until its line says so.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Glob } from "bun";

const repository = resolve(import.meta.dir, "../..");

const KINDS = {
  spawn: /\b(?:Bun\.)?(?:spawn|spawnSync|execFile|execFileSync)\(/,
  rename: /(?<![.#\w])(?:rename|renameSync|linkSync|replaceFile)\(/,
  mount: /(?<![.#\w])(?:mount|unmount|bindMount|bindDescriptor|stopPropagationAt)\(/,
  netlink: /\b(?:NetlinkSocket|RouteSocket|NftablesSocket)\b|\b(?:applyRules|deleteTable)\(/,
  write:
    /(?<![.#\w])(?:writeFile|writeFileSync|appendFileSync|mkdir|mkdirSync|mkdtempSync|symlinkSync|copyFile|copyFileSync|writeSync|rm|rmSync|rmdir|rmdirSync|unlink|unlinkSync)\(|\bBun\.write\(/,
} as const;
type Kind = keyof typeof KINDS;

/** Room → what it does to the host, and what becomes of a kill in the middle of it. */
const ROOMS: Readonly<Record<string, readonly [kinds: readonly Kind[], afterKill: string]>> = {
  base: [["rename", "write"], "`.new` beside the file; the next writer overwrites it"],
  "builder/cache": [
    ["rename", "write"],
    "a directory without facts, or with spoiled ones, is listed all the same; one that was renamed to go is removed at boot",
  ],
  "builder/classic": [["write"], "a context beneath the build's scratch directory, which is emptied at boot"],
  "builder/ops": [
    ["write"],
    "caches are directories that name their id, whole or made anew; the rest is scratch of one run, emptied at boot",
  ],
  "drivers/build-files": [
    ["spawn", "rename", "write"],
    "trees beneath the build's scratch directory, emptied at boot; helpers end with their pipe",
  ],
  "drivers/container-files": [
    ["spawn", "mount", "rename", "write"],
    "what a client copies into a container is not promised before its answer; mounts are of the helper's own namespace",
  ],
  "drivers/content-fs": [
    ["rename", "write"],
    "uploads under ingest/ go on or expire; a blob has its name only when it is whole and flushed",
  ],
  "drivers/dns": [["netlink"], "sockets end with the process"],
  "drivers/image-archives": [["spawn", "write"], "scratch of the content store, thrown away at boot"],
  "drivers/logs": [
    ["rename", "write"],
    "a torn record is passed over; what was read of the monitor's spool is noted behind it",
  ],
  "drivers/network-bridge": [
    ["spawn", "netlink", "write"],
    "links and rules are named after the engine and made to fit the records at boot",
  ],
  "drivers/network-macvlan": [
    ["netlink"],
    "links end with their container's namespace; parents carry the engine's name and are reclaimed at boot",
  ],
  "drivers/network-namespaces": [
    ["rename", "mount", "netlink", "write"],
    "netns/<id> is named after its container; reclaim takes what no record owns",
  ],
  "drivers/registry-bytes-fs": [
    ["rename", "write"],
    "uploads that nobody owns are swept; a blob has its name only when it is whole and flushed",
  ],
  "drivers/runtime-oci": [
    ["spawn", "rename", "mount", "write"],
    "tasks/<id> is named after its container; recover adopts it or destroys it with all its processes",
  ],
  "drivers/snapshot-overlay": [
    ["spawn", "rename", "mount", "write"],
    "staging is removed at boot; a layer has its name only when it is flushed; rootfs/<id> is found mounted",
  ],
  "drivers/sql-sqlite": [["write"], "SQLite's journal"],
  "drivers/state-sqlite": [["write"], "SQLite's journal; the reserve is made again"],
  "drivers/volumes-local": [
    ["spawn", "rename", "mount", "write"],
    "a volume without a record is removed at boot; mounts that nobody holds are taken down",
  ],
  "engine/containers": [
    ["spawn", "write"],
    "containers/<id> without a record is swept at boot; identity files are written at each start",
  ],
  "engine/one-shot": [["write"], "exec root's one-shot/ is emptied at boot"],
  http: [["rename", "write"], "a socket file that nobody answers on is replaced"],
  linux: [["spawn", "mount", "netlink", "write"], "for drivers, which name what they make"],
  roles: [
    ["write"],
    "pid file and locks: the kernel lets go of a lock, a pid that is not there is overwritten",
  ],
  server: [["write"], "the audit log: lines are appended, a torn last one is passed over by who reads"],
};

/** Imports, functions and methods: they name what is not called here. */
const DECLARATION = /^import [^;]*;|\b(?:async )?function \w+\(|^\s*(?:async )?\w+\([^;]*?\): [^;{]*[{;]$/gm;

function code(path: string): string {
  const text = readFileSync(resolve(repository, path), "utf8");
  return text.replace(/\/\*.*?\*\//gs, "").replace(/(^|\s)\/\/[^\n]*/g, "");
}

/** Sources of the daemon; the client changes nothing but its own configuration. */
function sources(): string[] {
  return [...new Glob("src/**/*.ts").scanSync(repository)].filter(
    (path) =>
      !/\.(test|contract|killed)\.ts$|\/fixtures\/|\/test-[a-z]+\.ts$|\/testing[^/]*\.ts$/.test(path) &&
      !/^src\/(cli|client|api|main)/.test(path),
  );
}

function roomOf(path: string): string {
  const parts = path.split("/").slice(1, -1);
  const deep = ["drivers", "engine", "builder"].includes(parts[0] ?? "");
  return parts.slice(0, deep ? 2 : 1).join("/");
}

test("every place that changes the host says what the next boot makes of a kill there", () => {
  const found = new Map<string, Set<Kind>>();
  for (const path of sources()) {
    const text = code(path).replace(DECLARATION, "");
    for (const [kind, pattern] of Object.entries(KINDS) as [Kind, RegExp][]) {
      if (!pattern.test(text)) continue;
      const kinds = found.get(roomOf(path)) ?? new Set();
      found.set(roomOf(path), kinds.add(kind));
    }
  }
  const unsaid = [...found].flatMap(([room, kinds]) =>
    [...kinds].filter((kind) => !ROOMS[room]?.[0].includes(kind)).map((kind) => `${room}: ${kind}`),
  );
  expect(unsaid.sort()).toEqual([]);
  const idle = Object.entries(ROOMS).flatMap(([room, [kinds]]) =>
    kinds.filter((kind) => !found.get(room)?.has(kind)).map((kind) => `${room}: ${kind}`),
  );
  expect(idle.sort()).toEqual([]);
});

test("S37: no program is run by way of a shell", () => {
  const shells = sources().filter((path) =>
    /\bshell: true\b|\bexec(?:Sync)?\(\s*[`"']|\bspawn(?:Sync)?\(\s*\[?\s*["'](?:\/bin\/|\/usr\/bin\/)?(?:sh|bash|dash)["']/.test(
      code(path),
    ),
  );
  expect(shells).toEqual([]);
});

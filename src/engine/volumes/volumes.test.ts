import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConflictError, InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import type { StateStore } from "../../core/state.ts";
import { openSqliteStateStore } from "../../drivers/state-sqlite/store.ts";
import { LocalVolumeDriver } from "../../drivers/volumes-local/driver.ts";
import { ANONYMOUS_LABEL } from "./records.ts";
import { Volumes } from "./volumes.ts";

const filters = (entries: Record<string, string[]>) =>
  new Map(Object.entries(entries).map(([key, values]) => [key, new Set(values)]));

describe("volumes", () => {
  let root: string;
  let state: StateStore;
  let volumes: Volumes;
  let told: string[];

  function open(): void {
    state = openSqliteStateStore(join(root, "gantry.db"));
    volumes = new Volumes({
      state,
      drivers: [new LocalVolumeDriver({ volumes: join(root, "volumes"), subpaths: join(root, "subpaths") })],
      events: { publish: ({ action, actor }) => told.push(`${action} ${actor.id}`) },
    });
  }

  /** As after a crash of the daemon. */
  async function restart(containers: { id: string; running: boolean; volumes: string[] }[]): Promise<void> {
    state[Symbol.dispose]();
    open();
    await volumes.recover(containers);
  }

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "gantry-volumes-"));
    told = [];
    open();
  });

  afterEach(async () => {
    await volumes.recover([]);
    for (const { name } of volumes.list()) {
      for (const id of ["c1", "c2"]) await volumes.release(id, { removeAnonymous: false });
      await volumes.remove(name);
    }
    state[Symbol.dispose]();
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(root);
    rmSync(root, { recursive: true, force: true });
  });

  const names = (wanted: Record<string, string[]>) => volumes.list(filters(wanted)).map(({ name }) => name);

  test("create gives what inspect gives, and survives a restart", async () => {
    const made = await volumes.create({ name: "data", labels: { a: "b" } });
    expect(made).toMatchObject({ name: "data", driver: "local", labels: { a: "b" } });
    await restart([]);
    expect(volumes.get("data")).toEqual(made);
    expect(existsSync(volumes.mountpointOf(made))).toBe(true);
  });

  test("create is idempotent, and a conflict if the driver differs", async () => {
    const first = await volumes.create({ name: "data", labels: { a: "b" } });
    expect(await volumes.create({ name: "data", driver: "local" })).toEqual(first);
    expect(volumes.create({ name: "data", driver: "other" })).rejects.toBeInstanceOf(ConflictError);
    expect(told).toEqual(["create data"]);
  });

  test("a name as long as a file name can be is made and removed", async () => {
    const name = "v".repeat(255);
    await volumes.create({ name });
    await volumes.remove(name);
    expect(volumes.list()).toEqual([]);
    expect(readdirSync(join(root, "volumes"))).toEqual([]);
  });

  test("what cannot be removed stays as it was", async () => {
    const made = await volumes.create({ name: "data" });
    const directory = join(root, "volumes", "data");
    chattr("+i", directory);
    try {
      await expect(volumes.remove("data")).rejects.toThrow("cannot remove volume data");
      expect(volumes.get("data")).toEqual(made);
    } finally {
      chattr("-i", directory);
    }
  });

  test("an immutable file in a removed volume keeps neither boot nor a new volume of that name", async () => {
    const file = join(volumes.mountpointOf(await volumes.create({ name: "data" })), "file");
    writeFileSync(file, "old");
    chattr("+i", file);
    await volumes.remove("data");
    const again = await volumes.create({ name: "data" });
    expect(readdirSync(volumes.mountpointOf(again))).toEqual([]);
    await restart([]);
    expect(volumes.get("data")).toEqual(again);
    const [left = ""] = readdirSync(join(root, "volumes")).filter((name) => name.startsWith(".removing-"));
    chattr("-i", join(root, "volumes", left, "_data", "file"));
    await restart([]);
    expect(readdirSync(join(root, "volumes"))).toEqual(["data"]);
  });

  test("an unknown driver is named", async () => {
    await expect(volumes.create({ name: "data", driver: "other" })).rejects.toThrow(
      'error looking up volume plugin other: plugin "other" not found',
    );
  });

  for (const name of ["a", "../x", "a/b", ".hidden", "-x", "a b", "é", "x".repeat(256)]) {
    test(`${JSON.stringify(name.slice(0, 10))} is no name`, async () => {
      await expect(volumes.create({ name })).rejects.toBeInstanceOf(InvalidParameterError);
      expect(existsSync(join(root, "volumes"))).toBe(false);
    });
  }

  test("one that is not there is not found, in Docker's words", async () => {
    expect(() => volumes.get("absent")).toThrow("get absent: no such volume");
    await expect(volumes.remove("absent")).rejects.toBeInstanceOf(NotFoundError);
    await volumes.remove("absent", { force: true });
  });

  test("one in use is not removed, in Docker's words", async () => {
    await volumes.acquire("c1", { name: "data" });
    await volumes.acquire("c2", { name: "data" });
    await expect(volumes.remove("data")).rejects.toThrow("remove data: volume is in use - [c1, c2]");
    await expect(volumes.remove("data", { force: true })).rejects.toBeInstanceOf(ConflictError);
    await volumes.release("c1", { removeAnonymous: true });
    await volumes.release("c2", { removeAnonymous: true });
    await volumes.remove("data");
    expect(told).toEqual(["create data", "destroy data"]);
  });

  test("anonymous volumes are labelled, and go with their last container if that is wanted", async () => {
    const { name } = await volumes.acquire("c1", {});
    await volumes.acquire("c2", { name });
    expect(volumes.get(name).labels).toEqual({ [ANONYMOUS_LABEL]: "" });
    await volumes.release("c1", { removeAnonymous: true });
    expect(volumes.get(name).name).toBe(name);
    await volumes.release("c2", { removeAnonymous: true });
    expect(() => volumes.get(name)).toThrow(NotFoundError);
    const kept = await volumes.acquire("c1", {});
    await volumes.release("c1", { removeAnonymous: false });
    expect(volumes.get(kept.name).name).toBe(kept.name);
  });

  test("filters", async () => {
    await volumes.create({ name: "web-data", labels: { tier: "front" } });
    await volumes.create({ name: "db", labels: { tier: "back" } });
    await volumes.acquire("c1", { name: "db" });
    expect(names({})).toEqual(["db", "web-data"]);
    expect(names({ name: ["data"] })).toEqual(["web-data"]);
    expect(names({ name: ["^d"] })).toEqual(["db"]);
    expect(names({ label: ["tier"] })).toEqual(["db", "web-data"]);
    expect(names({ label: ["tier=back"] })).toEqual(["db"]);
    expect(names({ dangling: ["true"] })).toEqual(["web-data"]);
    expect(names({ dangling: ["0"] })).toEqual(["db"]);
    expect(names({ driver: ["nfs"] })).toEqual([]);
    expect(() => names({ dangling: ["perhaps"] })).toThrow("invalid filter 'dangling=[perhaps]'");
  });

  test("a filter that means nothing is refused also where there is no volume", () => {
    expect(() => names({ dangling: ["invalid"] })).toThrow("invalid filter 'dangling=[invalid]'");
  });

  test("prune takes anonymous ones, all with `all`, never used ones", async () => {
    const anonymous = await volumes.create({});
    await volumes.create({ name: "named" });
    await volumes.create({ name: "kept", labels: { keep: "" } });
    await volumes.acquire("c1", { name: "used" });
    writeFileSync(join(volumes.mountpointOf(anonymous), "file"), new Uint8Array(100_000));
    const signal = AbortSignal.timeout(5000);
    const first = await volumes.prune(new Map(), signal);
    expect(first.deleted).toEqual([anonymous.name]);
    expect(first.reclaimed).toBeGreaterThanOrEqual(100_000);
    const second = await volumes.prune(filters({ all: ["true"], "label!": ["keep"] }), signal);
    expect(second.deleted).toEqual(["named"]);
    expect(names({})).toEqual(["kept", "used"]);
  });

  test("prune goes by the anonymous label, and leaves what driver options mount from elsewhere", async () => {
    await volumes.create({ name: "labelled", labels: { [ANONYMOUS_LABEL]: "" } });
    await volumes.create({ name: "elsewhere", driverOpts: { type: "tmpfs", device: "tmpfs" } });
    const first = await volumes.prune(filters({ all: ["0"] }), AbortSignal.timeout(5000));
    expect(first.deleted).toEqual(["labelled"]);
    const second = await volumes.prune(filters({ all: ["1"] }), AbortSignal.timeout(5000));
    expect(second.deleted).toEqual([]);
  });

  test("prune refuses an `all` that is not one truth value", async () => {
    const prune = (...all: string[]) => volumes.prune(filters({ all }), AbortSignal.timeout(5000));
    await expect(prune("yes")).rejects.toThrow(
      `invalid filter 'all': strconv.ParseBool: parsing "yes": invalid syntax`,
    );
    await expect(prune("1", "0")).rejects.toThrow("invalid filter 'all=[1 0]': only one value is expected");
  });

  test("prune goes on where one cannot be removed, and tells so", async () => {
    for (const name of ["v1", "v2", "v3"]) await volumes.create({ name });
    told = [];
    const directory = join(root, "volumes", "v2");
    chattr("+i", directory);
    try {
      const { deleted } = await volumes.prune(filters({ all: ["true"] }), AbortSignal.timeout(5000));
      expect(deleted).toEqual(["v1", "v3"]);
      expect(told).toEqual(["destroy v1", "destroy v3", "prune "]);
      expect(names({})).toEqual(["v2"]);
    } finally {
      chattr("-i", directory);
    }
  });

  test("copy-up happens once", async () => {
    const rootfs = join(root, "rootfs");
    mkdirSync(join(rootfs, "srv"), { recursive: true });
    writeFileSync(join(rootfs, "srv", "file"), "image");
    const { mountpoint, fresh } = await volumes.acquire("c1", { name: "data" });
    expect(fresh).toBe(true);
    await volumes.copyUp("c1", "data", { rootfs: rootfs, destination: "/srv", subpath: undefined });
    expect(readFileSync(join(mountpoint, "file"), "utf8")).toBe("image");
    rmSync(join(mountpoint, "file"));
    await volumes.copyUp("c1", "data", { rootfs: rootfs, destination: "/srv", subpath: undefined });
    expect(readdirSync(mountpoint)).toEqual([]);
    expect((await volumes.acquire("c2", { name: "data" })).fresh).toBe(false);
  });

  test("a volume with options is mounted while any container that runs holds it", async () => {
    const driverOpts = { type: "tmpfs", device: "tmpfs", o: "size=1m" };
    for (const id of ["c1", "c2"]) await volumes.acquire(id, { name: "fast", driverOpts });
    const use = { destination: "/x", rw: true, propagation: "" };
    const { path } = await volumes.mount("c1", "fast", use);
    await volumes.mount("c2", "fast", use);
    writeFileSync(join(path, "file"), "x");
    await volumes.unmount("c1");
    expect(existsSync(join(path, "file"))).toBe(true);
    await volumes.unmount("c2");
    await volumes.unmount("c2");
    expect(readdirSync(path)).toEqual([]);
    expect(told).toEqual(["create fast", "mount fast", "mount fast", "unmount fast", "unmount fast"]);
  });

  test("wrong options are refused before anything is made", async () => {
    await expect(volumes.create({ name: "data", driverOpts: { foo: "x" } })).rejects.toThrow(
      'create data: invalid option: "foo"',
    );
    expect(volumes.list()).toEqual([]);
  });

  test("boot recounts who refers to what, keeps what runs mounted, and removes data without a record", async () => {
    const driverOpts = { type: "tmpfs", device: "tmpfs" };
    const use = { destination: "/x", rw: true, propagation: "" };
    for (const [id, name] of [
      ["c1", "one"],
      ["c2", "two"],
    ] as const) {
      await volumes.acquire(id, { name, driverOpts });
      await volumes.mount(id, name, use);
    }
    mkdirSync(join(root, "volumes", "half-made", "_data"), { recursive: true });
    await restart([
      { id: "c1", running: true, volumes: ["one"] },
      { id: "c2", running: false, volumes: ["two"] },
    ]);
    const mounts = readFileSync("/proc/self/mountinfo", "utf8");
    expect(mounts).toContain("volumes/one/_data");
    expect(mounts).not.toContain("volumes/two/_data");
    expect(readdirSync(join(root, "volumes")).sort()).toEqual(["one", "two"]);
    await expect(volumes.remove("two")).rejects.toThrow("in use - [c2]");
    await volumes.unmount("c1");
  });

  test("an anonymous volume of a create that was cut short is gone after the next start; one that was kept stays", async () => {
    const cut = await volumes.acquire("c1", {});
    const kept = await volumes.acquire("c2", {});
    const other = await volumes.acquire("c2", {});
    await volumes.release("c2", { removeAnonymous: false });
    const used = await volumes.acquire("c2", {});
    await volumes.acquire("c1", { name: "named" });
    await restart([{ id: "c2", running: false, volumes: [used.name] }]);
    expect(names({})).toEqual([kept.name, other.name, used.name, "named"].sort());
    expect(existsSync(cut.mountpoint)).toBe(false);
    expect(existsSync(kept.mountpoint)).toBe(true);
  });

  test("64 clients that create and remove one name leave no trace and no error but conflicts", async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 64 }, (_, i) =>
        i % 2 ? volumes.create({ name: "contended" }) : volumes.remove("contended", { force: true }),
      ),
    );
    expect(outcomes.filter(({ status }) => status === "rejected")).toEqual([]);
    await volumes.remove("contended", { force: true });
    expect(readdirSync(join(root, "volumes"))).toEqual([]);
  });
});

function chattr(flag: string, path: string): void {
  Bun.spawnSync(["chattr", flag, path]);
}

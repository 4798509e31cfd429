/**
 * The `local` volume driver: a volume is the directory `<data root>/volumes/<name>/_data`. With options it is a
 * file system that is mounted there while a container uses it (tmpfs, bind, nfs, …).
 *
 * Every mount is found by its place: volumes under `volumes/`, subpaths under `<exec root>/volumes/<key>/`.
 * Bulk work (copying, removing, counting) is done by child processes: a volume may hold millions of files.
 */
import { createHash, randomBytes } from "node:crypto";
import { lookup } from "node:dns/promises";
import { closeSync, existsSync, openSync } from "node:fs";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  utimes,
  writeFile,
} from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { syncDirectory } from "../../base/durable.ts";
import { hasCode } from "../../base/error-codes.ts";
import { log } from "../../base/log.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { InvalidParameterError, messageOf, NotFoundError, SystemError } from "../../core/errors.ts";
import type { CopyUpSource, MountedVolume, VolumeDriver } from "../../core/storage.ts";
import { pathOf, withRoot } from "../../linux/foreign-root.ts";
import { LinuxError } from "../../linux/libc.ts";
import { allowWritesOnlyIn, bindMount, MS, mount, unmount } from "../../linux/mounts.ts";
import { currentNamespacePath, ownThreadFs, withNewNamespace } from "../../linux/namespaces.ts";
import { run } from "./run.ts";

type Options = Readonly<Record<string, string>>;

/** What the kernel may take long over (a server that does not answer) gets this long. */
const MOUNT_TIMEOUT_MS = 30_000;
/** So many volumes are walked at a time. */
const MEASUREMENTS = 4;

/** Volumes as directories of the data root, or as what their options mount. */
export class LocalVolumeDriver implements VolumeDriver {
  readonly name = "local";
  readonly #root: string;
  readonly #subpaths: string;
  readonly #measurements = new Semaphore(MEASUREMENTS);

  /** Both directories are the driver's own; they are made with the first volume. */
  constructor(paths: { readonly volumes: string; readonly subpaths: string }) {
    this.#root = paths.volumes;
    this.#subpaths = paths.subpaths;
  }

  checkOptions(options: Options): void {
    for (const [key, value] of Object.entries(options)) {
      if (!["type", "o", "device"].includes(key)) {
        throw new InvalidParameterError(
          key === "size"
            ? "quota size requested but no quota support"
            : `invalid option: ${JSON.stringify(key)}`,
        );
      }
      if (value === "" && key !== "o") throw new InvalidParameterError(`missing required option: "${key}"`);
    }
    if (Object.keys(options).length === 0) return;
    for (const key of ["type", "device"]) {
      if (!options[key]) throw new InvalidParameterError(`missing required option: "${key}"`);
    }
  }

  mountpoint(name: string): string {
    return join(this.#root, name, "_data");
  }

  async create(name: string): Promise<void> {
    // Left by a removal that failed at boot: it must not become the new volume's data.
    await this.#discard(name);
    // 0701: an owner inside of a volume (uid 999) must be able to pass, nobody may list.
    await makeDirectory(this.#root, 0o701);
    await makeDirectory(join(this.#root, name), 0o701);
    await makeDirectory(this.mountpoint(name), 0o755);
    await syncDirectory(this.#root);
  }

  async remove(name: string): Promise<void> {
    try {
      unmountAll(this.mountpoint(name));
      await this.#discard(name);
    } catch (error) {
      throw failed("remove", name, error);
    }
  }

  /**
   * Takes the name away at once, then deletes. What cannot be deleted (a file may be immutable) is nobody's from
   * then on, and boot tries again.
   */
  async #discard(name: string): Promise<void> {
    // Not made of the name, which may be as long as a file name can be.
    const doomed = join(this.#root, `.removing-${randomBytes(8).toString("hex")}`);
    try {
      await rename(join(this.#root, name), doomed);
    } catch (error) {
      if (hasCode(error, "ENOENT")) return;
      throw error;
    }
    await loggingFailure("the data of a removed volume is left on disk", doomed, () => removeTree(doomed));
  }

  async mount(name: string, options: Options): Promise<void> {
    const { type, device = "" } = options;
    if (type === undefined) return;
    const target = this.mountpoint(name);
    if (await isMountPoint(target)) return;
    const { flags, data } = splitMountOptions(options.o ?? "");
    try {
      if (flags & MS.BIND) mount({ source: device, target, flags: flags & (MS.BIND | MS.REC) });
      else if (type === "tmpfs") mount({ source: device, target, type, flags, data });
      else await mountRemote(type, device, target, options.o ?? "");
      // A bind mount takes its flags only in a second step.
      if (flags & MS.BIND && flags & ~(MS.BIND | MS.REC)) {
        mount({ source: device, target, flags: flags | MS.REMOUNT });
      }
    } catch (error) {
      unmountAll(target);
      throw new SystemError(
        `error while mounting volume '${target}': failed to mount local volume: mount ${device}:${target}, data: ${options.o ?? ""}: ${reasonOf(error)}`,
        { subject: name, cause: error },
      );
    }
  }

  async unmount(name: string): Promise<void> {
    unmountAll(this.mountpoint(name));
  }

  async mountSubpath(name: string, subpath: string, key: string): Promise<MountedVolume> {
    const fd = this.#openSubpath(name, subpath);
    try {
      const target = join(
        this.#subpaths,
        key,
        createHash("sha256").update(`${name}\0${subpath}`).digest("hex"),
      );
      if (await isMountPoint(target)) return { path: target };
      await makeDirectory(this.#subpaths, 0o700);
      await makeDirectory(join(this.#subpaths, key), 0o700);
      if ((await stat(pathOf(fd))).isDirectory()) await mkdir(target, { recursive: true });
      else await writeFile(target, "");
      bindMount(pathOf(fd), target, { recursive: true });
      return { path: target };
    } finally {
      closeSync(fd);
    }
  }

  async unmountSubpaths(key: string): Promise<void> {
    const directory = join(this.#subpaths, key);
    for (const entry of await readdirIfThere(directory)) {
      const target = join(directory, entry);
      unmountAll(target);
      // Not recursively: were it still mounted, that would delete the volume's data.
      await ((await lstat(target)).isDirectory() ? rmdir(target) : rm(target));
    }
    await rmdir(directory).catch(ignoring("ENOENT"));
  }

  async copyUp(
    name: string,
    from: CopyUpSource,
    { exclusive }: { readonly exclusive: boolean },
  ): Promise<boolean> {
    const source = openDirectoryIn(from.rootfs, from.destination);
    if (source === undefined) return false;
    const into = withRoot(this.mountpoint(name), (volume) =>
      volume.find(from.subpath ?? ".", { links: "beneath", directory: true }),
    );
    try {
      if (into === undefined) return false;
      const target = pathOf(into);
      if ((await readdir(target)).length > 0) return false;
      if ((await readdir(pathOf(source))).length === 0) {
        await copyAttributes(pathOf(source), target);
        return false;
      }
      const swapped = exclusive && from.subpath === undefined && !(await isMountPoint(this.mountpoint(name)));
      if (swapped) await this.#swapIn(name, source);
      else await this.#copyContained(name, from);
      return true;
    } catch (error) {
      throw failed("copy the image's data into", name, error);
    } finally {
      closeSync(source);
      if (into !== undefined) closeSync(into);
    }
  }

  async usage(name: string, signal: AbortSignal): Promise<number> {
    using _turn = await this.#measurements.acquire(signal);
    const argv = ["du", "-s", "--apparent-size", "--block-size=1", "--", this.mountpoint(name)];
    const { stdout } = await run(argv, { signal });
    return Number.parseInt(stdout, 10);
  }

  async reconcile({
    names,
    mounted,
    keys,
  }: {
    readonly names: ReadonlySet<string>;
    readonly mounted: ReadonlySet<string>;
    readonly keys: ReadonlySet<string>;
  }): Promise<void> {
    for (const name of await readdirIfThere(this.#root)) {
      await loggingFailure("cannot clean up a volume", name, async () => {
        if (!mounted.has(name)) unmountAll(this.mountpoint(name));
        if (names.has(name)) await removeTree(this.#stagingOf(name));
        else await this.#discard(name);
      });
    }
    for (const key of await readdirIfThere(this.#subpaths)) {
      if (keys.has(key)) continue;
      await loggingFailure("cannot clean up mounts of volumes", key, () => this.unmountSubpaths(key));
    }
  }

  /** A copy that a crash interrupts leaves the volume empty, not half full. */
  async #swapIn(name: string, source: number): Promise<void> {
    const staging = this.#stagingOf(name);
    await removeTree(staging);
    await mkdir(staging);
    await copyTree(source, staging);
    await run(["sync", "-f", staging]);
    await rename(staging, this.mountpoint(name));
    await syncDirectory(join(this.#root, name));
  }

  /**
   * Copies into a volume that others have open: they may put a link to elsewhere in the way at any moment. The copy
   * runs in a mount namespace in which nothing but the volume can be written, and replaces what it finds.
   */
  async #copyContained(name: string, from: CopyUpSource): Promise<void> {
    const staging = this.#stagingOf(name);
    const [source, target] = [join(staging, "from"), join(staging, "into")];
    await mkdir(source, { recursive: true });
    await mkdir(target, { recursive: true });
    try {
      const namespace = containedView(from, source, { volume: this.mountpoint(name), target });
      try {
        const enter = ["nsenter", "--mount=/proc/self/fd/3", "--"];
        const copy = [...COPY, "--remove-destination", "--", `${source}/.`, target];
        await run([...enter, ...copy], { descriptor: namespace });
      } finally {
        closeSync(namespace);
      }
    } finally {
      for (const path of [source, target, staging]) await rmdir(path);
    }
  }

  #stagingOf(name: string): string {
    return join(this.#root, name, "_copy");
  }

  #openSubpath(name: string, subpath: string): number {
    try {
      return withRoot(this.mountpoint(name), (volume) => volume.open(subpath, { links: "beneath" }));
    } catch (error) {
      if (hasCode(error, "EXDEV")) throw escapes(this.mountpoint(name), subpath, error);
      const path = join(this.mountpoint(name), subpath);
      throw new NotFoundError(`cannot access path ${path}: ${reasonOf(error)}`, {
        subject: name,
        cause: error,
      });
    }
  }
}

function escapes(base: string, subpath: string, cause: unknown): InvalidParameterError {
  return new InvalidParameterError(
    `path concatenation escapes the base directory, base: ${base}, subpath: ${subpath}`,
    { subject: subpath, cause },
  );
}

/** The image's directory, links resolved as the container would; undefined if there is none. */
function openDirectoryIn(rootfs: string, destination: string): number | undefined {
  return withRoot(rootfs, (root) => root.find(destination, { directory: true }));
}

/**
 * A mount namespace, as a descriptor: what the image has is at `source`, the volume or the part of it that was asked for
 * at `target`, and nothing but that can be written.
 */
function containedView(
  from: CopyUpSource,
  source: string,
  { volume, target }: { readonly volume: string; readonly target: string },
): number {
  ownThreadFs();
  return withNewNamespace("mnt", () => {
    // Nobody else is to see what is mounted here.
    mount({ source: "none", target: "/", flags: MS.REC | MS.PRIVATE });
    // Opened once more: only what is mounted in this namespace can be bound in it.
    bindOpened(from.rootfs, from.destination, "root", source);
    bindOpened(volume, from.subpath ?? ".", "beneath", target);
    const view = openSync(currentNamespacePath("mnt"), "r");
    allowWritesOnlyIn(target);
    return view;
  });
}

function bindOpened(root: string, path: string, links: "root" | "beneath", at: string): void {
  const fd = withRoot(root, (base) => base.open(path, { links, directory: true }));
  try {
    bindMount(pathOf(fd), at);
  } finally {
    closeSync(fd);
  }
}

const COPY = ["cp", "--archive", "--reflink=auto"];

/** `source` is a descriptor: the child gets it as its own, so no path is looked up twice. */
async function copyTree(source: number, target: string): Promise<void> {
  await run([...COPY, "--", "/proc/self/fd/3/.", target], { descriptor: source });
  await copyAttributes(pathOf(source), target);
}

async function copyAttributes(source: string, target: string): Promise<void> {
  const { uid, gid, mode, atime, mtime } = await stat(source);
  await chown(target, uid, gid);
  await chmod(target, mode & 0o7777);
  await utimes(target, atime, mtime);
}

async function makeDirectory(path: string, mode: number): Promise<void> {
  if ((await mkdir(path, { recursive: true })) !== undefined) await chmod(path, mode);
}

async function removeTree(path: string): Promise<void> {
  if (!existsSync(path)) return;
  // --one-file-system: if a mount is left in there, its content is not ours to delete.
  await run(["rm", "-rf", "--one-file-system", "--", path]);
}

/** For what is tried again at the next boot: one that cannot be removed must not stand in the way of the others. */
async function loggingFailure(message: string, subject: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    log("warn", message, { subject, error });
  }
}

async function readdirIfThere(path: string): Promise<string[]> {
  return await readdir(path).catch((error: unknown) => {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  });
}

function unmountAll(target: string): void {
  while (unmount(target, { lazy: true }));
}

async function isMountPoint(path: string): Promise<boolean> {
  const escaped = path.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
  const table = await readFile("/proc/self/mountinfo", "utf8");
  return table.includes(` ${escaped} `) && table.split("\n").some((line) => line.split(" ")[4] === escaped);
}

const FLAG_WORDS: Readonly<Record<string, number>> = {
  ro: MS.RDONLY,
  nosuid: MS.NOSUID,
  nodev: MS.NODEV,
  noexec: MS.NOEXEC,
  bind: MS.BIND,
  rbind: MS.BIND | MS.REC,
};

/** mount(8)'s `-o`: flags for the kernel, and the rest for the file system. */
function splitMountOptions(text: string): { flags: number; data: string } {
  let flags = 0;
  const data: string[] = [];
  for (const word of text.split(",").filter(Boolean)) {
    const flag = FLAG_WORDS[word];
    if (flag !== undefined) flags |= flag;
    else if (!["rw", "defaults", "suid", "dev", "exec"].includes(word)) data.push(word);
  }
  return { flags, data: data.join(",") };
}

/** Network and block file systems may block for long: mount(8) does it, without its helpers, as dockerd does. */
async function mountRemote(type: string, device: string, target: string, o: string): Promise<void> {
  const options = await Promise.all(
    o
      .split(",")
      .filter(Boolean)
      .map(async (word) => {
        const [, host] = /^addr=(.+)$/.exec(word) ?? [];
        return host !== undefined && isIP(host) === 0 ? `addr=${(await lookup(host)).address}` : word;
      }),
  );
  const argv = ["mount", "-i", "-t", type, ...(options.length > 0 ? ["-o", options.join(",")] : [])];
  try {
    await run([...argv, "--", device, target], { signal: AbortSignal.timeout(MOUNT_TIMEOUT_MS) });
  } catch (error) {
    // `mount: mount: /target: unknown filesystem type 'nfs'.`, and advice for people at a terminal.
    const [, reason] = /^(?:mount: )+\S+: (.*?)\.?$/m.exec(messageOf(error)) ?? [];
    throw new SystemError(reason ?? messageOf(error), { subject: device, cause: error });
  }
}

function ignoring(code: string): (error: unknown) => void {
  return (error) => {
    if (!hasCode(error, code)) throw error;
  };
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  ENODEV: "no such device",
  EINVAL: "invalid argument",
  EPERM: "operation not permitted",
  EACCES: "permission denied",
  ENOTDIR: "not a directory",
};

function reasonOf(error: unknown): string {
  return error instanceof LinuxError ? (REASONS[error.code] ?? error.code) : messageOf(error);
}

function failed(what: string, name: string, cause: unknown): SystemError {
  return new SystemError(`cannot ${what} volume ${name}: ${messageOf(cause)}`, { subject: name, cause });
}

/**
 * A container's mounts made ready at each start: volumes mounted, sources made, targets made in the root, in the order in
 * which they are mounted. /proc, /dev and the like are the spec builder's.
 */
import { mkdir, stat } from "node:fs/promises";
import { hasCode } from "../../../base/error-codes.ts";
import type { ContainerMount, ContainerRecord } from "../../../core/container.ts";
import { InvalidParameterError, messageOf, SystemError } from "../../../core/errors.ts";
import type { RootFiles } from "../../../core/rootfs.ts";
import type { RuntimeMount } from "../../../core/runtime-spec.ts";
import type { Snapshotter } from "../../../core/snapshots.ts";
import type { ContainerVolumes } from "../../../core/storage.ts";
import { mountImage } from "./image-mounts.ts";
import { cleanDestination, mergeTmpfsOptions } from "./mount-specs.ts";
import { checkPropagation } from "./propagation.ts";

/** A mount whose source is there. */
export interface PreparedMount extends RuntimeMount {
  /** What its target in the container must be. */
  readonly target: "directory" | "file";
}

/** Where the sources of mounts come from. */
export interface PreparedSources {
  readonly volumes: ContainerVolumes;
  readonly snapshots: Pick<Snapshotter, "mount">;
  readonly rootFiles: Pick<RootFiles, "resolve">;
}

/** Mounts that can be put in a runtime spec now. Disposing gives volumes up; do it when the process has ended. */
export interface PreparedMounts extends AsyncDisposable {
  readonly mounts: readonly PreparedMount[];
  /** The root must let mounts pass: a bind mount asked for `shared` or `slave`. */
  readonly rootfsPropagation: "shared" | "slave" | undefined;
}

/** @throws InvalidParameterError, NotFoundError or SystemError if a source cannot be mounted */
export async function prepareMounts(
  container: Pick<ContainerRecord, "id" | "mounts" | "hostConfig">,
  sources: PreparedSources,
): Promise<PreparedMounts> {
  await using undo = new AsyncDisposableStack();
  undo.defer(() => sources.volumes.unmount(container.id));
  const passing = await checkPropagation(container.mounts);
  const mounts: PreparedMount[] = [];
  for (const mount of passing.mounts) {
    if (mount.type !== "image") mounts.push(await prepareMount(container.id, mount, sources.volumes));
    else {
      const image = undo.use(await mountImage(container.id, mount, sources));
      mounts.push(await toBindMount(image.path, mount));
    }
  }
  for (const [destination, options] of Object.entries(container.hostConfig.Tmpfs ?? {})) {
    mounts.push(toTmpfsMount(cleanDestination(destination), options));
  }
  const release = undo.move();
  return {
    mounts,
    // crun 1.8.1 makes everything private in the end, unless the root is to be something else.
    rootfsPropagation: passing.rootfsPropagation ?? (mounts.some(isSharedTmpfs) ? "slave" : undefined),
    [Symbol.asyncDispose]: () => release.disposeAsync(),
  };
}

async function prepareMount(
  containerId: string,
  mount: ContainerMount,
  volumes: ContainerVolumes,
): Promise<PreparedMount> {
  const { destination } = mount;
  if (mount.type === "tmpfs") return toTmpfsMount(destination, tmpfsOptions(mount));
  if (mount.type === "volume" && mount.name !== undefined) {
    const { path } = await volumes.mount(containerId, mount.name, mount);
    return await toBindMount(path, mount);
  }
  if (mount.type === "bind") {
    if (mount.createMountpoint) await makeBindSource(mount.source);
    return await toBindMount(mount.source, mount);
  }
  throw new InvalidParameterError(
    `invalid mount config for type ${JSON.stringify(mount.type)}: mount type unknown`,
  );
}

/** For mounts that come from elsewhere: what their target must be. */
export async function withTarget(mount: RuntimeMount): Promise<PreparedMount> {
  const { type, source } = mount;
  const file = type === "bind" && source !== undefined && !(await isDirectory(source));
  return { ...mount, target: file ? "file" : "directory" };
}

async function toBindMount(source: string, mount: ContainerMount): Promise<PreparedMount> {
  const target = (await isDirectory(source)) ? "directory" : "file";
  return {
    destination: mount.destination,
    type: "bind",
    source,
    options: bindOptions(mount, target),
    target,
  };
}

/** @throws InvalidParameterError in dockerd's words */
async function isDirectory(source: string): Promise<boolean> {
  try {
    return (await stat(source)).isDirectory();
  } catch (error) {
    if (!hasCode(error, "ENOENT", "ENOTDIR")) throw error;
    throw new InvalidParameterError(
      `invalid mount config for type "bind": bind source path does not exist: ${source}`,
      { subject: source, cause: error },
    );
  }
}

function bindOptions(mount: ContainerMount, target: PreparedMount["target"]): string[] {
  const { nonRecursive, readOnlyNonRecursive, rw } = mount;
  const propagation = mount.propagation || "rprivate";
  // `rro` reaches the mounts below as well, as dockerd does since API 1.44; `ro` leaves those writable. Below a file
  // there are none, and crun 1.8.1 takes whatever a recursive flag is for as a directory.
  const readOnly = nonRecursive || readOnlyNonRecursive || target === "file" ? "ro" : "rro";
  return [
    nonRecursive ? "bind" : "rbind",
    ...(rw ? [] : [readOnly]),
    // Without mounts below, `private` says what `rprivate` does; crun 1.8.1 binds recursively for the latter.
    nonRecursive ? propagation.replace(/^r(?=private|slave|shared)/, "") : propagation,
  ];
}

function toTmpfsMount(destination: string, options: string): PreparedMount {
  const merged = mergeTmpfsOptions(options);
  return { destination, type: "tmpfs", source: "tmpfs", options: merged, target: "directory" };
}

function isSharedTmpfs({ type, options = [] }: RuntimeMount): boolean {
  return type === "tmpfs" && (options.includes("shared") || options.includes("rshared"));
}

function tmpfsOptions({ rw, tmpfs = {} }: ContainerMount): string {
  const { size, mode, options } = tmpfs;
  return [
    ...(rw ? [] : ["ro"]),
    ...(mode === undefined ? [] : [`mode=${mode.toString(8)}`]),
    ...(size === undefined ? [] : [`size=${size}`]),
    ...(options ? [options] : []),
  ].join(",");
}

/** `-v /missing:/in` makes a directory of root's, as it always did. A file in its place is fine. */
async function makeBindSource(source: string): Promise<void> {
  try {
    await mkdir(source, { recursive: true, mode: 0o755 });
  } catch (error) {
    if (hasCode(error, "EEXIST")) return;
    throw new SystemError(`error while creating mount source path '${source}': ${messageOf(error)}`, {
      subject: source,
      cause: error,
    });
  }
}

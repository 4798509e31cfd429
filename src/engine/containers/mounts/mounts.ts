/**
 * A container's mounts: resolved once at create (`resolveMounts`), filled once (`populateVolumes`), made ready at
 * each start (`prepareMounts`). The image's own file system is the snapshotter's, /proc, /dev and the like are the
 * spec builder's.
 *
 * Order of `resolveMounts` is dockerd's: what a later source says of a destination replaces what `--volumes-from`
 * said; the same destination twice among the others is an error; an image's volume yields to all of them.
 */
import { mkdir, readFile, realpath } from "node:fs/promises";
import type { ContainerConfig, HostConfig } from "../../../api/types.ts";
import type { ContainerMount, ContainerRecord } from "../../../core/container.ts";
import { InvalidParameterError, messageOf, NotFoundError, SystemError } from "../../../core/errors.ts";
import type { RuntimeMount } from "../../../core/runtime-spec.ts";
import type { ContainerVolumes } from "../../../core/storage.ts";
import {
  cleanDestination,
  type MountSpec,
  mergeTmpfsOptions,
  parseBind,
  parseMount,
  parseVolumesFrom,
} from "./mount-specs.ts";

export interface MountRequest {
  readonly containerId: string;
  /** Merged with the image's: its `Volumes` become anonymous ones. */
  readonly config: Pick<ContainerConfig, "Volumes">;
  readonly hostConfig: Pick<HostConfig, "Binds" | "Mounts" | "Tmpfs" | "VolumesFrom" | "VolumeDriver">;
}

export interface MountSources {
  readonly volumes: ContainerVolumes;
  /** For `--volumes-from`. @throws NotFoundError */
  getContainer(reference: string): Pick<ContainerRecord, "mounts">;
}

/**
 * Checks everything first, then acquires the volumes: on an error none is left referred to by this container
 * that `volumes.release(containerId)` would not give back. The caller releases when create fails later.
 * @throws InvalidParameterError, NotFoundError, ConflictError in dockerd's words
 */
export async function resolveMounts(request: MountRequest, sources: MountSources): Promise<ContainerMount[]> {
  const { config, hostConfig } = request;
  const inherited = (hostConfig.VolumesFrom ?? []).flatMap((spec) => inheritMounts(spec, sources));
  const asked = [
    ...(hostConfig.Binds ?? []).map((raw) => parseBind(raw, hostConfig.VolumeDriver ?? "")),
    ...(await Promise.all((hostConfig.Mounts ?? []).map((mount) => parseMount(mount)))),
  ];
  checkDuplicates(asked, Object.keys(checkTmpfs(hostConfig.Tmpfs ?? {})));

  const resolved = new Map<string, ContainerMount>();
  for (const mount of inherited) resolved.set(mount.destination, mount);
  for (const spec of asked)
    resolved.set(spec.destination, await acquire(request.containerId, spec, sources.volumes));
  for (const mount of inherited) {
    if (mount.type === "volume" && resolved.get(mount.destination) === mount) {
      await sources.volumes.acquire(request.containerId, { name: mount.name, driver: mount.driver });
    }
  }
  for (const path of Object.keys(config.Volumes ?? {})) {
    const destination = cleanDestination(path);
    if (resolved.has(destination) || isUnder(hostConfig.Tmpfs, destination)) continue;
    const driver = hostConfig.VolumeDriver || undefined;
    resolved.set(
      destination,
      await acquireAnonymous(request.containerId, destination, driver, sources.volumes),
    );
  }
  return [...resolved.values()];
}

/** Copies what the image has at a volume's place into the volume, if it is fresh. Once, at create. */
export async function populateVolumes(
  container: Pick<ContainerRecord, "id" | "mounts">,
  volumes: ContainerVolumes,
  rootfs: string,
): Promise<void> {
  for (const { name, destination } of volumesToPopulate(container.mounts)) {
    await volumes.copyUp(container.id, name, rootfs, destination);
  }
}

/** Volumes that want the image's content: create mounts the root file system only if there are any. */
export function volumesToPopulate(
  mounts: readonly ContainerMount[],
): { name: string; destination: string }[] {
  return mounts.flatMap(({ type, name, noCopy, subpath, destination }) =>
    type === "volume" && name !== undefined && !noCopy && subpath === undefined
      ? [{ name, destination }]
      : [],
  );
}

/** Names of the volumes that a container refers to: what boot recounts references from. */
export function volumeNamesOf(mounts: readonly ContainerMount[]): string[] {
  return mounts.flatMap(({ type, name }) => (type === "volume" && name !== undefined ? [name] : []));
}

/** Mounts that can be put in a runtime spec now. Disposing gives volumes up; do it when the process has ended. */
export interface PreparedMounts extends AsyncDisposable {
  /** Parents before what lies in them. */
  readonly mounts: readonly RuntimeMount[];
  /** The root must let mounts pass: a bind mount asked for `shared` or `slave`. */
  readonly rootfsPropagation: "shared" | "slave" | undefined;
}

/** @throws InvalidParameterError, NotFoundError or SystemError if a source cannot be mounted */
export async function prepareMounts(
  container: Pick<ContainerRecord, "id" | "mounts" | "hostConfig">,
  volumes: ContainerVolumes,
): Promise<PreparedMounts> {
  await using undo = new AsyncDisposableStack();
  undo.defer(() => volumes.unmount(container.id));
  const mounts: RuntimeMount[] = [];
  for (const mount of container.mounts) mounts.push(await prepareMount(container.id, mount, volumes));
  for (const [destination, options] of Object.entries(container.hostConfig.Tmpfs ?? {})) {
    mounts.push(toTmpfsMount(cleanDestination(destination), options));
  }
  const rootfsPropagation = await checkPropagation(container.mounts);
  const release = undo.move();
  return {
    mounts: mounts.sort((a, b) => depthOf(a.destination) - depthOf(b.destination)),
    rootfsPropagation,
    [Symbol.asyncDispose]: () => release.disposeAsync(),
  };
}

async function acquire(
  containerId: string,
  spec: MountSpec,
  volumes: ContainerVolumes,
): Promise<ContainerMount> {
  const { type, source, destination, rw, mode, propagation } = spec;
  if (type === "tmpfs")
    return { type, source: "", destination, mode, rw, propagation, tmpfs: spec.tmpfs ?? {} };
  if (type === "bind") {
    return {
      type,
      source,
      destination,
      mode,
      rw,
      propagation,
      nonRecursive: spec.nonRecursive,
      readOnlyNonRecursive: spec.readOnlyNonRecursive,
      createMountpoint: spec.createMountpoint,
    };
  }
  const volume = await volumes.acquire(containerId, {
    name: source || undefined,
    driver: spec.driver,
    driverOpts: spec.driverOpts,
    labels: spec.labels,
  });
  return {
    type,
    name: volume.name,
    source: volume.mountpoint,
    destination,
    driver: volume.driver,
    // What dockerd shows for a volume whose mode was left out.
    mode: mode || "z",
    rw,
    propagation,
    anonymous: source === "" || undefined,
    noCopy: spec.noCopy || undefined,
    subpath: spec.subpath,
  };
}

async function acquireAnonymous(
  containerId: string,
  destination: string,
  driver: string | undefined,
  volumes: ContainerVolumes,
): Promise<ContainerMount> {
  const volume = await volumes.acquire(containerId, { driver });
  return {
    type: "volume",
    name: volume.name,
    source: volume.mountpoint,
    destination,
    driver: volume.driver,
    mode: "",
    rw: true,
    propagation: "",
    anonymous: true,
  };
}

/** What another container has mounted; never copied up, since it was that container's image that decided. */
function inheritMounts(spec: string, sources: MountSources): ContainerMount[] {
  const { container, rw, mode } = parseVolumesFrom(spec);
  return donorOf(container, sources)
    .mounts.filter((mount) => mount.type !== "tmpfs")
    .map((mount) => ({
      ...mount,
      rw: mount.rw && rw,
      mode: mount.mode || (mode === "rw" ? "" : mode),
      noCopy: true,
    }));
}

/** Not being there is the request's fault: a 404 would tell the client that its image is missing. */
function donorOf(reference: string, sources: MountSources): Pick<ContainerRecord, "mounts"> {
  try {
    return sources.getContainer(reference);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    throw new InvalidParameterError(error.message, { subject: reference, cause: error });
  }
}

function checkTmpfs(tmpfs: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(tmpfs).map(([destination, options]) => {
      mergeTmpfsOptions(options);
      return [cleanDestination(destination), options];
    }),
  );
}

function checkDuplicates(specs: readonly MountSpec[], tmpfs: readonly string[]): void {
  const seen = new Set(tmpfs);
  for (const { destination } of specs) {
    if (seen.has(destination)) throw new InvalidParameterError(`Duplicate mount point: ${destination}`);
    seen.add(destination);
  }
}

function isUnder(tmpfs: HostConfig["Tmpfs"], destination: string): boolean {
  return Object.keys(tmpfs ?? {}).some((path) => cleanDestination(path) === destination);
}

async function prepareMount(
  containerId: string,
  mount: ContainerMount,
  volumes: ContainerVolumes,
): Promise<RuntimeMount> {
  const { destination } = mount;
  if (mount.type === "tmpfs") return toTmpfsMount(destination, tmpfsOptions(mount));
  if (mount.type === "volume" && mount.name !== undefined) {
    const { path } = await volumes.mount(containerId, mount.name, mount);
    return { destination, type: "bind", source: path, options: bindOptions(mount) };
  }
  if (mount.type === "bind") {
    if (mount.createMountpoint) await makeBindSource(mount.source);
    return { destination, type: "bind", source: mount.source, options: bindOptions(mount) };
  }
  throw new InvalidParameterError(
    `invalid mount config for type ${JSON.stringify(mount.type)}: mount type unknown`,
  );
}

function bindOptions({ nonRecursive, readOnlyNonRecursive, rw, propagation }: ContainerMount): string[] {
  // `rro` reaches the mounts below as well, as dockerd does since API 1.44; `ro` leaves those writable.
  const readOnly = nonRecursive || readOnlyNonRecursive ? "ro" : "rro";
  return [nonRecursive ? "bind" : "rbind", ...(rw ? [] : [readOnly]), propagation || "rprivate"];
}

function toTmpfsMount(destination: string, options: string): RuntimeMount {
  return { destination, type: "tmpfs", source: "tmpfs", options: mergeTmpfsOptions(options) };
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
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EEXIST") return;
    throw new SystemError(`error while creating mount source path '${source}': ${messageOf(error)}`, {
      subject: source,
      cause: error,
    });
  }
}

/**
 * A bind mount can only be shared with, or slave to, a mount of the host that is itself shared.
 * @throws InvalidParameterError in dockerd's words
 */
async function checkPropagation(
  mounts: readonly ContainerMount[],
): Promise<PreparedMounts["rootfsPropagation"]> {
  const passing = mounts.filter(
    ({ type, propagation }) => type === "bind" && /shared|slave/.test(propagation),
  );
  if (passing.length === 0) return undefined;
  const table = parseMountInfo(await readFile("/proc/self/mountinfo", "utf8"));
  for (const { source, propagation } of passing) {
    const real = await realpath(source);
    const { mountPoint, optional } = mountOf(real, table);
    const shared = optional.some((field) => field.startsWith("shared:"));
    const slave = optional.some((field) => field.startsWith("master:"));
    if (propagation.endsWith("shared") && !shared) {
      throw new InvalidParameterError(
        `path ${source} is mounted on ${mountPoint} but it is not a shared mount`,
      );
    }
    if (propagation.endsWith("slave") && !shared && !slave) {
      throw new InvalidParameterError(
        `path ${source} is mounted on ${mountPoint} but it is not a shared or slave mount`,
      );
    }
  }
  return passing.some(({ propagation }) => propagation.endsWith("shared")) ? "shared" : "slave";
}

interface MountInfo {
  readonly mountPoint: string;
  readonly optional: readonly string[];
}

/** @see proc_pid_mountinfo(5) */
function parseMountInfo(text: string): MountInfo[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => {
      const fields = line.split(" ");
      const mountPoint = (fields[4] ?? "").replace(/\\([0-7]{3})/g, (_, code: string) =>
        String.fromCharCode(Number.parseInt(code, 8)),
      );
      return { mountPoint, optional: fields.slice(6, fields.indexOf("-", 6)) };
    });
}

function mountOf(path: string, table: readonly MountInfo[]): MountInfo {
  const holds = ({ mountPoint }: MountInfo) =>
    mountPoint === "/" || path === mountPoint || path.startsWith(`${mountPoint}/`);
  // Later lines cover earlier ones at the same place.
  const found = table
    .filter(holds)
    .sort((a, b) => a.mountPoint.length - b.mountPoint.length)
    .at(-1);
  return found ?? { mountPoint: "/", optional: [] };
}

function depthOf(path: string): number {
  return path.split("/").length;
}

/**
 * A container's mounts, resolved once at create. They are filled once (`populate.ts`) and made ready at each start
 * (`prepare.ts`).
 *
 * Order of `resolveMounts` is dockerd's: what a later source says of a destination replaces what `--volumes-from`
 * said; the same destination twice among the others is an error; an image's volume yields to all of them.
 */
import type { ContainerConfig, HostConfig } from "../../../api/types.ts";
import type { ContainerMount, ContainerRecord } from "../../../core/container.ts";
import { InvalidParameterError, NotFoundError } from "../../../core/errors.ts";
import type { ContainerImages } from "../../../core/image.ts";
import type { Snapshotter } from "../../../core/snapshots.ts";
import type { ContainerVolumes } from "../../../core/storage.ts";
import { resolveImageMount } from "./image-mounts.ts";
import {
  cleanDestination,
  type MountSpec,
  mergeTmpfsOptions,
  parseBind,
  parseMount,
  parseVolumesFrom,
} from "./mount-specs.ts";
import { withDataRootPropagation } from "./propagation.ts";

export interface MountRequest {
  readonly containerId: string;
  /** Merged with the image's: its `Volumes` become anonymous ones. */
  readonly config: Pick<ContainerConfig, "Volumes">;
  readonly hostConfig: Pick<HostConfig, "Binds" | "Mounts" | "Tmpfs" | "VolumesFrom" | "VolumeDriver">;
  /** Read-only binds are so with the mounts below them: since API 1.44. */
  readonly recursiveReadOnly: boolean;
}

export interface MountSources {
  readonly volumes: ContainerVolumes;
  readonly dataRoot: string;
  readonly images: Pick<ContainerImages, "resolve">;
  readonly snapshots: Pick<Snapshotter, "describe">;
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
  const parsed = [
    ...(hostConfig.Binds ?? []).map((raw) => parseBind(raw, hostConfig.VolumeDriver ?? "")),
    ...(await Promise.all((hostConfig.Mounts ?? []).map((mount) => parseMount(mount)))),
  ];
  const asked = parsed.map((spec) => {
    const { recursiveReadOnly } = request;
    const old = spec.type === "bind" && !spec.rw && !recursiveReadOnly ? { readOnlyNonRecursive: true } : {};
    return { ...withDataRootPropagation(spec, sources.dataRoot), ...old };
  });
  checkDuplicates(asked, Object.keys(checkTmpfs(hostConfig.Tmpfs ?? {})));

  const resolved = new Map<string, ContainerMount>();
  for (const mount of inherited) resolved.set(mount.destination, mount);
  for (const spec of asked) resolved.set(spec.destination, await acquire(request.containerId, spec, sources));
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

async function acquire(containerId: string, spec: MountSpec, sources: MountSources): Promise<ContainerMount> {
  const { type, source, destination, rw, mode, propagation } = spec;
  if (type === "tmpfs")
    return { type, source: "", destination, mode, rw, propagation, tmpfs: spec.tmpfs ?? {} };
  if (type === "image") return resolveImageMount(containerId, spec, sources);
  if (type === "bind") {
    return {
      type,
      source,
      destination,
      mode,
      rw,
      propagation,
      propagationByDefault: spec.propagationByDefault,
      nonRecursive: spec.nonRecursive,
      readOnlyNonRecursive: spec.readOnlyNonRecursive,
      createMountpoint: spec.createMountpoint,
    };
  }
  const volume = await sources.volumes.acquire(containerId, {
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

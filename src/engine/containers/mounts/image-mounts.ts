/**
 * Images as mounts: each is a snapshot of the container's, over the image's layers, that nobody writes to. The container's
 * record says which layers those are, so they stay as long as it does, whatever becomes of the image's names.
 */
import { createHash } from "node:crypto";
import { posix } from "node:path";
import type { ContainerMount, ContainerRecord } from "../../../core/container.ts";
import { InvalidParameterError, NotFoundError } from "../../../core/errors.ts";
import type { Digest } from "../../../core/ids.ts";
import type { ContainerImages } from "../../../core/image.ts";
import type { RootFiles } from "../../../core/rootfs.ts";
import type { Snapshotter } from "../../../core/snapshots.ts";
import type { MountSpec } from "./mount-specs.ts";

type Mounted = Pick<ContainerRecord, "id" | "mounts">;
type ImageMount = ContainerMount & { readonly image: NonNullable<ContainerMount["image"]> };

/** @throws NotFoundError "No such image: …" */
export function resolveImageMount(
  containerId: string,
  spec: MountSpec,
  {
    images,
    snapshots,
  }: { images: Pick<ContainerImages, "resolve">; snapshots: Pick<Snapshotter, "describe"> },
): ContainerMount {
  const { id, layers } = images.resolve(spec.source);
  const { destination, subpath } = spec;
  return {
    type: "image",
    name: spec.source,
    source: snapshots.describe(snapshotKey(containerId, destination), layers).MergedDir,
    destination,
    mode: "",
    rw: false,
    propagation: "rprivate",
    image: { id, layers },
    ...(subpath !== undefined && { subpath }),
  };
}

/** Keeps the images from going, and makes what start will mount. What it makes goes with the container. */
export async function prepareImageMounts(
  { id, mounts }: Mounted,
  { images, snapshots }: { images: Pick<ContainerImages, "hold">; snapshots: Pick<Snapshotter, "prepare"> },
): Promise<Disposable> {
  using held = new DisposableStack();
  for (const { image, destination } of imageMountsOf(mounts)) {
    held.use(images.hold(image.id));
    await snapshots.prepare(snapshotKey(id, destination), image.layers);
  }
  return held.move();
}

/** Mounts it, and finds the part that was asked for. @throws NotFoundError, InvalidParameterError in dockerd's words */
export async function mountImage(
  containerId: string,
  mount: ContainerMount,
  { snapshots, rootFiles }: { snapshots: Pick<Snapshotter, "mount">; rootFiles: Pick<RootFiles, "resolve"> },
): Promise<AsyncDisposable & { readonly path: string }> {
  await using undo = new AsyncDisposableStack();
  const root = undo.use(await snapshots.mount(snapshotKey(containerId, mount.destination)));
  const path = mount.subpath === undefined ? root.path : await pathIn(root.path, mount.subpath, rootFiles);
  const owned = undo.move();
  return { path, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Nobody writes to an image that is mounted, so what was found stays what it is. */
async function pathIn(root: string, subpath: string, files: Pick<RootFiles, "resolve">): Promise<string> {
  const found = await files.resolve(root, subpath);
  if (found === "outside") {
    throw new InvalidParameterError(
      `path concatenation escapes the base directory, base: ${root}, subpath: ${subpath}`,
    );
  }
  if (found === undefined) {
    throw new NotFoundError(`cannot access path ${posix.join(root, subpath)}: no such file or directory`);
  }
  return posix.join(root, found.path);
}

/** Those of a running container after a restart of the daemon: mounted still. */
export async function adoptImageMounts(
  { id, mounts }: Mounted,
  snapshots: Pick<Snapshotter, "mount">,
): Promise<AsyncDisposableStack> {
  await using held = new AsyncDisposableStack();
  for (const { destination } of imageMountsOf(mounts)) {
    held.use(await snapshots.mount(snapshotKey(id, destination)));
  }
  return held.move();
}

/** What belongs to the container besides its own snapshot. */
export function imageSnapshotsOf({ id, mounts }: Mounted): string[] {
  return imageMountsOf(mounts).map(({ destination }) => snapshotKey(id, destination));
}

export function imageLayersOf(mounts: readonly ContainerMount[]): Digest[] {
  return imageMountsOf(mounts).flatMap(({ image }) => image.layers);
}

export function mountedImagesOf(mounts: readonly ContainerMount[]): Digest[] {
  return imageMountsOf(mounts).map(({ image }) => image.id);
}

function imageMountsOf(mounts: readonly ContainerMount[]): ImageMount[] {
  return mounts.filter((mount): mount is ImageMount => mount.image !== undefined);
}

function snapshotKey(containerId: string, destination: string): string {
  return `${containerId}.${createHash("sha256").update(destination).digest("hex").slice(0, 12)}`;
}

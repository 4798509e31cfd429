/** What volumes begin with, and which of them a container refers to. */
import type { ContainerMount, ContainerRecord } from "../../../core/container.ts";
import type { ContainerVolumes } from "../../../core/storage.ts";

/** Copies what the image has at a volume's place into the volume, if it is fresh. Once, at create. */
export async function populateVolumes(
  container: Pick<ContainerRecord, "id" | "mounts">,
  volumes: ContainerVolumes,
  rootfs: string,
): Promise<void> {
  for (const { name, destination, subpath } of volumesToPopulate(container.mounts)) {
    await volumes.copyUp(container.id, name, { rootfs, destination, subpath });
  }
}

/** Volumes that want the image's content: create mounts the root file system only if there are any. */
export function volumesToPopulate(
  mounts: readonly ContainerMount[],
): { name: string; destination: string; subpath: string | undefined }[] {
  return mounts.flatMap(({ type, name, noCopy, subpath, destination }) =>
    type === "volume" && name !== undefined && !noCopy ? [{ name, destination, subpath }] : [],
  );
}

/** Names of the volumes that a container refers to: what boot recounts references from. */
export function volumeNamesOf(mounts: readonly ContainerMount[]): string[] {
  return mounts.flatMap(({ type, name }) => (type === "volume" && name !== undefined ? [name] : []));
}

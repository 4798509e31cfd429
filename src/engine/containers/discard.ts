/**
 * The end of a container that does not run: its file system, files, logs and volume references go, then its record
 * and name. The state `removing` is durable before the first thing is deleted, so boot can go on where this stopped;
 * every step can be repeated.
 */
import { rmSync } from "node:fs";
import type { ContainerRecord } from "../../core/container.ts";
import { messageOf, SystemError } from "../../core/errors.ts";
import type { Needs } from "./deps.ts";
import { publish } from "./events.ts";
import { imageSnapshotsOf, mountedImagesOf } from "./mounts/image-mounts.ts";
import { containerDirectory } from "./state/paths.ts";

type DiscardDeps = Needs<
  "events" | "execs" | "images" | "logs" | "paths" | "running" | "snapshots" | "store" | "volumes"
>;

/**
 * The container's lock is held, and nothing of it runs.
 * @throws SystemError naming what could not be deleted; the container is `dead` then, and can be removed again
 */
export async function discardContainer(
  deps: DiscardDeps,
  container: ContainerRecord,
  { removeVolumes }: { removeVolumes: boolean },
): Promise<void> {
  const { id } = container;
  if (container.state.status !== "removing") {
    deps.store.update(id, ({ state }) => ({
      removeVolumes,
      starting: false,
      state: { ...state, status: "removing" },
    }));
  }
  try {
    await Promise.all([
      ...[id, ...imageSnapshotsOf(container)].map((key) => deps.snapshots.remove(key)),
      deps.logs.remove(id),
      deps.volumes.release(id, { removeAnonymous: removeVolumes }),
    ]);
    rmSync(containerDirectory(deps.paths, id), { recursive: true, force: true });
  } catch (error) {
    const failed = deps.store.update(id, ({ state }) => ({ state: { ...state, status: "dead" } }));
    deps.running.notifyRemoval(id, { exitCode: failed.state.exitCode, error: messageOf(error) });
    throw new SystemError(`unable to remove filesystem for ${id}: ${messageOf(error)}`, {
      subject: id,
      cause: error,
    });
  }
  deps.store.delete(id);
  deps.execs.deleteOf(id);
  publish(deps.events, container, "destroy");
  deps.running.notifyRemoval(id, { exitCode: container.state.exitCode, error: "" });
  const images = new Set([container.imageId, ...mountedImagesOf(container.mounts)]);
  for (const image of images) await deps.images.released(image);
}

/** `docker rm` and `docker container prune`. */
import { log } from "../../base/log.ts";
import { type ContainerRecord, isRunning } from "../../core/container.ts";
import { ConflictError, messageOf, SystemError } from "../../core/errors.ts";
import type { ContainerDeps } from "./deps.ts";
import { discardContainer } from "./discard.ts";
import { measureContainer } from "./queries/inspect.ts";
import { ownContainer, ownContainerToEnd } from "./state/owner.ts";
import { forceStop } from "./stop.ts";

export interface RemoveOptions {
  readonly force: boolean;
  /** Anonymous volumes too. */
  readonly volumes: boolean;
  /** Not the container: the link that the reference names. */
  readonly link: boolean;
}

/** @throws ConflictError when it runs, or is being removed by somebody else already */
export async function removeContainer(
  deps: ContainerDeps,
  reference: string,
  options: RemoveOptions,
): Promise<void> {
  if (options.link) return await removeLink(deps, reference);
  const { id, state } = deps.store.get(reference);
  if (state.status === "removing") throw alreadyRemoving(id);
  if (options.force) {
    await forceStop(deps, id).catch((error) => {
      throw new SystemError(`cannot remove container "${reference}": could not kill: ${messageOf(error)}`, {
        subject: id,
        cause: error,
      });
    });
  }
  using _owner = await ownToRemove(deps, id, options);
  const container = deps.store.byId(id);
  // A `--rm` container is gone with its process: what was asked for is the case.
  if (!container) return;
  checkRemovable(container);
  await discardContainer(deps, container, { removeVolumes: options.volumes });
}

/**
 * `rm --link parent/alias`: the name goes, both containers stay.
 * @throws ConflictError for a container's own name
 * @see moby daemon/delete.go rmLink
 */
async function removeLink(deps: ContainerDeps, reference: string): Promise<void> {
  const target = deps.store.get(reference);
  const [parentName = "", alias] = reference.replace(/^\//, "").split("/");
  const parent = deps.store.byName(parentName);
  if (!parent || alias === undefined || target.id === parent.id)
    throw new ConflictError("Conflict, cannot remove the default link name of the container", {
      subject: reference,
    });
  using _owner = await ownContainer(deps, parent.id);
  const unlinked = deps.store.update(parent.id, ({ links = [] }) => ({
    links: links.filter((link) => link.alias !== alias),
  }));
  await deps.sandboxes.unlinked(unlinked);
}

/** @throws ConflictError when the owner is deleting it, which may take long; UnavailableError when it does something else */
async function ownToRemove(
  deps: ContainerDeps,
  id: string,
  { force }: Pick<RemoveOptions, "force">,
): Promise<Disposable> {
  try {
    return await (force ? ownContainerToEnd(deps, id) : ownContainer(deps, id));
  } catch (error) {
    throw deps.store.byId(id)?.state.status === "removing" ? alreadyRemoving(id) : error;
  }
}

function checkRemovable(container: ContainerRecord): void {
  const { id, name, state } = container;
  if (state.status === "removing") throw alreadyRemoving(id);
  if (!isRunning(container)) return;
  const advice =
    state.status === "paused"
      ? "and must be unpaused first"
      : ": stop the container before removing or force remove";
  throw new ConflictError(
    `cannot remove container "/${name}": container is ${state.status}${state.status === "paused" ? " " : ""}${advice}`,
    { subject: id },
  );
}

function alreadyRemoving(id: string): ConflictError {
  return new ConflictError(`removal of container ${id} is already in progress`, { subject: id });
}

export interface Pruned {
  readonly ids: readonly string[];
  /** Bytes. */
  readonly reclaimed: number;
}

/** Removes what does not run and matches. What cannot be removed is left for the next time. */
export async function pruneContainers(
  deps: ContainerDeps,
  matches: (container: ContainerRecord) => boolean,
  signal: AbortSignal,
): Promise<Pruned> {
  const ids: string[] = [];
  let reclaimed = 0;
  for (const { id } of deps.store.list().filter((container) => !isRunning(container) && matches(container))) {
    if (signal.aborted) break;
    try {
      const freed = await pruneContainer(deps, id, signal);
      if (freed === undefined) continue;
      ids.push(id);
      reclaimed += freed;
    } catch (error) {
      log("warn", "a container could not be pruned", { container: id, error });
    }
  }
  deps.events.publish({
    type: "container",
    action: "prune",
    actor: { id: "", attributes: { reclaimed: String(reclaimed) } },
  });
  return { ids, reclaimed };
}

/** Bytes that are free now; undefined if it is none to remove, or not any more. */
async function pruneContainer(
  deps: ContainerDeps,
  id: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  using _owner = await ownContainer(deps, id);
  const container = deps.store.byId(id);
  if (!container || isRunning(container) || container.state.status === "removing") return undefined;
  const { rw } = await measureContainer(deps, container, signal);
  await discardContainer(deps, container, { removeVolumes: false });
  return rw;
}

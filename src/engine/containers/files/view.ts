/**
 * Where a container's files are seen: of one that runs as its processes see them, of others its root with what would be
 * mounted in it. What is mounted for a view is held under a name of its own, so that a start meanwhile is not disturbed.
 */
import { existsSync } from "node:fs";
import { type ContainerMount, type ContainerRecord, isRunning } from "../../../core/container.ts";
import type { FilesView, ViewMount } from "../../../core/container-files.ts";
import { randomId } from "../../../core/ids.ts";
import type { ContainerDeps } from "../deps.ts";
import { mountImage } from "../mounts/image-mounts.ts";
import { byDepth } from "../mounts/targets.ts";
import { identityFiles } from "../state/paths.ts";

export type ViewDeps = Pick<ContainerDeps, "snapshots" | "volumes" | "paths" | "rootFiles">;

export interface OpenView extends AsyncDisposable {
  readonly view: FilesView;
}

/** With its volumes and binds. @throws EngineError if one of them cannot be mounted */
export async function openView(deps: ViewDeps, container: ContainerRecord): Promise<OpenView> {
  const { pid, pidStartTime: startTime } = container.state;
  if (isRunning(container) && pid > 0) {
    return { view: { kind: "running", pid, startTime }, async [Symbol.asyncDispose]() {} };
  }
  await using undo = new AsyncDisposableStack();
  const root = undo.use(await deps.snapshots.mount(container.id));
  const holder = `${container.id}.${randomId<string>().slice(0, 12)}`;
  undo.defer(() => deps.volumes.unmount(holder));
  const mounts: ViewMount[] = identityMounts(deps, container);
  for (const mount of container.mounts) {
    const image = mount.image && undo.use(await mountImage(container.id, mount, deps));
    const source = image?.path ?? (await sourceOf(deps, mount, holder));
    if (source !== undefined) mounts.push(toViewMount(mount, source));
  }
  const owned = undo.move();
  return {
    view: { kind: "stopped", rootfs: root.path, mounts: byDepth(mounts) },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Its own file system alone. */
export async function openRootView(deps: ViewDeps, container: ContainerRecord): Promise<OpenView> {
  const root = await deps.snapshots.mount(container.id);
  return {
    view: { kind: "stopped", rootfs: root.path, mounts: [] },
    [Symbol.asyncDispose]: () => root[Symbol.asyncDispose](),
  };
}

/** Undefined for what is not there while it does not run: a tmpfs, a directory of the host that is gone. */
async function sourceOf(deps: ViewDeps, mount: ContainerMount, holder: string): Promise<string | undefined> {
  if (mount.type === "volume" && mount.name !== undefined) {
    return (await deps.volumes.mount(holder, mount.name, mount)).path;
  }
  return mount.type === "bind" && existsSync(mount.source) ? mount.source : undefined;
}

function toViewMount(mount: ContainerMount, source: string): ViewMount {
  const { destination, rw, nonRecursive } = mount;
  return { source, destination, readOnly: !rw, recursive: !nonRecursive };
}

function identityMounts({ paths }: ViewDeps, { id, mounts }: ContainerRecord): ViewMount[] {
  const { hostname, hosts, resolvConf } = identityFiles(paths, id);
  const files = { "/etc/hostname": hostname, "/etc/hosts": hosts, "/etc/resolv.conf": resolvConf };
  return Object.entries(files)
    .filter(([at, source]) => existsSync(source) && !mounts.some(({ destination }) => destination === at))
    .map(([destination, source]) => ({ source, destination, readOnly: false, recursive: false }));
}

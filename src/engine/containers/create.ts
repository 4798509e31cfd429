/**
 * How a container comes to be: check the request, resolve its image, take its name, prepare its file system, and
 * write its record. The record is the last step: a create that is cut short leaves a snapshot, a directory and
 * volume references without an owner, which boot sweeps away; it is never listed.
 */
import { mkdirSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { posix } from "node:path";
import type { ContainerConfig, HostConfig } from "../../api/types.ts";
import { nowNano, toRfc3339 } from "../../base/times.ts";
import { type ContainerMount, type ContainerRecord, ZERO_TIME } from "../../core/container.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import { type ContainerId, randomId, shortId } from "../../core/ids.ts";
import type { ResolvedImage } from "../../core/image.ts";
import { BUILT_IN_RUNTIMES } from "../../core/runtime.ts";
import type { Needs } from "./deps.ts";
import { publish } from "./events.ts";
import { imageSnapshotsOf, prepareImageMounts } from "./mounts/image-mounts.ts";
import { populateVolumes, volumesToPopulate } from "./mounts/populate.ts";
import { resolveMounts } from "./mounts/resolve.ts";
import { checkConfig, checkConflicts, checkHostConfig } from "./request/checks.ts";
import { withHostDefaults } from "./request/host-defaults.ts";
import { withImageDefaults } from "./request/image-defaults.ts";
import { parseContainerName, randomContainerName } from "./request/names.ts";
import { parsePortSpec } from "./request/ports.ts";
import { type EndpointsRequest, requestedEndpoints } from "./request/requested-endpoints.ts";
import { containerDirectory } from "./state/paths.ts";

type CreateDeps = Needs<
  | "defaults"
  | "events"
  | "host"
  | "images"
  | "logs"
  | "paths"
  | "runtime"
  | "sandboxes"
  | "snapshots"
  | "store"
  | "volumes"
>;

export interface CreateRequest {
  readonly name: string | undefined;
  /** `linux/amd64`, or undefined for the host's. */
  readonly platform: string | undefined;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  /** Keyed by network name or id. */
  readonly endpoints: EndpointsRequest["endpoints"];
  /** Since API 1.44: endpoints have MAC addresses of their own. */
  readonly endpointMacs: boolean;
  /** Since API 1.44: read-only binds are so with the mounts below them. */
  readonly recursiveReadOnly: boolean;
}

export interface Created {
  readonly id: ContainerId;
  readonly warnings: readonly string[];
}

/**
 * @throws InvalidParameterError for a request that cannot be met; NotFoundError "No such image: …";
 *   ConflictError when the name is taken
 */
export async function createContainer(deps: CreateDeps, request: CreateRequest): Promise<Created> {
  const id = randomId<ContainerId>();
  checkConfig(request.config);
  checkConflicts(request.config, request.hostConfig);
  const warnings = checkHostConfig(request.hostConfig, {
    host: deps.host,
    runtimes: new Set([...BUILT_IN_RUNTIMES, ...Object.keys(deps.defaults.runtimes)]),
    defaultRuntime: deps.defaults.runtime,
  });
  const image = resolveImage(deps, request, warnings);
  using _image = image && deps.images.hold(image.id);
  deps.runtime.expectStart();
  const network = request.config.NetworkDisabled ? { NetworkMode: "none" } : {};
  const hostConfig = withHostDefaults(
    { ...request.hostConfig, ...network },
    {
      ...deps,
      findContainer: (reference) => deps.store.find(reference)?.id,
    },
  );
  const config = completeConfig(
    deps,
    withImageDefaults(request.config, image?.config.config),
    hostConfig,
    id,
  );
  deps.logs.check(hostConfig.LogConfig?.Type ?? "", hostConfig.LogConfig?.Config ?? {});
  checkJoined(deps, hostConfig);
  const requested = requestedEndpoints({
    networkMode: hostConfig.NetworkMode ?? "bridge",
    endpoints: request.endpoints,
    containerMac: request.config.MacAddress ?? undefined,
    endpointMacs: request.endpointMacs,
  });
  warnings.push(...requested.warnings);
  const endpoints = deps.sandboxes.plan(hostConfig, requested.endpoints);
  const links = deps.sandboxes.links(hostConfig);

  const name = request.name
    ? parseContainerName(request.name)
    : randomContainerName((candidate) => deps.store.isNameTaken(candidate));
  using _name = deps.store.reserveName(name, id);

  await using undo = new AsyncDisposableStack();
  const layers = image?.layers ?? [];
  // Before it is made: what a full disk cuts short goes as well. The id is new, so nobody else's is meant.
  undo.defer(() => deps.snapshots.remove(id));
  await deps.snapshots.prepare(id, layers, { mountPoints: true });
  mkdirSync(containerDirectory(deps.paths, id), { recursive: true, mode: 0o710 });
  undo.defer(() => rmSync(containerDirectory(deps.paths, id), { recursive: true, force: true }));
  undo.defer(() => deps.volumes.release(id, { removeAnonymous: true }));
  const mounts = await resolveMounts(
    { containerId: id, config, hostConfig, recursiveReadOnly: request.recursiveReadOnly },
    {
      volumes: deps.volumes,
      dataRoot: deps.paths.dataRoot,
      images: deps.images,
      snapshots: deps.snapshots,
      getContainer: (reference) => deps.store.get(reference),
    },
  );
  for (const key of imageSnapshotsOf({ id, mounts })) undo.defer(() => deps.snapshots.remove(key));
  using _mountedImages = await prepareImageMounts({ id, mounts }, deps);
  await fillVolumes(deps, id, mounts);

  const [path = "", ...args] = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  const container = deps.store.insert({
    id,
    name,
    created: toRfc3339(nowNano()),
    path,
    args,
    image: config.Image ?? "",
    imageId: image?.id ?? ("" as ContainerRecord["imageId"]),
    imageManifest: image?.manifest,
    platform: image?.config.os ?? "linux",
    layers,
    config,
    // Links are known by whom they lead to from now on: inspect writes them out with the names of the day.
    hostConfig: links.length > 0 ? { ...hostConfig, Links: undefined } : hostConfig,
    ...(links.length > 0 && { links }),
    mounts,
    networks: endpoints,
    requestedNetworks: endpoints,
    state: {
      status: "created",
      pid: 0,
      pidStartTime: 0,
      exitCode: 0,
      error: "",
      oomKilled: false,
      startedAt: ZERO_TIME,
      finishedAt: ZERO_TIME,
    },
    restartCount: 0,
    manuallyStopped: false,
    starting: false,
  });
  undo.move();
  publish(deps.events, container, "create");
  return { id, warnings };
}

/** Fresh volumes begin with what the image has in their place. */
async function fillVolumes(
  deps: Needs<"snapshots" | "volumes">,
  id: ContainerId,
  mounts: readonly ContainerMount[],
): Promise<void> {
  if (volumesToPopulate(mounts).length === 0) return;
  await using root = await deps.snapshots.mount(id);
  await populateVolumes({ id, mounts }, deps.volumes, root.path);
}

function resolveImage(
  deps: Needs<"images">,
  request: CreateRequest,
  warnings: string[],
): ResolvedImage | undefined {
  const reference = request.config.Image;
  if (!reference) return undefined;
  const image = deps.images.resolve(reference, request.platform);
  const { os, architecture } = image.config;
  const hostArchitecture = process.arch === "x64" ? "amd64" : process.arch;
  if (request.platform === undefined && (os !== "linux" || architecture !== hostArchitecture)) {
    warnings.push(
      `The requested image's platform (${os}/${architecture}) does not match the detected host platform ` +
        `(linux/${hostArchitecture}) and no specific platform was requested`,
    );
  }
  return image;
}

/** The parts of the configuration that depend on the id and on both halves of the request. */
function completeConfig(
  deps: Needs<"store">,
  config: ContainerConfig,
  hostConfig: HostConfig,
  id: ContainerId,
): ContainerConfig {
  const published = Object.keys(hostConfig.PortBindings ?? {});
  const exposed = [...Object.keys(config.ExposedPorts ?? {}), ...published].map((port) => {
    const { port: number, protocol } = parsePortSpec(port);
    return [`${number}/${protocol}`, {}] as const;
  });
  return {
    ...config,
    WorkingDir: config.WorkingDir && cleanPath(config.WorkingDir),
    // It is the main endpoint's from now on.
    MacAddress: undefined,
    Hostname: config.Hostname || hostnameOf(deps, hostConfig) || shortId(id),
    ExposedPorts: exposed.length > 0 ? Object.fromEntries(exposed) : undefined,
  };
}

/** The name that comes with a namespace which is not the container's own. */
function hostnameOf(deps: Needs<"store">, { NetworkMode = "", UTSMode }: HostConfig): string | undefined {
  if (NetworkMode === "host" || UTSMode === "host") return hostname();
  if (!NetworkMode.startsWith("container:")) return undefined;
  return deps.store.find(NetworkMode.slice("container:".length))?.config.Hostname;
}

/** @throws InvalidParameterError: a 404 would tell the client that its image is missing */
function checkJoined(deps: Needs<"store">, { PidMode, IpcMode }: HostConfig): void {
  for (const mode of [PidMode ?? "", IpcMode ?? ""]) {
    if (!mode.startsWith("container:")) continue;
    const reference = mode.slice("container:".length);
    if (!deps.store.find(reference))
      throw new InvalidParameterError(`No such container: ${reference}`, { subject: reference });
  }
}

/** Go's path.Clean: without a slash at the end, unlike Node's. */
function cleanPath(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
}

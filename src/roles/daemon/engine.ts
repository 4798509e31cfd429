/**
 * Puts an engine together: drivers are constructed here and handed to the use cases, the use cases to the handlers.
 * Nothing in here decides anything; what belongs to what can be read off from top to bottom.
 */

import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { KeyedLock } from "../../base/keyed-lock.ts";
import { log, setLogLevel } from "../../base/log.ts";
import { BUILD_TIME, COMMIT, VERSION } from "../../base/version.ts";
import type { BuildService } from "../../builder/build.ts";
import { changeConfig } from "../../builder/dockerfile/changes.ts";
import type { Builder } from "../../builder/index.ts";
import type { BuildkitProtocol } from "../../builder/protocol/index.ts";
import type { EngineConfig } from "../../core/config.ts";
import { isRunning } from "../../core/container.ts";
import { messageOf } from "../../core/errors.ts";
import type { Digest } from "../../core/ids.ts";
import type { Plugins } from "../../core/plugins.ts";
import type { Registry } from "../../core/registry.ts";
import type { StateStore } from "../../core/state.ts";
import { HelperContainerFiles } from "../../drivers/container-files/index.ts";
import { FileContentStore } from "../../drivers/content-fs/index.ts";
import { embeddedNameServer } from "../../drivers/dns/embedded.ts";
import { readContainerHost, readSeccompProfile } from "../../drivers/host/index.ts";
import { HelperArchiveReader } from "../../drivers/image-archives/index.ts";
import { SpooledLogs } from "../../drivers/logs/index.ts";
import { openBridgeDriver } from "../../drivers/network-bridge/bridge-driver.ts";
import { HostPorts } from "../../drivers/network-bridge/port-publisher.ts";
import { unaddressedDriver } from "../../drivers/network-host/unaddressed.ts";
import { ParentedDriver } from "../../drivers/network-macvlan/driver.ts";
import { openHostNetwork } from "../../drivers/network-namespaces/host-network.ts";
import { openNetworkNamespaces } from "../../drivers/network-namespaces/namespaces.ts";
import { HttpPlugins } from "../../drivers/plugin-http/index.ts";
import { KernelRootFiles } from "../../drivers/rootfs/index.ts";
import { engineCgroup, OciRuntime } from "../../drivers/runtime-oci/index.ts";
import { HelperCompressor } from "../../drivers/snapshot-overlay/diff/compressor.ts";
import { OverlaySnapshotter } from "../../drivers/snapshot-overlay/index.ts";
import { HelperUnpacker } from "../../drivers/snapshot-overlay/unpack/index.ts";
import { openSqliteStateStore } from "../../drivers/state-sqlite/store.ts";
import { LocalVolumeDriver } from "../../drivers/volumes-local/driver.ts";
import { Containers } from "../../engine/containers/containers.ts";
import type { ContainerDeps } from "../../engine/containers/deps.ts";
import { mountedImagesOf } from "../../engine/containers/mounts/image-mounts.ts";
import { SpecBuilder } from "../../engine/containers/oci-spec/index.ts";
import { endpointOwners } from "../../engine/containers/state/endpoint-owners.ts";
import { RunningContainers } from "../../engine/containers/state/running.ts";
import { ContainerStore } from "../../engine/containers/state/store.ts";
import { EventBus } from "../../engine/events/bus.ts";
import { Execs } from "../../engine/exec/execs.ts";
import { ExecStore } from "../../engine/exec/store.ts";
import { Images } from "../../engine/images/index.ts";
import { type Networks, openNetworks } from "../../engine/networks/networks.ts";
import { describeHost } from "../../engine/system/host.ts";
import type { SystemDeps } from "../../engine/system/info.ts";
import { Volumes } from "../../engine/volumes/volumes.ts";
import { RegistryClient } from "../../registry/client/client.ts";
import type { Handlers } from "../../server/call.ts";
import { archiveHandlers } from "../../server/handlers/archive.ts";
import { authHandlers } from "../../server/handlers/auth.ts";
import { buildHandlers } from "../../server/handlers/build.ts";
import { buildCacheHandlers } from "../../server/handlers/build-cache.ts";
import { buildkitHandlers } from "../../server/handlers/buildkit.ts";
import { containerHandlers } from "../../server/handlers/containers.ts";
import { eventHandlers } from "../../server/handlers/events.ts";
import { execHandlers } from "../../server/handlers/exec.ts";
import { imageHandlers } from "../../server/handlers/images.ts";
import { networkHandlers } from "../../server/handlers/networks.ts";
import { pingHandlers } from "../../server/handlers/ping.ts";
import { pluginHandlers } from "../../server/handlers/plugins.ts";
import { swarmHandlers } from "../../server/handlers/swarm.ts";
import { systemHandlers } from "../../server/handlers/system.ts";
import { usageHandlers } from "../../server/handlers/usage.ts";
import { volumeHandlers } from "../../server/handlers/volumes.ts";
import type { Identity, ScopedObjects } from "../../server/index.ts";
import { openBuilder } from "./builder.ts";
import { reloadAttributes, reloaded, shown } from "./reload.ts";

export const identity: Identity = {
  version: VERSION,
  gitCommit: COMMIT,
  buildTime: BUILD_TIME,
  experimental: false,
  builderVersion: "2",
  swarm: "inactive",
};

export interface Engine extends AsyncDisposable {
  readonly plugins: Plugins;
  readonly scopedObjects: ScopedObjects;
  readonly handlers: Handlers;
  /** Makes records and kernel agree after whatever happened before. Call once, before the first request. */
  boot(): Promise<void>;
  /** Takes over what can change while running; what cannot is left as it is. */
  reload(configure: () => EngineConfig): void;
  /** As it is now: reloading changes it. */
  config(): EngineConfig;
}

/** @throws EngineError if the host lacks something that every engine needs */
export async function openEngine(initial: EngineConfig): Promise<Engine> {
  await using undo = new AsyncDisposableStack();
  const { paths } = initial;
  let config = initial;

  const state = undo.use(openSqliteStateStore(join(paths.dataRoot, "gantry.db")));
  const engineId = getEngineId(state);
  const events = new EventBus();
  const host = describeHost();
  const snapshots = undo.use(OverlaySnapshotter.open(paths));

  // Records and locks of containers come first: images and networks ask who uses them.
  const store = new ContainerStore(state);
  const locks = new KeyedLock();

  const content = FileContentStore.open(paths);
  const registry = new RegistryClient({
    // Read at each request: these are reloaded.
    get insecureRegistries() {
      return config.registry.insecureRegistries;
    },
    get mirrors() {
      return config.registry.mirrors;
    },
    get maxAttempts() {
      return config.registry.maxAttempts;
    },
    proxies: config.registry.proxies,
  });
  const images = new Images({
    state,
    content,
    snapshots,
    unpacker: new HelperUnpacker(),
    registry,
    events,
    usersOf: (imageId) => usersOf(store, imageId),
    maxConcurrentDownloads: config.maxConcurrentDownloads,
    maxConcurrentUploads: config.maxConcurrentUploads,
    archives: new HelperArchiveReader(),
    compressor: new HelperCompressor(),
    changeConfig,
  });

  const volumes = new Volumes({
    state,
    events,
    drivers: [
      new LocalVolumeDriver({
        volumes: join(paths.dataRoot, "volumes"),
        subpaths: join(paths.execRoot, "subpaths"),
      }),
    ],
  });

  const bridge = undo.use(await openBridgeDriver({ paths, ...config.network }));
  const networks = openNetworks({
    config,
    state,
    owners: endpointOwners(store, paths, locks),
    events,
    drivers: [
      bridge,
      undo.use(new ParentedDriver("macvlan", paths.instance)),
      undo.use(new ParentedDriver("ipvlan", paths.instance)),
      unaddressedDriver("host"),
      unaddressedDriver("null"),
    ],
    namespaces: undo.use(openNetworkNamespaces(paths.execRoot)),
    publisher: undo.use(new HostPorts(bridge.firewall, paths.execRoot)),
    nameServer: embeddedNameServer,
    host: openHostNetwork(),
  });

  const runtime = undo.use(new OciRuntime({ paths, configuration: () => config.containers }));
  const containerHost = readContainerHost({ initPath: config.containers.initPath });
  const rootFiles = new KernelRootFiles();
  const specs = new SpecBuilder({
    host: containerHost,
    files: rootFiles,
    defaults: config.containers,
    seccompProfile: readSeccompProfile(config.containers.seccompProfile),
    cgroupParent: engineCgroup(paths.instance),
    sharedMemoryPath: (id) => runtime.sharedMemoryPath(id),
  });
  const logs = undo.use(new SpooledLogs(paths));
  const running = new RunningContainers();
  const execStore = new ExecStore(state);
  const execs = new Execs({
    execs: execStore,
    store,
    running,
    runtime,
    snapshots,
    toExecProcess: specs.toExecProcess,
    events,
  });
  const containerDeps: ContainerDeps = {
    store,
    running,
    execs,
    locks,
    images,
    snapshots,
    sandboxes: networks.sandboxes,
    volumes,
    runtime,
    logs,
    files: new HelperContainerFiles(),
    rootFiles,
    toSpec: specs.toSpec,
    events,
    paths,
    get defaults() {
      return config.containers;
    },
    host: {
      cpus: host.cpus,
      cgroupVersion: host.cgroups.version,
      swapLimit: host.cgroups.swap,
      blockIoWeight: containerHost.blockIoWeight,
      cpuRealtime: containerHost.cpuRealtime,
      memoryNodes: containerHost.memoryNodes,
      apparmor: containerHost.apparmor,
      selinux: containerHost.selinux,
    },
  };
  const containers = new Containers(containerDeps);
  const { builder, buildkit, builds, cache } = undo.use(
    openBuilder({
      engineId,
      hostGateway: undefined,
      paths,
      state,
      images: images.forBuilds(),
      snapshots,
      roots: rootFiles,
      containers: containerDeps,
    }),
  );

  images.layersKeptBy((chainId) => cache.hasLayer(chainId));

  const system: SystemDeps = {
    engineId,
    version: VERSION,
    experimental: false,
    config: () => config,
    host,
    runtime,
    initPath: containerHost.initPath,
    storageDriver: snapshots.name,
    counts: {
      containers: () => countContainers(store),
      images: () => images.list({ filters: new Map(), sharedSize: false, manifests: false }).length,
      eventListeners: () => events.subscribers,
    },
    plugins: {
      volume: ["local"],
      network: ["bridge", "host", "ipvlan", "macvlan", "null"],
      log: logs.drivers,
    },
    neighbours: () => bridge.neighbours(),
    defaultAddressPools: addressPools(config),
  };

  const resources = undo.move();
  return {
    plugins: new HttpPlugins(),
    scopedObjects: scopedObjects(store, execStore),
    handlers: toHandlers({
      events,
      images,
      builder,
      buildkit,
      builds,
      registry,
      volumes,
      networks,
      containers,
      execs,
      system,
    }),
    async boot() {
      await containers.boot({ imageLayers: new Set([...images.layers(), ...cache.layers()]) });
      await images.recover().catch((error) =>
        log("error", "boot: putting images in order failed; the next boot tries again", {
          error: messageOf(error),
        }),
      );
    },
    reload(configure) {
      try {
        config = reloaded(config, configure());
        setLogLevel(config.logLevel);
        images.limitDownloads(config.maxConcurrentDownloads);
        const attributes = reloadAttributes(config, host.cgroups.version);
        events.publish({ type: "daemon", action: "reload", actor: { id: engineId, attributes } });
        log("info", `Reloaded configuration: ${shown(config)}`);
      } catch (error) {
        log("error", "configuration not reloaded", { error: messageOf(error) });
      }
    },
    config: () => config,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** The engine's own id: stays with the data root. */
function getEngineId(state: StateStore): string {
  const table = state.table<string>("engine");
  const id = table.get("id") ?? randomUUID();
  table.put("id", id);
  return id;
}

function countContainers(store: ContainerStore): { running: number; paused: number; stopped: number } {
  const statuses = store.list().map(({ state }) => state.status);
  const count = (...wanted: string[]) => statuses.filter((status) => wanted.includes(status)).length;
  const running = count("running", "restarting");
  const paused = count("paused");
  return { running, paused, stopped: statuses.length - running - paused };
}

/** What `/info` says of them: those that somebody configured. */
function addressPools({ network }: EngineConfig): { Base: string; Size: number }[] {
  return network.addressPools.map(({ base, size }) => ({ Base: base, Size: size }));
}

function usersOf(store: ContainerStore, image: Digest): { id: string; running: boolean; name: string }[] {
  return store
    .list()
    .filter(({ imageId, mounts }) => imageId === image || mountedImagesOf(mounts).includes(image))
    .map((container) => ({ id: container.id, running: isRunning(container), name: container.name }));
}

/** Which container a call on a scoped socket concerns. */
function scopedObjects(store: ContainerStore, execs: ExecStore): ScopedObjects {
  const container = async (reference: string) => {
    const record = store.find(reference);
    return record && { id: record.id, name: record.name, labels: record.config.Labels ?? {} };
  };
  return {
    container,
    exec: async (id) => {
      const exec = execs.get(id);
      return exec && (await container(exec.containerId));
    },
  };
}

/** What the API's handlers are made of. */
interface Parts {
  readonly events: EventBus;
  readonly images: Images;
  readonly builder: Builder;
  readonly buildkit: BuildkitProtocol;
  readonly builds: BuildService;
  readonly registry: Registry;
  readonly volumes: Volumes;
  readonly networks: Networks;
  readonly containers: Containers;
  readonly execs: Execs;
  readonly system: SystemDeps;
}

function toHandlers(parts: Parts): Handlers {
  const {
    events,
    images,
    builder,
    buildkit,
    builds,
    registry,
    volumes,
    networks,
    containers,
    execs,
    system,
  } = parts;
  return {
    ...pingHandlers,
    ...pluginHandlers,
    ...swarmHandlers,
    ...systemHandlers({ system, identity }),
    ...authHandlers(registry),
    ...usageHandlers({ images, containers, volumes, builds }),
    ...eventHandlers(events),
    ...imageHandlers(images),
    ...buildHandlers(builder, buildkit.apiBuilds),
    ...buildCacheHandlers(builds),
    ...buildkitHandlers(buildkit),
    ...containerHandlers(containers),
    ...archiveHandlers(containers),
    ...execHandlers(execs),
    ...networkHandlers(networks),
    ...volumeHandlers(volumes),
  };
}

/** The handlers' names without an engine behind them, for `--list-routes`: making a handler touches nothing. */
export function handlersToList(): Handlers {
  const nothing: object = new Proxy({}, { get: () => nothing });
  return toHandlers(nothing as Parts);
}

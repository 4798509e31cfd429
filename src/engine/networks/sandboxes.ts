/**
 * What a container's start gets from networks. Picks the mode (`host`, `none`, `container:<id>` or networks),
 * builds the sandbox, and at boot takes running ones over.
 */
import type { EndpointSettings } from "../../api/types.ts";
import { log } from "../../base/log.ts";
import type { NetworkConfig } from "../../core/config.ts";
import type { ContainerLink, ContainerRecord } from "../../core/container.ts";
import {
  EngineError,
  ForbiddenError,
  InvalidParameterError,
  messageOf,
  NotFoundError,
  NotImplementedError,
  SystemError,
} from "../../core/errors.ts";
import type { EventSink } from "../../core/events.ts";
import type { NameServer } from "../../core/name-server.ts";
import type {
  HostNetwork,
  NetworkDriver,
  NetworkNamespaces,
  NetworkRecord,
  PortPublisher,
} from "../../core/network-driver.ts";
import type { ContainerSandbox, ContainerSandboxes, EndpointOwners } from "../../core/networking.ts";
import { Addresses } from "./addresses.ts";
import { checkCarriesEndpoints } from "./config-networks.ts";
import { checkEndpointConfig, checkEndpointSettings } from "./endpoint-settings.ts";
import { addressOf, EndpointIndex, hasEmbeddedDns, isDefaultBridge } from "./endpoints.ts";
import {
  effectiveResolver,
  type HostsEntry,
  isIPv6Off,
  ownNames,
  parseResolvConf,
  toEmbeddedResolvConf,
  toExtraHosts,
  toHostsFile,
  toHostsFileWithoutIPv6,
  toPlainResolvConf,
  toResolvConf,
  toUpstreamServers,
} from "./files.ts";
import { type LiveLink, resolveLinks, toLinkEnvironment, toLinkHosts } from "./links.ts";
import { toNameScope } from "./name-scope.ts";
import { checkPorts } from "./ports.ts";
import { Sandbox } from "./sandbox.ts";
import type { NetworkStore } from "./store.ts";

export interface SandboxesOptions {
  readonly store: NetworkStore;
  readonly owners: EndpointOwners;
  readonly config: NetworkConfig;
  readonly namespaces: NetworkNamespaces;
  readonly publisher: PortPublisher;
  readonly nameServer: NameServer;
  readonly host: HostNetwork;
  readonly events: EventSink;
}

const NO_EVENTS: EventSink = { publish() {} };

interface WantedEndpoint {
  readonly network: NetworkRecord;
  readonly driver: NetworkDriver;
  readonly settings: EndpointSettings;
}

type Mode = { kind: "host" } | { kind: "none" } | { kind: "container" } | { kind: "networks"; first: string };

/** @see moby api/types/container/hostconfig.go NetworkMode */
export function parseNetworkMode(mode: string | undefined): Mode {
  if (!mode || mode === "default" || mode === "bridge") return { kind: "networks", first: "bridge" };
  if (mode === "host") return { kind: "host" };
  if (mode === "none") return { kind: "none" };
  if (mode.startsWith("container:")) return { kind: "container" };
  return { kind: "networks", first: mode };
}

export class Sandboxes implements ContainerSandboxes {
  readonly #options: SandboxesOptions;
  readonly index = new EndpointIndex();
  readonly addresses = new Addresses();
  /** Sandboxes with a namespace of their own or the host's, by container id. */
  readonly #live = new Map<string, Sandbox>();

  constructor(options: SandboxesOptions) {
    this.#options = options;
  }

  of(containerId: string): Sandbox | undefined {
    return this.#live.get(containerId);
  }

  plan(
    hostConfig: ContainerRecord["hostConfig"],
    requested: Readonly<Record<string, EndpointSettings>>,
  ): Record<string, EndpointSettings> {
    checkPorts(hostConfig);
    const mode = this.#modeOf(hostConfig.NetworkMode);
    if (mode.kind !== "networks") return this.#planWithoutNetworks(mode, requested);
    const asked = Object.keys(requested).length > 0 ? requested : { [mode.first]: {} };
    const wanted = this.#inOrder(mode.first, asked);
    for (const [reference, settings] of wanted)
      checkEndpointConfig(reference, this.#findNetwork(reference, settings), settings);
    return Object.fromEntries(wanted.map(([reference, settings]) => this.#toPlanned(reference, settings)));
  }

  /** Without a default bridge there is nothing to be connected to. */
  #modeOf(networkMode: string | undefined): Mode {
    const mode = parseNetworkMode(networkMode);
    const onDefaultBridge = mode.kind === "networks" && mode.first === "bridge";
    return onDefaultBridge && this.#options.config.bridge === "none" ? { kind: "none" } : mode;
  }

  links({ Links, NetworkMode }: ContainerRecord["hostConfig"]): ContainerLink[] {
    const mode = this.#modeOf(NetworkMode);
    const onDefaultBridge = mode.kind === "networks" && mode.first === "bridge";
    return onDefaultBridge ? resolveLinks(Links ?? [], (reference) => this.#findContainer(reference)) : [];
  }

  async unlinked(container: ContainerRecord): Promise<void> {
    const sandbox = this.#live.get(container.id);
    if (!sandbox) return;
    sandbox.renamed(container);
    await this.#options.owners.filesChanged(container.id, sandbox.files);
  }

  /** What `plan` does, for one endpoint more. @throws InvalidParameterError */
  planConnection(network: NetworkRecord, settings: EndpointSettings): EndpointSettings {
    checkEndpointSettings(network.name, network, settings);
    const [, planned] = this.#toPlanned(network.name, { ...settings, NetworkID: network.id });
    return planned;
  }

  /** A network that is not there keeps the name it was given. */
  #toPlanned(reference: string, settings: EndpointSettings): [name: string, settings: EndpointSettings] {
    const network = this.#findNetwork(reference, settings);
    if (!network) return [reference, settings];
    const mac = settings.MacAddress?.replaceAll("-", ":").toLowerCase();
    return [network.name, { ...settings, ...(mac ? { MacAddress: mac } : {}), NetworkID: network.id }];
  }

  async create(
    container: ContainerRecord,
    {
      joined,
      silent = false,
      signal,
    }: { joined?: { id: string; pid: number }; silent?: boolean; signal: AbortSignal },
  ): Promise<ContainerSandbox> {
    signal.throwIfAborted();
    const mode = this.#modeOf(container.hostConfig.NetworkMode);
    if (mode.kind === "container") return joinedSandbox(container, joined);
    let sandbox: Sandbox | undefined;
    try {
      const wanted = this.#wantedEndpoints(container, mode);
      if (wanted.some(({ network }) => isDefaultBridge(network))) this.#checkLinks(container);
      sandbox = this.#newSandbox(container, mode, "create", silent ? NO_EVENTS : this.#options.events);
      await sandbox.open(wanted);
      await this.#tellLinked(container);
      return sandbox;
    } catch (error) {
      await sandbox?.[Symbol.asyncDispose]();
      throw explained(error);
    }
  }

  renamed(container: ContainerRecord): void {
    this.#live.get(container.id)?.renamed(container);
  }

  async recover(running: readonly ContainerRecord[]): Promise<Map<string, ContainerSandbox>> {
    const { store, namespaces } = this.#options;
    const facts = new Map(running.map(({ id }) => [id, namespaces.load(id)] as const));
    const owned = [...facts.values()].flatMap((known) => Object.values(known?.endpoints ?? {}));
    const endpoints = new Set(owned.map(({ endpointId }) => endpointId));
    namespaces.reclaim(new Set(running.map(({ id }) => id)));
    for (const driver of store.drivers()) {
      const networks = store.all().filter((network) => network.driver === driver.name);
      await driver.recover(networks, endpoints);
    }
    const sandboxes = new Map<string, ContainerSandbox>();
    for (const container of running) {
      try {
        sandboxes.set(container.id, await this.#resume(container, facts.get(container.id)));
      } catch (error) {
        log("error", "cannot take over a container's network", { container: container.id, error });
      }
    }
    this.#options.publisher.reclaim();
    return sandboxes;
  }

  async #resume(
    container: ContainerRecord,
    facts: ReturnType<NetworkNamespaces["load"]>,
  ): Promise<ContainerSandbox> {
    const mode = this.#modeOf(container.hostConfig.NetworkMode);
    if (mode.kind === "container") return joinedSandbox(container, { id: "", pid: container.state.pid });
    const sandbox = this.#newSandbox(container, mode, "open");
    const { store } = this.#options;
    await sandbox.resume(facts ?? { endpoints: {}, ports: [] }, (id) => {
      const network = store.find(id);
      return network && { network, driver: store.driver(network.driver) };
    });
    return sandbox;
  }

  /** Modes without networks of their own carry one endpoint for show, and take no others. */
  #planWithoutNetworks(
    mode: Exclude<Mode, { kind: "networks" }>,
    requested: Readonly<Record<string, EndpointSettings>>,
  ): Record<string, EndpointSettings> {
    const own = mode.kind === "none" ? ["none", "default", "bridge"] : [mode.kind, "default"];
    const others = Object.keys(requested).filter((name) => !own.includes(name));
    if (mode.kind === "container") {
      if (others.some((name) => !name.startsWith("container:")))
        throw new InvalidParameterError(
          "container sharing network namespace with another container or host cannot be connected to any other network",
        );
      return {};
    }
    if (others.length > 0)
      throw new InvalidParameterError(
        mode.kind === "host"
          ? "container sharing network namespace with another container or host cannot be connected to any other network"
          : "container cannot be connected to multiple networks with one of the networks in private (none) mode",
      );
    const settings = requested[mode.kind];
    if (settings) checkEndpointConfig(mode.kind, undefined, settings);
    return {
      [mode.kind]: { ...settings, NetworkID: this.#options.store.findByName(mode.kind)?.id },
    };
  }

  /**
   * The mode's own network first, if it is among them, whatever it was called in the request; the others by name.
   * It is not always: who asks for other networks alone gets those, and whoever was disconnected from it stays so.
   */
  #inOrder(
    first: string,
    requested: Readonly<Record<string, EndpointSettings>>,
  ): [reference: string, settings: EndpointSettings][] {
    const firstNetwork = this.#findNetwork(first, {});
    const isFirst = (reference: string) =>
      reference === first ||
      (reference === "default" && first === "bridge") ||
      (firstNetwork !== undefined && this.#findNetwork(reference, {})?.id === firstNetwork.id);
    const own = Object.entries(requested).find(([reference]) => isFirst(reference));
    const others = Object.entries(requested).filter(([reference]) => !isFirst(reference));
    others.sort(([a], [b]) => (a < b ? -1 : 1));
    return own ? [[first, own[1]], ...others] : others;
  }

  /** The network of a settings object: by its id while that lives, else by name (it may have been made anew). */
  #findNetwork(reference: string, { NetworkID }: EndpointSettings): NetworkRecord | undefined {
    const known = NetworkID ? this.#options.store.find(NetworkID) : undefined;
    if (known) return known;
    try {
      return this.#options.store.get(reference);
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  #wantedEndpoints(container: ContainerRecord, mode: Mode): WantedEndpoint[] {
    const { store } = this.#options;
    const first = mode.kind === "networks" ? mode.first : mode.kind;
    return this.#inOrder(first, container.requestedNetworks).map(([reference, settings]) => {
      const network = this.#findNetwork(reference, settings);
      if (!network) throw new NotFoundError(`network ${reference} not found`, { subject: reference });
      checkCarriesEndpoints(network);
      return { network, driver: store.driver(network.driver), settings };
    });
  }

  #newSandbox(
    container: ContainerRecord,
    mode: Mode,
    how: "create" | "open",
    events: EventSink = this.#options.events,
  ): Sandbox {
    const { namespaces, publisher, nameServer, config, host } = this.#options;
    const namespace =
      mode.kind === "host"
        ? hostNamespace(container.id, namespaces)
        : how === "create"
          ? namespaces.create(container.id)
          : namespaces.open(container.id, container.state.pid);
    if (!namespace) throw new SystemError("its network namespace is gone", { subject: container.id });
    const sandbox = new Sandbox({
      ...{ container, namespace, namespaces, publisher, nameServer, events },
      addresses: this.addresses,
      index: this.index,
      publishing: {
        defaultAddress: config.publishAddress,
        hostHasIPv6: host.hasIPv6(),
        relay: config.userlandProxy,
      },
      files: (of) => this.#files(of, mode),
      environment: (of) => this.#environmentOf(of.container),
      nameScope: (of) => this.#nameScope(of),
      onDispose: () => {
        if (this.#live.get(container.id) === sandbox) this.#live.delete(container.id);
      },
    });
    this.#live.set(container.id, sandbox);
    return sandbox;
  }

  #nameScope(sandbox: Sandbox) {
    return toNameScope({
      endpoints: () => sandbox.live,
      index: this.index,
      servers: () => {
        const settings = this.#resolverOf(sandbox.container);
        return toUpstreamServers(
          settings,
          [...sandbox.live].some((endpoint) => addressOf(endpoint, 6)),
        );
      },
    });
  }

  #resolverOf(container: ContainerRecord) {
    return effectiveResolver(
      container,
      this.#options.config,
      parseResolvConf(this.#options.host.resolvConf()),
    );
  }

  #files(sandbox: Sandbox, mode: Mode): ContainerSandbox["files"] {
    const { container } = sandbox;
    const extra = toExtraHosts(container, this.#hostGateways());
    const { Dns, DnsOptions, DnsSearch } = container.hostConfig;
    if (mode.kind === "host") {
      const { dns, dnsOptions, dnsSearch } = this.#options.config;
      const overridden = [Dns, DnsOptions, DnsSearch, dns, dnsOptions, dnsSearch].some(
        (list) => list?.length,
      );
      return {
        hosts: toHostsFile(extra, this.#options.host.hosts()),
        // On the host's network its loopback is the container's too.
        resolvConf: overridden ? toResolvConf(this.#resolverOf(container)) : this.#options.host.resolvConf(),
      };
    }
    const endpoints = [...sandbox.live];
    const own: HostsEntry[] = endpoints.flatMap((endpoint) =>
      ([4, 6] as const).flatMap((family) => {
        const address = addressOf(endpoint, family);
        return address ? [{ address, names: ownNames(container) }] : [];
      }),
    );
    const links = this.#defaultBridgeAddress(container.id) ? this.#linksOf(container) : [];
    const embedded = endpoints.some(({ network, driver }) => hasEmbeddedDns(network, driver));
    const settings = this.#resolverOf(container);
    const entries = [...extra, ...links.map(toLinkHosts), ...own];
    return {
      hosts: isIPv6Off(container) ? toHostsFileWithoutIPv6(entries) : toHostsFile(entries),
      resolvConf: embedded ? toEmbeddedResolvConf(settings) : toPlainResolvConf(settings),
    };
  }

  /** `--link` on the default bridge, those whose neighbour runs there. Elsewhere embedded DNS does it. */
  #linksOf(container: ContainerRecord): LiveLink[] {
    return (container.links ?? []).flatMap(({ target, alias }) => {
      const neighbour = this.#findContainer(target);
      const address = neighbour && this.#defaultBridgeAddress(neighbour.id);
      return address ? [{ alias, neighbour, address }] : [];
    });
  }

  #environmentOf(container: ContainerRecord): string[] {
    if (!this.#defaultBridgeAddress(container.id)) return [];
    return this.#linksOf(container).flatMap((link) => toLinkEnvironment(container.name, link));
  }

  #findContainer(reference: string): ContainerRecord | undefined {
    try {
      return this.#options.owners.get(reference);
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  #defaultBridgeAddress(containerId: string): string | undefined {
    const endpoint = [...(this.#live.get(containerId)?.live ?? [])].find(({ network }) =>
      isDefaultBridge(network),
    );
    return endpoint && addressOf(endpoint, 4);
  }

  /** At start, every neighbour that is still there must run on the bridge. @throws InvalidParameterError */
  #checkLinks(container: ContainerRecord): void {
    for (const { target, alias } of container.links ?? []) {
      const neighbour = this.#findContainer(target);
      if (!neighbour || this.#defaultBridgeAddress(neighbour.id)) continue;
      throw new InvalidParameterError(
        this.#live.has(neighbour.id)
          ? `Cannot link to /${neighbour.name}, as it does not belong to the default network`
          : `Cannot link to a non running container: /${neighbour.name} AS /${container.name}/${alias}`,
        { subject: neighbour.id },
      );
    }
  }

  /** Containers that are linked to this one find it at its new address. */
  async #tellLinked(container: ContainerRecord): Promise<void> {
    for (const other of this.#live.values()) {
      const isLinked =
        other.id !== container.id &&
        this.#defaultBridgeAddress(other.id) !== undefined &&
        this.#linksOf(other.container).some(({ neighbour }) => neighbour.id === container.id);
      if (!isLinked) continue;
      try {
        await this.#options.owners.filesChanged(other.id, other.files);
      } catch (error) {
        log("warn", "a linked container was not told of its neighbour's address", {
          ...{ container: other.id, neighbour: container.id, error },
        });
      }
    }
  }

  /** What `host-gateway` means: as configured, else the default bridge's own addresses, else the host's. */
  #hostGateways(): string[] {
    const { store, host, config } = this.#options;
    if (config.hostGateways.length > 0) return [...config.hostGateways];
    const bridge = store.findByName("bridge");
    const own = bridge?.ipam.subnets.flatMap(({ gateway }) => gateway ?? []) ?? [];
    return own.length > 0 ? own : [host.uplinkAddress()].filter((address) => address !== undefined);
  }
}

function hostNamespace(id: string, namespaces: NetworkNamespaces) {
  return {
    id,
    path: namespaces.hostPath,
    openPath: namespaces.hostPath,
    get descriptor(): number {
      throw new NotImplementedError("the host's network namespace takes no endpoints", { subject: id });
    },
    [Symbol.dispose]() {
      namespaces.forget(id);
    },
  };
}

/** The namespace of another container, or of a process: nothing in it is ours to release. */
function joinedSandbox(
  container: ContainerRecord,
  joined: { id: string; pid: number } | undefined,
): ContainerSandbox {
  if (!joined || joined.pid <= 0)
    throw new SystemError(
      `cannot join network of a non running container: ${container.hostConfig.NetworkMode}`,
    );
  return {
    id: container.id,
    key: "",
    namespacePath: `/proc/${joined.pid}/ns/net`,
    endpoints: {},
    ports: {},
    files: {},
    environment: [],
    async [Symbol.asyncDispose]() {},
  };
}

/** Same meaning, with the words that say during what. */
function explained(error: unknown): unknown {
  const message = `failed to set up container networking: ${messageOf(error)}`;
  if (!(error instanceof EngineError)) return error;
  const options = { cause: error, subject: error.subject };
  if (error instanceof NotFoundError) return new NotFoundError(message, options);
  if (error instanceof InvalidParameterError) return new InvalidParameterError(message, options);
  if (error instanceof ForbiddenError) return new ForbiddenError(message, options);
  return new SystemError(message, options);
}

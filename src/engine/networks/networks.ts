/**
 * Networks as users see them: create, list, inspect, remove, prune, connect, disconnect.
 * A record is written before its bridge is made, and deleted after the bridge is gone: boot makes what is missing.
 */

import type { EndpointSettings, Network, NetworkCreateRequest, NetworkInspect } from "../../api/types.ts";
import { log } from "../../base/log.ts";
import type { EngineConfig } from "../../core/config.ts";
import type { ContainerRecord } from "../../core/container.ts";
import { ForbiddenError, InvalidParameterError, NotFoundError, SystemError } from "../../core/errors.ts";
import type { EventSink } from "../../core/events.ts";
import { type NetworkId, randomId } from "../../core/ids.ts";
import { parsePrefix } from "../../core/ipam.ts";
import type { NameServer } from "../../core/name-server.ts";
import type {
  HostNetwork,
  NetworkDriver,
  NetworkNamespaces,
  NetworkRecord,
  PortPublisher,
} from "../../core/network-driver.ts";
import type { EndpointOwners } from "../../core/networking.ts";
import type { StateStore } from "../../core/state.ts";
import {
  checkCarriesEndpoints,
  checkConfiguration,
  checkConfigurationUnused,
  toConfiguredSubnets,
  withConfiguration,
} from "./config-networks.ts";
import { toNetwork, toNetworkInspect } from "./describe.ts";
import type { LiveEndpoint } from "./endpoints.ts";
import { type Filters, findFlag, matchesFilters, matchesPruneFilters } from "./filters.ts";
import { checkNameFree, checkNewName, isPredefined } from "./names.ts";
import { parseNetworkMode, Sandboxes } from "./sandboxes.ts";
import { NetworkStore } from "./store.ts";
import { type SubnetStatus, subnetStatus } from "./subnet-status.ts";
import {
  type AddressPool,
  checkSubnets,
  DEFAULT_POOLS,
  localIPv6Pool,
  planDefaultSubnets,
  planSubnets,
  unusedSubnets,
} from "./subnets.ts";

export interface NetworksOptions {
  readonly config: Pick<EngineConfig, "network" | "paths">;
  readonly state: StateStore;
  readonly owners: EndpointOwners;
  readonly events: EventSink;
  readonly drivers: readonly NetworkDriver[];
  readonly namespaces: NetworkNamespaces;
  readonly publisher: PortPublisher;
  readonly nameServer: NameServer;
  readonly host: HostNetwork;
}

/**
 * Networks as they are on disk, with the predefined ones. Nothing is in the kernel before `sandboxes.recover()`:
 * the composition root calls that at boot, also when nothing runs.
 */
export function openNetworks(options: NetworksOptions): Networks {
  const store = new NetworkStore(options.state, options.drivers);
  const networks = new Networks(store, options);
  networks.ensurePredefined();
  return networks;
}

export class Networks {
  /** What a container's start and stop use. */
  readonly sandboxes: Sandboxes;
  readonly #store: NetworkStore;
  readonly #options: NetworksOptions;

  constructor(store: NetworkStore, options: NetworksOptions) {
    this.#store = store;
    this.#options = options;
    this.sandboxes = new Sandboxes({ ...options, store, config: options.config.network });
  }

  list(filters: Filters): Network[] {
    return this.#store
      .all()
      .filter((network) => matchesFilters(network, filters, { used: this.#endpoints(network).length > 0 }))
      .map(toNetwork);
  }

  /** @param scope all networks are local: with another one none is found @throws NotFoundError, InvalidParameterError */
  inspect(reference: string, { scope = "" }: { scope?: string } = {}): NetworkInspect {
    const network = this.#store.get(reference);
    if (scope !== "" && scope !== "local")
      throw new NotFoundError(`network ${reference} not found`, { subject: reference });
    return toNetworkInspect(network, this.#endpoints(network));
  }

  /** How full its subnets are, keyed by subnet. @throws NotFoundError */
  subnetStatus(reference: string): Record<string, SubnetStatus> {
    const { id, ipam } = this.#store.get(reference);
    const used = this.sandboxes.addresses.usedOf(id);
    return Object.fromEntries(ipam.subnets.map((config) => [config.subnet, subnetStatus(config, used)]));
  }

  /** @throws ConflictError, ForbiddenError, InvalidParameterError with Docker's wording */
  async create(request: NetworkCreateRequest): Promise<{ id: NetworkId; warning: string }> {
    checkNewName(request.Name);
    checkNameFree(this.#store.all(), request.Name);
    checkConfiguration(request);
    if (request.ConfigOnly) return this.#createConfiguration(request);
    const { record, driver } = this.#toRecord(request);
    driver.check(record);
    this.#store.put(record);
    try {
      await driver.ensure(record);
    } catch (error) {
      await this.#undoCreate(record, driver);
      throw error;
    }
    this.#announce("create", record);
    return { id: record.id, warning: "" };
  }

  /** Nothing of it is in the kernel: the driver is `null`, as Docker shows it too. */
  #createConfiguration(request: NetworkCreateRequest): { id: NetworkId; warning: string } {
    const { enableIPv4, enableIPv6, options } = familiesOf(request);
    checkSubnets(request.IPAM);
    const record: NetworkRecord = {
      ...predefined(request.Name, "null"),
      ...{ enableIPv4, enableIPv6, options, configOnly: true },
      ipam: {
        driver: request.IPAM?.Driver || "default",
        options: request.IPAM?.Options ?? null,
        subnets: [],
        unusedSubnets: toConfiguredSubnets(request),
      },
      labels: request.Labels ?? {},
    };
    this.#store.put(record);
    this.#announce("create", record);
    return { id: record.id, warning: "" };
  }

  /** Never rejects: the failure that made it necessary is the one to tell of. */
  async #undoCreate(record: NetworkRecord, driver: NetworkDriver): Promise<void> {
    try {
      await driver.remove(record);
    } catch (error) {
      log("error", "what was made of a network is left until the next start", {
        network: record.name,
        error,
      });
    }
    this.#store.delete(record.id);
  }

  /** @throws NotFoundError; ForbiddenError while it is predefined or in use */
  async remove(reference: string): Promise<void> {
    const network = this.#store.get(reference);
    if (isPredefined(network.name))
      throw new ForbiddenError(`${network.name} is a pre-defined network and cannot be removed`, {
        subject: network.id,
      });
    const [endpoint] = this.#endpoints(network);
    if (endpoint)
      throw new ForbiddenError(
        `error while removing network: network ${network.name} has active endpoints (name:"${endpoint.containerName}" id:"${endpoint.id.slice(0, 12)}")`,
        { subject: network.id },
      );
    checkConfigurationUnused(network, this.#store.all());
    await this.#destroy(network);
  }

  /** Removes what no running container uses. @returns names */
  async prune(filters: Filters): Promise<string[]> {
    const now = Date.now();
    const unused = this.#store
      .all()
      .filter(({ name, configOnly }) => !isPredefined(name) && !configOnly)
      .filter((network) => this.#endpoints(network).length === 0)
      .filter((network) => matchesPruneFilters(network, filters, now));
    const removed: string[] = [];
    for (const network of unused) {
      try {
        await this.#destroy(network);
        removed.push(network.name);
      } catch (error) {
        log("warn", "cannot prune network", { network: network.name, error });
      }
    }
    const actor = { id: "", attributes: { reclaimed: "0" } };
    this.#options.events.publish({ type: "network", action: "prune", actor });
    return removed;
  }

  /** Connects a container, running or not. @throws EngineError with Docker's wording */
  async connect(reference: string, containerReference: string, settings: EndpointSettings): Promise<void> {
    const network = this.#store.get(reference);
    const { owners } = this.#options;
    const { id } = owners.get(containerReference);
    await owners.exclusively(id, async () => {
      const container = owners.get(id);
      if (this.#checkConnectable(network, container) === "connected") return;
      const planned = this.sandboxes.planConnection(network, settings);
      const sandbox = this.sandboxes.of(id);
      if (!sandbox) {
        await owners.setEndpoint(id, network.name, { requested: planned, current: planned });
        return;
      }
      checkCarriesEndpoints(network);
      await sandbox.connect(network, this.#store.driver(network.driver), planned);
      const current = sandbox.endpoints[network.name] ?? planned;
      await owners.setEndpoint(id, network.name, { requested: planned, current });
      await owners.filesChanged(id, sandbox.files);
    });
  }

  /**
   * @param force also when the container is not there any more, or runs although the network is gone
   * @throws EngineError with Docker's wording
   */
  async disconnect(reference: string, containerReference: string, force: boolean): Promise<void> {
    const network = this.#findNetwork(reference);
    if (!network) return await this.#forgetConnection(reference, containerReference, force);
    const container = this.#findContainer(network, containerReference, force);
    if (!container) return;
    const { owners } = this.#options;
    await owners.exclusively(container.id, async () => {
      const sandbox = this.sandboxes.of(container.id);
      const endpoint = sandbox?.endpointOn(network);
      this.#checkDisconnectable(network, owners.get(container.id));
      if (sandbox && endpoint) sandbox.disconnect(endpoint);
      await owners.setEndpoint(container.id, network.name, undefined);
      if (sandbox) await owners.filesChanged(container.id, sandbox.files);
    });
  }

  /** A container that is to start on a network which is gone could not start again otherwise. */
  async #forgetConnection(reference: string, containerReference: string, force: boolean): Promise<void> {
    const { owners } = this.#options;
    const { id } = owners.get(containerReference);
    await owners.exclusively(id, async () => {
      if (this.sandboxes.of(id) && !force)
        throw new NotFoundError(`network ${reference} not found`, { subject: reference });
      const container = owners.get(id);
      checkNotRemoved(container);
      if (!Object.hasOwn(container.requestedNetworks, reference))
        throw new SystemError(`container ${id} is not connected to the network ${reference}`, {
          subject: id,
        });
      await owners.setEndpoint(id, reference, undefined);
    });
  }

  /** The predefined networks, as the configuration wants them. */
  ensurePredefined(): void {
    const { network } = this.#options.config;
    for (const [name, driver] of [
      ["host", "host"],
      ["none", "null"],
    ] as const) {
      if (!this.#store.findByName(name)) this.#store.put(predefined(name, driver));
    }
    const known = this.#store.findByName("bridge");
    if (network.bridge === "none") {
      if (known) this.#store.delete(known.id);
      return;
    }
    const wanted = this.#defaultBridge(known);
    if (JSON.stringify(known) !== JSON.stringify(wanted)) this.#store.put(wanted);
  }

  /** The address is kept from run to run, unless the configuration names one, or did. */
  #defaultBridge(known: NetworkRecord | undefined): NetworkRecord {
    const { network: config } = this.#options.config;
    const base = known ?? predefined("bridge", "bridge");
    const { icc, masquerade, ipv6: enableIPv6 } = config.defaultBridge;
    const record: NetworkRecord = {
      ...base,
      enableIPv6,
      options: {
        "com.docker.network.bridge.default_bridge": "true",
        "com.docker.network.bridge.enable_icc": String(icc),
        "com.docker.network.bridge.enable_ip_masquerade": String(masquerade),
        "com.docker.network.bridge.host_binding_ipv4": config.publishAddress,
        "com.docker.network.bridge.name": config.bridge,
        ...(config.mtu === undefined ? {} : { "com.docker.network.driver.mtu": String(config.mtu) }),
      },
    };
    const [adopted] = this.#store.driver("bridge").adopted?.(record) ?? [];
    const subnets = planDefaultSubnets(config, {
      known: known?.ipam.subnets ?? [],
      adopted,
      choose: (family) =>
        planSubnets(
          undefined,
          this.#subnetOptions({ enableIPv4: family === 4, enableIPv6: family === 6 }, record.id),
        ),
    });
    return { ...record, ipam: { ...record.ipam, subnets } };
  }

  #toRecord(asked: NetworkCreateRequest): { record: NetworkRecord; driver: NetworkDriver } {
    const name = asked.Driver || "bridge";
    const driver = this.#store.driver(name);
    const request = withConfiguration(asked, this.#store.all());
    if (request.Ingress) throw new ForbiddenError("Ingress network is only supported in swarm mode");
    if (request.Scope && request.Scope !== "local")
      throw new InvalidParameterError(`network scope ${request.Scope} is not supported by driver`);
    const ipamDriver = request.IPAM?.Driver || "default";
    if (ipamDriver !== "default")
      throw new NotFoundError(`plugin ${JSON.stringify(ipamDriver)} not found`, { subject: ipamDriver });
    if (!driver.addressed)
      throw new ForbiddenError(`only one instance of ${JSON.stringify(name)} network is allowed`);
    const { enableIPv4, enableIPv6, options: given } = familiesOf(request);
    const options = { ...this.#options.config.network.defaultOptions[name], ...given };
    if (!enableIPv4 && !enableIPv6)
      throw new InvalidParameterError("IPv4 or IPv6 must be enabled", { subject: request.Name });
    const id = randomId<NetworkId>();
    const record: NetworkRecord = {
      id,
      name: request.Name,
      created: new Date().toISOString().replace("Z", "000000Z"),
      driver: name,
      enableIPv4,
      enableIPv6,
      internal: request.Internal ?? false,
      attachable: request.Attachable ?? false,
      ingress: false,
      ...(request.ConfigFrom?.Network && { configFrom: request.ConfigFrom.Network }),
      ipam: {
        driver: ipamDriver,
        options: request.IPAM?.Options ?? null,
        subnets: planSubnets(request.IPAM, this.#subnetOptions({ enableIPv4, enableIPv6 }, id, driver)),
        unusedSubnets: unusedSubnets(request.IPAM, { enableIPv4, enableIPv6 }),
      },
      options,
      labels: request.Labels ?? {},
    };
    return { record: driver.complete?.(record) ?? record, driver };
  }

  #subnetOptions(
    families: { enableIPv4: boolean; enableIPv6: boolean },
    exceptFor: NetworkId,
    driver?: NetworkDriver,
  ) {
    const { config, host } = this.#options;
    const configured = config.network.addressPools.map(
      ({ base, size }): AddressPool => ({ base: parsePrefix(base), size }),
    );
    const hasIPv6 = configured.some(({ base }) => base.family === 6);
    const pools = configured.length > 0 ? configured : DEFAULT_POOLS;
    const others = this.#store.all().filter(({ id }) => id !== exceptFor);
    return {
      ...families,
      pools: hasIPv6 ? pools : [...pools, localIPv6Pool(config.paths.instance)],
      networks: others.flatMap(({ ipam }) => ipam.subnets.map(({ subnet }) => parsePrefix(subnet))),
      routes: host.routes(),
      // Endpoints with addresses of the world outside are meant to be where the host is.
      uplinks: driver?.publishes === false ? [] : host.uplinkSubnets(),
    };
  }

  /**
   * Says `connected` for a container that does not run and has the network already: nothing is to be done then.
   * @see moby daemon/container_operations.go updateNetworkSettings
   */
  #checkConnectable(network: NetworkRecord, container: ContainerRecord): "free" | "connected" {
    checkNotRemoved(container);
    const mode = parseNetworkMode(container.hostConfig.NetworkMode);
    if (mode.kind === "container") throw new InvalidParameterError(SHARED_NAMESPACE);
    if (network.driver === "host" && mode.kind !== "host")
      throw new InvalidParameterError(
        "cannot connect container to host network - container must be created in host network mode",
      );
    const sandbox = this.sandboxes.of(container.id);
    if (Object.hasOwn(container.requestedNetworks, network.name)) {
      if (!sandbox) return "connected";
      throw new ForbiddenError(
        `endpoint with name ${container.name} already exists in network ${network.name}`,
        { subject: container.id },
      );
    }
    if (mode.kind === "host" && network.driver !== "host") throw new InvalidParameterError(SHARED_NAMESPACE);
    const connected = Object.keys(container.requestedNetworks);
    if (connected.length > 0 && (network.name === "none" || connected.includes("none")))
      throw new InvalidParameterError(
        "container cannot be connected to multiple networks with one of the networks in private (none) mode",
      );
    return "free";
  }

  #checkDisconnectable(network: NetworkRecord, container: ContainerRecord): void {
    checkNotRemoved(container);
    const sandbox = this.sandboxes.of(container.id);
    const { kind } = parseNetworkMode(container.hostConfig.NetworkMode);
    if (sandbox && network.driver === "host" && kind === "host")
      throw new InvalidParameterError(
        "cannot disconnect container from host network - container was created in host network mode",
      );
    if (!sandbox?.endpointOn(network) && !Object.hasOwn(container.requestedNetworks, network.name))
      throw new SystemError(`container ${container.id} is not connected to network ${network.name}`, {
        subject: container.id,
      });
  }

  #findNetwork(reference: string): NetworkRecord | undefined {
    try {
      return this.#store.get(reference);
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  #findContainer(network: NetworkRecord, reference: string, force: boolean): ContainerRecord | undefined {
    try {
      return this.#options.owners.get(reference);
    } catch (error) {
      if (force && error instanceof NotFoundError) {
        log("warn", "no such container to disconnect", { network: network.name, container: reference });
        return undefined;
      }
      throw error;
    }
  }

  #endpoints(network: NetworkRecord): LiveEndpoint[] {
    return this.sandboxes.index.of(network.id);
  }

  async #destroy(network: NetworkRecord): Promise<void> {
    await this.#store.driver(network.driver).remove(network);
    this.#store.delete(network.id);
    this.sandboxes.addresses.forget(network.id);
    if (!network.configOnly) this.#announce("destroy", network);
  }

  #announce(action: "create" | "destroy", { id, name, driver }: NetworkRecord): void {
    const actor = { id, attributes: { name, type: driver } };
    this.#options.events.publish({ type: "network", action, actor });
  }
}

/**
 * The families that a network has: those of the request, else of its driver options. An option that was overruled
 * is not kept.
 * @see moby daemon/network.go createNetwork
 */
function familiesOf({ EnableIPv4, EnableIPv6, Options }: NetworkCreateRequest) {
  const options = { ...Options };
  const decide = (option: string, asked: boolean | null | undefined, absent: boolean) => {
    const value = options[option];
    if (typeof asked === "boolean") delete options[option];
    else if (value !== undefined) return parseFlagOption(option, value);
    return asked ?? absent;
  };
  const enableIPv4 = decide("com.docker.network.enable_ipv4", EnableIPv4, true);
  const enableIPv6 = decide("com.docker.network.enable_ipv6", EnableIPv6, false);
  return { enableIPv4, enableIPv6, options };
}

function parseFlagOption(option: string, value: string): boolean {
  const flag = findFlag(value);
  if (flag === undefined)
    throw new InvalidParameterError(`driver-opt ${JSON.stringify(option)} is not a valid bool`, {
      subject: option,
    });
  return flag;
}

const SHARED_NAMESPACE =
  "container sharing network namespace with another container or host cannot be connected to any other network";

function checkNotRemoved({ id, state }: ContainerRecord): void {
  if (state.status === "removing" || state.status === "dead")
    throw new SystemError(
      `Container ${id} is marked for removal and cannot be connected or disconnected to the network`,
      { subject: id },
    );
}

function predefined(name: string, driver: string): NetworkRecord {
  return {
    id: randomId<NetworkId>(),
    name,
    created: new Date().toISOString().replace("Z", "000000Z"),
    driver,
    enableIPv4: true,
    enableIPv6: false,
    internal: false,
    attachable: false,
    ingress: false,
    ipam: { driver: "default", options: null, subnets: [] },
    options: {},
    labels: {},
  };
}

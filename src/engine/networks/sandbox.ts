/**
 * The network of one running container: its namespace, endpoints, published ports and name service. Made by
 * `sandboxes.ts`, changed by `connect` and `disconnect`, given up as a whole.
 *
 * Everything but the name service happens synchronously: two containers cannot be given the same address or port.
 */
import type { EndpointSettings, PortMap } from "../../api/types.ts";
import { log } from "../../base/log.ts";
import type { ContainerRecord } from "../../core/container.ts";
import { InvalidParameterError, messageOf, SystemError } from "../../core/errors.ts";
import type { EventSink } from "../../core/events.ts";
import { type EndpointId, randomId } from "../../core/ids.ts";
import { formatPrefix, type IpAddress, macOf, parsePrefix } from "../../core/ipam.ts";
import type { NameServer, NameService } from "../../core/name-server.ts";
import type {
  AttachedEndpoint,
  NetworkDriver,
  NetworkNamespace,
  NetworkNamespaces,
  NetworkRecord,
  PortLease,
  PortPublisher,
  PublishedPort,
  SandboxFacts,
} from "../../core/network-driver.ts";
import type { ContainerSandbox } from "../../core/networking.ts";
import type { Addresses } from "./addresses.ts";
import { endpointSysctls, linkLocalAddresses } from "./endpoint-settings.ts";
import {
  addressOf,
  chooseGateway,
  dnsNamesOf,
  type EndpointIndex,
  gatewayOf,
  hasEmbeddedDns,
  type LiveEndpoint,
  toEndpointSettings,
} from "./endpoints.ts";
import { isIPv6Off } from "./files.ts";
import { bindingsWithoutTarget, type PublishOptions, toPortMap, toPortRequests } from "./ports.ts";

export interface SandboxOptions {
  readonly container: ContainerRecord;
  readonly namespace: NetworkNamespace;
  readonly namespaces: NetworkNamespaces;
  readonly addresses: Addresses;
  readonly index: EndpointIndex;
  readonly publisher: PortPublisher;
  readonly nameServer: NameServer;
  readonly events: EventSink;
  readonly publishing: Pick<PublishOptions, "defaultAddress" | "hostHasIPv6" | "relay">;
  /** The files as they are for the sandbox's present state. */
  readonly files: (sandbox: Sandbox) => ContainerSandbox["files"];
  readonly environment: (sandbox: Sandbox) => ContainerSandbox["environment"];
  readonly nameScope: (sandbox: Sandbox) => Parameters<NameServer["serve"]>[1];
  readonly onDispose: () => void;
}

const FAMILIES = [4, 6] as const;
const OPTION_INTERFACE = "com.docker.network.endpoint.ifname";

export class Sandbox implements ContainerSandbox {
  readonly id: string;
  readonly #options: SandboxOptions;
  /** By network name. */
  readonly #endpoints = new Map<string, LiveEndpoint>();
  /** The endpoints that the default routes lead through, and which ports are published on. */
  #gateways: { 4?: EndpointId; 6?: EndpointId } = {};
  /** The default routes that were set: the ones to be replaced. Others in the namespace are somebody else's. */
  #wayOutBefore: readonly IpAddress[] = [];
  #container: ContainerRecord;
  #lease: PortLease | undefined;
  #names: NameService | undefined;
  #disposed = false;

  constructor(options: SandboxOptions) {
    this.#options = options;
    this.#container = options.container;
    this.id = options.namespace.id;
  }

  get container(): ContainerRecord {
    return this.#container;
  }

  get namespacePath(): string {
    return this.#options.namespace.openPath;
  }

  get key(): string {
    return this.#options.namespace.path;
  }

  get endpoints(): Readonly<Record<string, EndpointSettings>> {
    return Object.fromEntries(
      [...this.#endpoints].map(([name, endpoint]) => [name, toEndpointSettings(endpoint)]),
    );
  }

  get live(): Iterable<LiveEndpoint> {
    return this.#endpoints.values();
  }

  get ports(): PortMap {
    return this.#addressed ? toPortMap(this.#container, this.#lease?.ports ?? []) : {};
  }

  get files(): ContainerSandbox["files"] {
    return this.#options.files(this);
  }

  get environment(): ContainerSandbox["environment"] {
    return this.#options.environment(this);
  }

  endpointOn(network: NetworkRecord): LiveEndpoint | undefined {
    return this.#endpoints.get(network.name);
  }

  /** A start: all endpoints, then the ports. @throws EngineError; the caller disposes */
  async open(
    wanted: readonly { network: NetworkRecord; driver: NetworkDriver; settings: EndpointSettings }[],
  ) {
    for (const { network, driver, settings } of wanted) this.#allocate(network, driver, settings);
    this.#chooseGateways();
    for (const endpoint of this.#endpoints.values()) this.#attach(endpoint);
    this.#publish();
    this.#save();
    await this.#serveNames();
    for (const driver of new Set(wanted.map((one) => one.driver))) await driver.ready?.();
    for (const endpoint of this.#endpoints.values()) this.#announce("connect", endpoint);
  }

  /** Boot: the same as before, from notes. Endpoints whose network is gone are left out. */
  async resume(
    facts: SandboxFacts,
    networks: (id: string) => { network: NetworkRecord; driver: NetworkDriver } | undefined,
  ) {
    for (const [name, endpoint] of Object.entries(facts.endpoints)) {
      const found = networks(endpoint.networkId);
      if (!found) continue;
      const { network, driver } = found;
      const addresses = endpoint.addresses.map(parsePrefix);
      this.#options.addresses.claim(network.id, addresses);
      driver.adopt(network, endpoint.endpointId);
      this.#register({
        id: endpoint.endpointId,
        containerId: this.id,
        containerName: this.#container.name,
        network,
        driver,
        interfaceName: endpoint.interfaceName,
        mac: endpoint.mac,
        addresses,
        settings: this.#container.requestedNetworks[name] ?? {},
        dnsNames: this.#dnsNames(network, driver, this.#container.requestedNetworks[name] ?? {}),
      });
    }
    this.#chooseGateways();
    this.#lease = this.#options.publisher.recover(facts.ports);
    await this.#serveNames();
  }

  /** One more network while the container runs. @throws EngineError; the sandbox is as before then */
  async connect(network: NetworkRecord, driver: NetworkDriver, settings: EndpointSettings): Promise<void> {
    const endpoint = this.#allocate(network, driver, settings);
    try {
      this.#attach(endpoint);
      this.#moveGateways();
      await this.#serveNames();
      await driver.ready?.();
    } catch (error) {
      this.#unregister(endpoint);
      try {
        this.#moveGateways();
      } catch (problem) {
        log("warn", "a container's default route could not be moved back", {
          container: this.id,
          error: problem,
        });
      }
      driver.detach(network, this.#attached(endpoint));
      throw error;
    }
    this.#save();
    this.#announce("connect", endpoint);
  }

  disconnect(endpoint: LiveEndpoint): void {
    this.#unregister(endpoint);
    try {
      this.#moveGateways();
    } catch (error) {
      // What is left of its ways out may be down: that is no reason to keep it on a network that it is to leave.
      log("warn", "a container's default route could not be moved", { container: this.id, error });
    } finally {
      // Noted before its link goes: boot removes a link that nobody notes, but makes none that is missing.
      this.#save();
      endpoint.driver.detach(endpoint.network, this.#attached(endpoint));
    }
    this.#announce("disconnect", endpoint);
  }

  /** The container's record has changed: its name is part of what neighbours may ask for. */
  renamed(container: ContainerRecord): void {
    this.#container = container;
    for (const endpoint of [...this.#endpoints.values()]) {
      this.#register({
        ...endpoint,
        containerName: container.name,
        dnsNames: this.#dnsNames(endpoint.network, endpoint.driver, endpoint.settings),
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    const endpoints = [...this.#endpoints.values()];
    using rest = new DisposableStack();
    rest.defer(() => this.#options.onDispose());
    rest.use(this.#options.namespace);
    for (const endpoint of endpoints) {
      rest.defer(() => {
        endpoint.driver.forget(endpoint.id);
        this.#unregister(endpoint);
        this.#announce("disconnect", endpoint);
      });
    }
    rest.defer(() => this.#names?.[Symbol.dispose]());
    rest.defer(() => this.#lease?.[Symbol.dispose]());
  }

  get #addressed(): boolean {
    return [...this.#endpoints.values()].some(({ driver }) => driver.addressed);
  }

  #allocate(network: NetworkRecord, driver: NetworkDriver, settings: EndpointSettings): LiveEndpoint {
    const addresses = driver.addressed
      ? this.#options.addresses.allocate(
          network,
          { ipv4: settings.IPAMConfig?.IPv4Address, ipv6: settings.IPAMConfig?.IPv6Address },
          { ipv6: !isIPv6Off(this.#container) },
        )
      : [];
    const endpoint: LiveEndpoint = {
      id: randomId<EndpointId>(),
      containerId: this.id,
      containerName: this.#container.name,
      network,
      driver,
      interfaceName: this.#interfaceName(network, driver, settings),
      mac: settings.MacAddress || (addresses[0] ? macOf(addresses[0]) : ""),
      addresses,
      settings,
      dnsNames: this.#dnsNames(network, driver, settings),
    };
    this.#register(endpoint);
    return endpoint;
  }

  #register(endpoint: LiveEndpoint): void {
    this.#endpoints.set(endpoint.network.name, endpoint);
    this.#options.index.put(endpoint);
  }

  #unregister(endpoint: LiveEndpoint): void {
    this.#endpoints.delete(endpoint.network.name);
    this.#options.index.delete(endpoint);
    this.#options.addresses.release(endpoint.network.id, endpoint.addresses);
  }

  #dnsNames(network: NetworkRecord, driver: NetworkDriver, settings: EndpointSettings): string[] {
    return hasEmbeddedDns(network, driver) ? dnsNamesOf(this.#container, settings) : [];
  }

  #interfaceName(network: NetworkRecord, driver: NetworkDriver, settings: EndpointSettings): string {
    const taken = new Set([...this.#endpoints.values()].map(({ interfaceName }) => interfaceName));
    const asked = settings.DriverOpts?.[OPTION_INTERFACE];
    if (asked) {
      if (!/^[A-Za-z0-9_.-]{1,15}$/.test(asked) || asked === "lo" || taken.has(asked))
        throw new InvalidParameterError(`invalid interface name ${asked}`, { subject: asked });
      return asked;
    }
    const prefix = driver.interfacePrefix(network);
    for (let number = 0; ; number++) if (!taken.has(`${prefix}${number}`)) return `${prefix}${number}`;
  }

  #attach(endpoint: LiveEndpoint): void {
    const { network, driver, id, interfaceName, mac, addresses } = endpoint;
    const gateways = FAMILIES.flatMap((family) =>
      this.#gateways[family] === id ? (gatewayOf(endpoint, family) ?? []) : [],
    );
    const sysctls = endpointSysctls(endpoint.settings, interfaceName);
    const request = {
      ...{ id, interfaceName, mac, gateways, sysctls },
      addresses: [...addresses, ...linkLocalAddresses(endpoint.settings)],
    };
    driver.attach(network, request, this.#options.namespace);
  }

  #attached({ id, interfaceName }: LiveEndpoint): AttachedEndpoint {
    return { id, interfaceName, namespace: this.#options.namespace };
  }

  #chooseGateways(): void {
    const choose = (family: 4 | 6) => chooseGateway(this.#endpoints.values(), family);
    const [ipv4, ipv6] = [choose(4), choose(6)];
    this.#gateways = { 4: ipv4?.id, 6: ipv6?.id };
    const ways = [ipv4 && gatewayOf(ipv4, 4), ipv6 && gatewayOf(ipv6, 6)];
    this.#wayOutBefore = ways.flatMap((gateway) => gateway ?? []);
  }

  /** After a change of endpoints: default routes and published ports follow the endpoint that leads out now. */
  #moveGateways(): void {
    const before = this.#gateways;
    const former = this.#wayOutBefore;
    this.#chooseGateways();
    for (const endpoint of this.#endpoints.values()) {
      const gateways = FAMILIES.flatMap((family) =>
        this.#gateways[family] === endpoint.id && before[family] !== endpoint.id
          ? (gatewayOf(endpoint, family) ?? [])
          : [],
      );
      if (gateways.length > 0)
        endpoint.driver.route(this.#options.namespace, endpoint.interfaceName, { gateways, former });
    }
    const moved = FAMILIES.some((family) => before[family] !== this.#gateways[family]);
    if (moved) this.#movePorts();
  }

  #publish(): void {
    const ipv4 = this.#endpointOf(this.#gateways[4]);
    const ipv6 = this.#endpointOf(this.#gateways[6]);
    const exposed = ipv4 ?? ipv6;
    if (!exposed || exposed.driver.publishes === false) return;
    const options = {
      ipv4: ipv4 && addressOf(ipv4, 4),
      ipv6: ipv6 && addressOf(ipv6, 6),
      ...this.#options.publishing,
      exposure: {
        4: ipv4?.driver.exposure?.(ipv4.network, 4),
        6: ipv6?.driver.exposure?.(ipv6.network, 6),
      },
      defaultAddress: exposed.driver.bindAddress(exposed.network) ?? this.#options.publishing.defaultAddress,
    };
    const lost = bindingsWithoutTarget(this.#container, options);
    if (lost.length > 0)
      throw new InvalidParameterError(
        `cannot publish ${lost.join(", ")}: the container has no address that the host's can be led to`,
        { subject: this.id },
      );
    const requests = toPortRequests(this.#container, options);
    if (requests.length === 0) return;
    try {
      this.#lease = this.#options.publisher.publish(requests);
    } catch (error) {
      throw new SystemError(
        `driver failed programming external connectivity on endpoint ${this.#container.name} (${exposed.id}): ${messageOf(error)}`,
        { cause: error, subject: this.id },
      );
    }
  }

  /** The host's side of every binding stays as it is. */
  #movePorts(): void {
    const old = this.#lease?.ports ?? [];
    if (old.length === 0) {
      if (!this.#lease) this.#publish();
      return;
    }
    const moved = old.flatMap((port): PublishedPort[] => {
      const [own, other] = port.hostAddress.includes(":") ? ([6, 4] as const) : ([4, 6] as const);
      const relayed = this.#options.publishing.relay && port.protocol !== "sctp";
      const address = this.#wayOut(own) ?? (relayed ? this.#wayOut(other) : undefined);
      return address ? [{ ...port, address }] : [];
    });
    this.#lease?.[Symbol.dispose]();
    this.#lease = this.#options.publisher.recover(moved);
  }

  /** The address of the endpoint that leads out. */
  #wayOut(family: 4 | 6): string | undefined {
    const endpoint = this.#endpointOf(this.#gateways[family]);
    return endpoint && addressOf(endpoint, family);
  }

  #endpointOf(id: EndpointId | undefined): LiveEndpoint | undefined {
    return [...this.#endpoints.values()].find((endpoint) => endpoint.id === id);
  }

  async #serveNames(): Promise<void> {
    const needed = [...this.#endpoints.values()].some(({ network, driver }) =>
      hasEmbeddedDns(network, driver),
    );
    if (!needed || this.#names) return;
    this.#names = await this.#options.nameServer.serve(
      this.#options.namespace,
      this.#options.nameScope(this),
    );
  }

  #save(): void {
    const endpoints = [...this.#endpoints].map(([name, endpoint]) => [
      name,
      {
        networkId: endpoint.network.id,
        endpointId: endpoint.id,
        interfaceName: endpoint.interfaceName,
        mac: endpoint.mac,
        addresses: endpoint.addresses.map(formatPrefix),
      },
    ]);
    this.#options.namespaces.save(this.id, {
      endpoints: Object.fromEntries(endpoints),
      ports: this.#lease?.ports ?? [],
    });
  }

  #announce(action: "connect" | "disconnect", { network }: LiveEndpoint): void {
    this.#options.events.publish({
      type: "network",
      action,
      actor: {
        id: network.id,
        attributes: { container: this.id, name: network.name, type: network.driver },
      },
    });
  }
}

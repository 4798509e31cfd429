/**
 * The driver `bridge`: each network is a Linux bridge with the gateway's addresses, each endpoint a veth pair whose
 * far end was born in the container's namespace. Owns links, addresses, routes and, through `firewall.ts`, rules.
 * Leaves to `engine/networks` which names and addresses there are.
 *
 * Names: a bridge carries `gantry-<instance> <network id>` as its alias; a host end is called `gv`, six digits of the
 * instance, seven of the endpoint. So boot finds what is this engine's, and nothing else.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { hasCode } from "../../base/error-codes.ts";
import { log } from "../../base/log.ts";
import type { EnginePaths } from "../../core/config.ts";
import { ConflictError, InvalidParameterError, messageOf, SystemError } from "../../core/errors.ts";
import type { EndpointId, NetworkId } from "../../core/ids.ts";
import {
  formatAddress,
  fromBytes,
  type IpPrefix,
  macOf,
  parseAddress,
  parsePrefix,
} from "../../core/ipam.ts";
import { toLinkSetup, toRaw, toRawAddress } from "../../core/link-setup.ts";
import type {
  AttachedEndpoint,
  EndpointRequest,
  NetworkDriver,
  NetworkNamespace,
  NetworkRecord,
  PortExposure,
} from "../../core/network-driver.ts";
import { configureLink, setDefaultRoutes } from "../../linux/link-setup.ts";
import { settleLink } from "../../linux/link-state.ts";
import type { NetlinkMessage } from "../../linux/netlink.ts";
import {
  encodeAddAddress,
  encodeCreateBridge,
  encodeCreateVeth,
  encodeDeleteAddress,
  encodeForwardingEntry,
  encodePortFlags,
  encodeSetLink,
  type Link,
  RouteSocket,
} from "../../linux/netlink-route.ts";
import { Coexistence, type Neighbour } from "./beside/coexistence.ts";
import { enableIPv6Forwarding, Firewall, GUEST_LINK_GROUP, toFirewallNetwork } from "./firewall.ts";
import { enableForwarding, keepForwarding, mustGuardForwarding, yieldForwarding } from "./forwarding.ts";
import { type BridgeOptions, parseBridgeOptions } from "./options.ts";

const DEFAULT_MTU = 1500;
const BRIDGE_NETFILTER = "/proc/sys/net/bridge/bridge-nf-call-iptables";
/** A flushed rule set or a deleted bridge is back within this time and the work it takes: well below five seconds. */
const HEAL_INTERVAL_MS = 2000;
/** Our rules in firewalls of others stay this long after the last endpoint. */
const LINGER_MS = 3000;
const LEGACY_TABLES = "/proc/net/ip_tables_names";

interface LiveNetwork {
  readonly record: NetworkRecord;
  readonly options: BridgeOptions;
  /** The link was there before us: its addresses are used, and it is never deleted. */
  readonly foreign: boolean;
  /** Of its ports and their peers. */
  readonly mtu: number;
}

export interface BridgeDriverOptions {
  readonly paths: EnginePaths;
  /** undefined: the uplink's. */
  readonly mtu: number | undefined;
  /** What a firewall of somebody else drops stays dropped. */
  readonly respectFirewalls?: boolean;
  /** Published ports are reached at the containers' own addresses too. */
  readonly allowDirectRouting?: boolean;
  /** What carries this mark reaches containers. */
  readonly acceptMark?: { readonly value: number; readonly mask: number };
}

/** Opens the driver: enables forwarding, installs the firewall. @throws SystemError */
export async function openBridgeDriver(options: BridgeDriverOptions): Promise<BridgeDriver> {
  try {
    const guardForwarding = mustGuardForwarding();
    const firewall = new Firewall(options.paths.instance, {
      guardForwarding,
      ...(options.acceptMark && { acceptMark: options.acceptMark }),
    });
    await firewall.install();
    enableForwarding();
    return new BridgeDriver(options, firewall);
  } catch (error) {
    throw new SystemError(`failed to set up the firewall: ${messageOf(error)}`, { cause: error });
  }
}

export class BridgeDriver implements NetworkDriver, Disposable {
  readonly name = "bridge";
  readonly addressed = true;
  readonly firewall: Firewall;
  readonly #instance: string;
  readonly #mtu: number | undefined;
  readonly #route = RouteSocket.open();
  readonly #networks = new Map<NetworkId, LiveNetwork>();
  /** Host ends in use, and the network that each belongs to. */
  readonly #ports = new Map<EndpointId, NetworkId>();
  /** Networks that could not be restored, and why not. */
  readonly #broken = new Map<NetworkId, string>();
  readonly #coexistence: Coexistence;
  /** The kernel's, when others' firewalls were last looked at. */
  #seenGeneration = -1;
  #usedAt = Number.NEGATIVE_INFINITY;
  #watcher: NodeJS.Timeout | undefined;
  #healing: Promise<void> = Promise.resolve();
  #closed = false;
  /** Endpoints that live in the kernel and that nobody took over; undefined before boot looked. */
  #unclaimed: Set<EndpointId> | undefined;

  readonly #allowDirectRouting: boolean;

  constructor(options: BridgeDriverOptions, firewall: Firewall) {
    const { paths, mtu, respectFirewalls = false, allowDirectRouting = false } = options;
    this.#allowDirectRouting = allowDirectRouting;
    this.#instance = paths.instance;
    this.#mtu = mtu;
    this.firewall = firewall;
    this.#coexistence = new Coexistence({
      ...{ tag: `gantry-${paths.instance}`, group: GUEST_LINK_GROUP, respect: respectFirewalls },
    });
    firewall.onLost = () => void this.heal();
    this.#watch();
  }

  check(network: NetworkRecord): void {
    const { bridge } = parseBridgeOptions(network);
    for (const { record, options } of this.#networks.values()) {
      if (options.bridge === bridge && record.id !== network.id)
        throw new ConflictError(
          `cannot create network ${network.id} (${bridge}): conflicts with network ${record.id} (${record.name}): networks have same bridge name`,
          { subject: bridge },
        );
    }
  }

  adopted(network: NetworkRecord): readonly IpPrefix[] {
    const link = this.#route.findLink(parseBridgeOptions(network).bridge);
    if (!link || this.#isOwn(link) || isHalfMade(link)) return [];
    return this.#addressesOf(link).filter(({ family }) => family === 4);
  }

  async ensure(network: NetworkRecord): Promise<void> {
    const live = this.#ensureLink(network);
    this.#networks.set(network.id, live);
    const policy = { allowDirectRouting: this.#allowDirectRouting };
    this.firewall.addNetwork(toFirewallNetwork(network, live.options, policy));
    keepForwarding();
  }

  async remove(network: NetworkRecord): Promise<void> {
    const live = this.#networks.get(network.id);
    const { bridge } = parseBridgeOptions(network);
    this.#networks.delete(network.id);
    this.#broken.delete(network.id);
    try {
      this.firewall.removeNetwork(bridge);
    } finally {
      const link = this.#route.findLink(bridge);
      if (link && !live?.foreign && link.alias === this.#aliasOf(network.id)) this.#route.deleteLink(bridge);
    }
  }

  attach(network: NetworkRecord, endpoint: EndpointRequest, namespace: NetworkNamespace): void {
    const live = this.#networks.get(network.id);
    if (!live) throw new SystemError(`network ${network.name} is not available`, { subject: network.id });
    try {
      this.#connect(live, endpoint, namespace);
    } catch (error) {
      throw new SystemError(`failed to create endpoint on network ${network.name}: ${messageOf(error)}`, {
        cause: error,
        subject: endpoint.id,
      });
    }
    this.#ports.set(endpoint.id, network.id);
  }

  async ready(): Promise<void> {
    this.#usedAt = performance.now();
    const wanted = this.#wantedOfOthers();
    if (!this.#coexistence.isSettled(wanted)) await this.#coexistence.settle(wanted);
  }

  /** Firewalls of others on this host, and what was done about them. */
  neighbours(): readonly Neighbour[] {
    return this.#coexistence.neighbours;
  }

  /** While containers run, and a moment longer: one that follows finds everything in place. */
  #wantedOfOthers(): { open: boolean; names: string[] } {
    const inUse = this.#ports.size > 0 || (this.#unclaimed?.size ?? 0) > 0;
    if (inUse) this.#usedAt = performance.now();
    const foreign = [...this.#networks.values()].filter((live) => live.foreign);
    return {
      open: performance.now() - this.#usedAt < LINGER_MS,
      names: foreign.map(({ options }) => options.bridge).sort(),
    };
  }

  /** Rules of the old kind are not counted by the kernel's generation: they are looked at every time. */
  async #settleWithOthers(): Promise<void> {
    const generation = this.firewall.generation();
    const wanted = this.#wantedOfOthers();
    const changed = generation !== this.#seenGeneration || existsSync(LEGACY_TABLES);
    if (!changed && this.#coexistence.isSettled(wanted)) return;
    await this.#coexistence.settle(wanted);
    this.#seenGeneration = generation;
  }

  forget(endpointId: EndpointId): void {
    this.#ports.delete(endpointId);
  }

  detach(_network: NetworkRecord, { id: endpointId }: AttachedEndpoint): void {
    this.#ports.delete(endpointId);
    this.#route.deleteLink(this.#portName(endpointId));
  }

  route(
    namespace: NetworkNamespace,
    interfaceName: string,
    { gateways, former }: Parameters<NetworkDriver["route"]>[2],
  ): void {
    try {
      setDefaultRoutes(namespace.descriptor, interfaceName, {
        gateways: gateways.map(toRawAddress),
        former: former.map(toRawAddress),
      });
    } catch (error) {
      const reason = hasCode(error, "EEXIST") ? "file exists" : messageOf(error);
      throw new SystemError(`failed to set gateway: ${reason}`, { cause: error, subject: namespace.id });
    }
  }

  async recover(networks: readonly NetworkRecord[], endpoints: ReadonlySet<EndpointId>): Promise<void> {
    const owned = new Set([...endpoints].map((id) => this.#portName(id)));
    const aliases = new Set(networks.map(({ id }) => this.#aliasOf(id)));
    for (const link of this.#route.links()) {
      const staleVeth = link.name.startsWith(this.#portPrefix()) && !owned.has(link.name);
      const staleBridge = this.#isOwn(link) && !aliases.has(link.alias);
      if (staleVeth || staleBridge) this.#route.deleteLink(link.name);
    }
    for (const network of networks) {
      try {
        await this.ensure(network);
      } catch (error) {
        log("error", "cannot restore network", { network: network.name, error });
      }
    }
    this.#unclaimed = new Set(endpoints);
    await this.#settleWithOthers();
  }

  adopt(network: NetworkRecord, endpointId: EndpointId): void {
    this.#ports.set(endpointId, network.id);
    this.#unclaimed?.delete(endpointId);
  }

  interfacePrefix(network: NetworkRecord): string {
    return parseBridgeOptions(network).interfacePrefix;
  }

  bindAddress(network: NetworkRecord): string | undefined {
    return parseBridgeOptions(network).bindAddress;
  }

  exposure(network: NetworkRecord, family: 4 | 6): PortExposure | undefined {
    const { gatewayMode4, gatewayMode6, trustedInterfaces } = parseBridgeOptions(network);
    if ((family === 4 ? gatewayMode4 : gatewayMode6) === "routed") return "routed";
    return this.#allowDirectRouting || trustedInterfaces.length > 0 ? "direct" : undefined;
  }

  /** Puts rules, bridges and their ports back where somebody took them away. Never rejects. */
  async heal(): Promise<void> {
    this.#healing = this.#healing.then(() => this.#heal());
    await this.#healing;
  }

  async #heal(): Promise<void> {
    if (this.#closed) return;
    try {
      if (await this.firewall.heal()) log("warn", "firewall rules were changed by another program: restored");
      if (this.#closed) return;
      if (this.#networks.size > 0) keepForwarding();
      await this.#settleWithOthers();
    } catch (error) {
      // Without rules there are no bridges to be restored: nothing would keep them apart.
      if (!this.#closed) log("error", "cannot restore the firewall", { error });
      return;
    }
    for (const live of this.#networks.values()) this.#tryToHeal(live);
  }

  /** One network that cannot be had back stops no other; it is complained of once for each reason. */
  #tryToHeal(live: LiveNetwork): void {
    const { id, name } = live.record;
    try {
      this.#healNetwork(live);
      this.#broken.delete(id);
    } catch (error) {
      const reason = messageOf(error);
      if (this.#broken.get(id) !== reason) log("error", "cannot restore network", { network: name, error });
      this.#broken.set(id, reason);
    }
  }

  /** The next look comes a while after the last one ended, however long that took. */
  #watch(): void {
    if (this.#closed) return;
    this.#watcher = setTimeout(() => void this.heal().finally(() => this.#watch()), HEAL_INTERVAL_MS);
    this.#watcher.unref();
  }

  /** Containers go on. If there are none, nothing of the networks stays in the kernel: boot makes it anew. */
  [Symbol.dispose](): void {
    clearTimeout(this.#watcher);
    this.#closed = true;
    if (this.#ports.size === 0 && this.#unclaimed?.size === 0) this.#coexistence.leave();
    if (this.#ports.size === 0 && this.#unclaimed?.size === 0) this.#removeAll();
    this.firewall[Symbol.dispose]();
    this.#route[Symbol.dispose]();
  }

  #removeAll(): void {
    for (const link of this.#route.links()) if (this.#isOwn(link)) this.#route.deleteLink(link.name);
    if (yieldForwarding(this.#route.links())) this.firewall.remove();
  }

  #healNetwork({ record, options, foreign }: LiveNetwork): void {
    const found = this.#route.findLink(options.bridge);
    if (foreign || (found?.up && this.#isOwn(found))) return;
    this.#ensureLink(record);
    const { index } = this.#route.getLink(options.bridge);
    for (const [endpointId, networkId] of this.#ports) {
      const port = networkId === record.id ? this.#route.findLink(this.#portName(endpointId)) : undefined;
      if (!port) continue;
      this.#route.apply("restore bridge port", encodeSetLink(port.index, { master: index, up: true }));
      this.#route.apply("set bridge port flags", ...portFlags(port, options));
      settleLink(port.name);
    }
    log("warn", "bridge was gone: restored", { network: record.name, bridge: options.bridge });
  }

  /** Makes the bridge if it is not there, and gives it the gateways that it should have. */
  #ensureLink(record: NetworkRecord): LiveNetwork {
    const options = parseBridgeOptions(record);
    const gateways = gatewaysOf(record, options);
    let link = this.#route.findLink(options.bridge);
    if (link && isHalfMade(link)) {
      this.#route.deleteLink(options.bridge);
      link = undefined;
    }
    if (link && !this.#isOwn(link)) {
      const has = this.#addressesOf(link);
      if (
        link.kind !== "bridge" ||
        !gateways.every((gateway) => has.some((own) => own.value === gateway.value))
      )
        throw new InvalidParameterError(
          `link ${options.bridge} exists already and is not a bridge with the network's gateway`,
          { subject: options.bridge },
        );
      this.#allowLoopbackRouting(options.bridge);
      return { record, options, foreign: true, mtu: options.mtu ?? this.#mtu ?? link.mtu };
    }
    if (link && link.alias !== this.#aliasOf(record.id)) {
      this.#route.deleteLink(options.bridge);
      link = undefined;
    }
    try {
      const mtu = options.mtu ?? this.#mtu ?? this.#uplinkMtu();
      link ??= this.#createLink(record, options, gateways);
      this.#syncAddresses(link, gateways);
      this.#setBridgeDefaults(record, options);
      // Set, not created with: only then the bridge keeps it when ports come and go.
      this.#route.apply(`bring ${options.bridge} up`, encodeSetLink(link.index, { up: true, mtu }));
      return { record, options, foreign: false, mtu };
    } catch (error) {
      this.#route.deleteLink(options.bridge);
      throw new SystemError(`failed to create bridge ${options.bridge}: ${messageOf(error)}`, {
        cause: error,
        subject: record.id,
      });
    }
  }

  #createLink(record: NetworkRecord, options: BridgeOptions, gateways: readonly IpPrefix[]): Link {
    const [address] = gateways;
    this.#route.apply(
      `create bridge ${options.bridge}`,
      encodeCreateBridge({
        name: options.bridge,
        mac: macOf(address ?? { family: 4, value: BigInt(`0x${record.id.slice(0, 8)}`) }),
        group: GUEST_LINK_GROUP,
      }),
    );
    const link = this.#route.getLink(options.bridge);
    this.#route.apply(
      `name bridge ${options.bridge}`,
      encodeSetLink(link.index, { alias: this.#aliasOf(record.id) }),
    );
    return link;
  }

  #syncAddresses(link: Link, gateways: readonly IpPrefix[]): void {
    const has = this.#addressesOf(link);
    const same = (a: IpPrefix, b: IpPrefix) => a.value === b.value && a.length === b.length;
    for (const old of has) {
      const linkLocal = old.family === 6 && old.value >> 118n === 0x3fan;
      if (!linkLocal && !gateways.some((wanted) => same(old, wanted)))
        this.#route.apply("remove bridge address", encodeDeleteAddress(link.index, toRaw(old)));
    }
    for (const gateway of gateways) {
      if (!has.some((old) => same(old, gateway))) {
        if (gateway.family === 6) writeSysctl(`net/ipv6/conf/${link.name}/disable_ipv6`, "0");
        this.#route.apply(
          `address ${formatAddress(gateway)} of ${link.name}`,
          encodeAddAddress(link.index, toRaw(gateway)),
        );
      }
    }
  }

  /** A bridge listens to no router advertisements of its containers, and speaks IPv6 only if its network does. */
  #setBridgeDefaults(record: NetworkRecord, { bridge }: BridgeOptions): void {
    this.#allowLoopbackRouting(bridge);
    writeSysctl(`net/ipv6/conf/${bridge}/accept_ra`, "0");
    writeSysctl(`net/ipv6/conf/${bridge}/disable_ipv6`, record.enableIPv6 ? "0" : "1");
    if (record.enableIPv6 && !record.internal) {
      const uplinks = this.#route.routes().filter(({ destination }) => !destination);
      const links = this.#route.links().filter(({ index }) => uplinks.some((route) => route.index === index));
      enableIPv6Forwarding(links.map(({ name }) => name));
    }
  }

  /** The host reaches published ports at 127.0.0.1 through the bridge; the firewall's guard keeps others out. */
  #allowLoopbackRouting(bridge: string): void {
    writeSysctl(`net/ipv4/conf/${bridge}/route_localnet`, "1");
  }

  #connect({ options, mtu }: LiveNetwork, endpoint: EndpointRequest, namespace: NetworkNamespace): void {
    const bridge = this.#route.getLink(options.bridge);
    const name = this.#portName(endpoint.id);
    this.#route.apply(
      `create veth ${name}`,
      encodeCreateVeth({
        name,
        mtu,
        master: bridge.index,
        peer: { name: endpoint.interfaceName, mac: endpoint.mac, namespace: namespace.descriptor },
      }),
    );
    const port = this.#route.getLink(name);
    this.#route.apply(
      `set up bridge port ${name}`,
      encodeForwardingEntry(port.index, endpoint.mac),
      ...portFlags(port, options),
    );
    configureLink(namespace.descriptor, toLinkSetup(endpoint));
    settleLink(name);
  }

  #uplinkMtu(): number {
    const uplink = this.#route.routes().find(({ destination, family }) => !destination && family === 4);
    return this.#route.links().find(({ index }) => index === uplink?.index)?.mtu ?? DEFAULT_MTU;
  }

  #addressesOf(link: Link): IpPrefix[] {
    return this.#route
      .addresses()
      .filter(({ index }) => index === link.index)
      .map(({ family, bytes, length }) => ({ ...fromBytes(family, bytes), length }));
  }

  #aliasOf(id: NetworkId): string {
    return `gantry-${this.#instance} ${id}`;
  }

  #isOwn(link: Link): boolean {
    return link.alias.startsWith(`gantry-${this.#instance} `);
  }

  #portPrefix(): string {
    return `gv${this.#instance.slice(0, 6)}`;
  }

  #portName(id: EndpointId): string {
    return this.#portPrefix() + id.slice(0, 7);
  }
}

/** A bridge of an engine that was killed before it could put its alias there: the group is given at birth. */
function isHalfMade({ kind, group, alias }: Link): boolean {
  return kind === "bridge" && group === GUEST_LINK_GROUP && alias === "";
}

/**
 * With br_netfilter (another engine may have loaded it) an address that is translated to one on the same bridge is
 * bridged, not routed: a container then reaches its own published port only by a port in hairpin mode.
 */
function portFlags(port: Link, { icc }: BridgeOptions): NetlinkMessage[] {
  const hairpin = existsSync(BRIDGE_NETFILTER) && readFileSync(BRIDGE_NETFILTER, "utf8").trim() === "1";
  return hairpin || !icc ? [encodePortFlags(port.index, { hairpin, isolated: !icc })] : [];
}

/** Absent means a kernel without IPv6: nothing to set then. */
function writeSysctl(path: string, value: string): void {
  const file = `/proc/sys/${path}`;
  if (existsSync(file) && readFileSync(file, "utf8").trim() !== value) writeFileSync(file, value);
}

/** The addresses that the bridge has. */
function gatewaysOf(record: NetworkRecord, options: BridgeOptions): IpPrefix[] {
  const hasAddress = (family: 4 | 6) =>
    family === 4
      ? options.gatewayMode4 !== "isolated" && !options.inhibitIPv4
      : options.gatewayMode6 !== "isolated";
  return record.ipam.subnets
    .flatMap(({ subnet, gateway }) =>
      gateway ? [{ ...parseAddress(gateway), length: parsePrefix(subnet).length }] : [],
    )
    .filter(({ family }) => hasAddress(family));
}

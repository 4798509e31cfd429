/**
 * One table, `inet gantry-<instance>`: rules written at boot, then only elements of its sets and maps change.
 * It speaks about this engine's bridges alone and leaves every other packet to other tables.
 *
 * The rules, in the order a packet meets them:
 *   guard        nothing that comes from a bridge carries a 127/8 address: the bridges route it (route_localnet)
 *                so that the host reaches published ports by loopback, and containers must not profit
 *   publish      host address, protocol and port lead to a container; 127/8 only for what the host itself sends
 *   forward      user rules first · inside a bridge: as the network says · internal networks: nothing else ·
 *                into a bridge: answers and published ports · out of a bridge: yes
 *   postrouting  networks with NAT leave by the host's address; a container that reaches its own network through
 *                the host's address, and the host through loopback, are seen as the bridge; other clients as they are
 *                (br_netfilter shows packets that it translated within a bridge without the link they came from)
 */
import { readFileSync, writeFileSync } from "node:fs";
import { hasCode } from "../../base/error-codes.ts";
import { parseAddress, toBytes } from "../../core/ipam.ts";
import type { NetworkRecord, PublishedPort } from "../../core/network-driver.ts";
import { u16be } from "../../linux/netlink.ts";
import {
  concatenated,
  type ElementChange,
  elementText,
  interfaceKey,
  NftablesSocket,
  type SetElement,
} from "../../linux/netlink-nftables.ts";
import { applyRules, deleteTable, listTable, NftablesError, type NftObject } from "../../linux/nftables.ts";
import type { BridgeOptions, GatewayMode } from "./options.ts";

const PROTOCOL = { tcp: 6, udp: 17, sctp: 132 } as const;
const CHAINS = [
  "guard",
  "prerouting",
  "output",
  "publish",
  "forward",
  "inbound",
  "postrouting",
  "bridged",
] as const;

/** The group that the bridges of every engine of this kind carry, so that engines side by side let each other pass. */
export const GUEST_LINK_GROUP = 0x67616e;

/** A network as the rules see it. */
export interface FirewallNetwork {
  readonly bridge: string;
  readonly internal: boolean;
  readonly masquerade4: boolean;
  readonly masquerade6: boolean;
  readonly icc: boolean;
  /** Leave by these addresses instead of the uplink's. */
  readonly sourceAddress: string | undefined;
  readonly sourceAddress6?: string;
  /** Everything is reached at the containers' own addresses. */
  readonly open4?: boolean;
  readonly open6?: boolean;
  /** Published ports are reached at the containers' own addresses, by everybody. */
  readonly direct?: boolean;
  /** Nothing is translated: errors and echoes of ICMP pass, as with any router. */
  readonly routed4?: boolean;
  readonly routed6?: boolean;
  /** The same for who comes from these links. */
  readonly trustedInterfaces?: readonly string[];
}

export interface FirewallPolicy {
  /** Published ports of all networks are reached at the containers' own addresses. */
  readonly allowDirectRouting?: boolean;
}

/** What the rules have to know of a network. */
export function toFirewallNetwork(
  record: NetworkRecord,
  options: BridgeOptions,
  { allowDirectRouting = false }: FirewallPolicy = {},
): FirewallNetwork {
  const { gatewayMode4: mode4, gatewayMode6: mode6 } = options;
  const outward = !record.internal;
  const translates = (mode: GatewayMode) => mode !== "routed" && mode !== "isolated";
  return {
    bridge: options.bridge,
    internal: record.internal,
    masquerade4: record.enableIPv4 && outward && options.masquerade && translates(mode4),
    masquerade6: record.enableIPv6 && outward && options.masquerade && translates(mode6),
    icc: options.icc,
    sourceAddress: options.hostAddress4,
    ...(options.hostAddress6 && { sourceAddress6: options.hostAddress6 }),
    open4: outward && mode4 === "nat-unprotected",
    open6: outward && mode6 === "nat-unprotected",
    direct: outward && (allowDirectRouting || mode4 === "routed" || mode6 === "routed"),
    routed4: outward && mode4 === "routed",
    routed6: outward && mode6 === "routed",
    trustedInterfaces: outward ? options.trustedInterfaces : [],
  };
}

/** The script that makes the table and replaces its rules; sets keep their elements, `user` keeps the user's rules. */
export function toRules(
  table: string,
  options: { guardForwarding: boolean; acceptMark?: { value: number; mask: number } },
): string {
  const t = `inet ${table}`;
  return `
add table ${t}
add chain ${t} user
add chain ${t} guard { type filter hook prerouting priority raw; policy accept; }
add chain ${t} prerouting { type nat hook prerouting priority dstnat; policy accept; }
add chain ${t} output { type nat hook output priority -100; policy accept; }
add chain ${t} forward { type filter hook forward priority filter; policy accept; }
add chain ${t} postrouting { type nat hook postrouting priority srcnat; policy accept; }
add chain ${t} publish
add chain ${t} inbound
add chain ${t} bridged
${CHAINS.map((chain) => `flush chain ${t} ${chain}`).join("\n")}
add set ${t} bridges { type ifname; }
add set ${t} internal { type ifname; }
add set ${t} masquerade4 { type ifname; }
add set ${t} masquerade6 { type ifname; }
add map ${t} source4 { type ifname : ipv4_addr; }
add map ${t} source6 { type ifname : ipv6_addr; }
add set ${t} open4 { type ifname; }
add set ${t} open6 { type ifname; }
add set ${t} direct { type ifname; }
add set ${t} routed4 { type ifname; }
add set ${t} routed6 { type ifname; }
add set ${t} trusted { type ifname . ifname; }
add set ${t} direct4 { type ipv4_addr . inet_proto . inet_service; }
add set ${t} direct6 { type ipv6_addr . inet_proto . inet_service; }
add map ${t} within { type ifname . ifname : verdict; }
add set ${t} hairpin { type ifname . ifname; }
add map ${t} published4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
add map ${t} published4any { type inet_proto . inet_service : ipv4_addr . inet_service; }
add map ${t} published6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }
add map ${t} published6any { type inet_proto . inet_service : ipv6_addr . inet_service; }
add rule ${t} guard iifname @bridges ip daddr 127.0.0.0/8 drop
add rule ${t} guard iifname @bridges ip saddr 127.0.0.0/8 drop
add rule ${t} prerouting ip daddr 127.0.0.0/8 return
add rule ${t} prerouting ip6 daddr ::1 return
add rule ${t} prerouting jump publish
add rule ${t} output jump publish
add rule ${t} publish dnat ip to ip daddr . meta l4proto . th dport map @published4
add rule ${t} publish meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @published4any
add rule ${t} publish dnat ip6 to ip6 daddr . meta l4proto . th dport map @published6
add rule ${t} publish meta nfproto ipv6 ip6 daddr != ::1 fib daddr type local dnat ip6 to meta l4proto . th dport map @published6any
add rule ${t} forward jump user
add rule ${t} forward iifname . oifname vmap @within
add rule ${t} forward iifname @internal drop
add rule ${t} forward oifname @internal drop
add rule ${t} forward oifname @bridges goto inbound
add rule ${t} forward iifname @bridges accept
${options.guardForwarding ? guardRules(t) : ""}
add rule ${t} inbound ct state established,related accept
add rule ${t} inbound ct status dnat accept
${options.acceptMark ? `add rule ${t} inbound meta mark and ${options.acceptMark.mask} == ${options.acceptMark.value} accept` : ""}
add rule ${t} inbound meta nfproto ipv4 oifname @open4 accept
add rule ${t} inbound meta nfproto ipv6 oifname @open6 accept
add rule ${t} inbound oifname @direct ip daddr . meta l4proto . th dport @direct4 accept
add rule ${t} inbound oifname @direct ip6 daddr . meta l4proto . th dport @direct6 accept
add rule ${t} inbound iifname . oifname @trusted ip daddr . meta l4proto . th dport @direct4 accept
add rule ${t} inbound iifname . oifname @trusted ip6 daddr . meta l4proto . th dport @direct6 accept
add rule ${t} inbound oifname @routed4 icmp type { echo-request, destination-unreachable, time-exceeded } accept
add rule ${t} inbound oifname @routed6 icmpv6 type { echo-request, destination-unreachable, packet-too-big, time-exceeded } accept
add rule ${t} inbound drop
add rule ${t} postrouting oifname @bridges goto bridged
add rule ${t} postrouting snat ip to iifname map @source4
add rule ${t} postrouting snat ip6 to iifname map @source6
add rule ${t} postrouting meta nfproto ipv4 iifname @masquerade4 masquerade
add rule ${t} postrouting meta nfproto ipv6 iifname @masquerade6 masquerade
add rule ${t} bridged ct status dnat iifname . oifname @hairpin masquerade
add rule ${t} bridged ct status dnat ip saddr 127.0.0.0/8 masquerade
add rule ${t} bridged ct status dnat meta iif 0 fib saddr type != local masquerade
`;
}

/** Bridges that other programs make for their own guests and guard themselves. */
export const FOREIGN_BRIDGES = ["docker*", "br-*", "virbr*", "podman*", "cni*", "lxcbr*", "incusbr*"];

/** The host became a router for containers alone: between its other links nothing passes (moby issue 14041). */
function guardRules(table: string): string {
  const guests = [`group ${GUEST_LINK_GROUP}`, ...FOREIGN_BRIDGES.map((name) => `name "${name}"`)];
  return [...guests.flatMap((match) => [`iif${match} accept`, `oif${match} accept`]), "drop"]
    .map((rule) => `add rule ${table} forward ${rule}`)
    .join("\n");
}

function networkElements(network: FirewallNetwork): ElementChange[] {
  const name = interfaceKey(network.bridge);
  const pair = concatenated(name, name);
  const changes: ElementChange[] = [
    { set: "bridges", add: [{ key: name }] },
    { set: "hairpin", add: [{ key: pair }] },
    { set: "within", add: [{ key: pair, data: network.icc ? { accept: true } : { goto: "inbound" } }] },
  ];
  if (network.internal) changes.push({ set: "internal", add: [{ key: name }] });
  if (network.masquerade4) changes.push({ set: "masquerade4", add: [{ key: name }] });
  if (network.masquerade6) changes.push({ set: "masquerade6", add: [{ key: name }] });
  if (network.sourceAddress && network.masquerade4) {
    const value = toBytes(parseAddress(network.sourceAddress));
    changes.push({ set: "source4", add: [{ key: name, data: { value } }] });
  }
  if (network.sourceAddress6 && network.masquerade6) {
    const value = toBytes(parseAddress(network.sourceAddress6));
    changes.push({ set: "source6", add: [{ key: name, data: { value } }] });
  }
  for (const set of ["open4", "open6", "direct", "routed4", "routed6"] as const)
    if (network[set]) changes.push({ set, add: [{ key: name }] });
  for (const trusted of network.trustedInterfaces ?? [])
    changes.push({ set: "trusted", add: [{ key: concatenated(interfaceKey(trusted), name) }] });
  return changes;
}

/** Of one container several of the host's ports may lead to the same of its own: that one is told once. */
function portElements(ports: Iterable<PublishedPort>): ElementChange[] {
  const direct = new Map<string, ElementChange>();
  const translated: ElementChange[] = [];
  for (const port of ports) {
    if (port.exposure !== "routed") translated.push(translatedElement(port));
    if (port.exposure) direct.set(`${port.protocol} ${port.address} ${port.port}`, directElement(port));
  }
  return [...translated, ...direct.values()];
}

function directElement(port: PublishedPort): ElementChange {
  const address = parseAddress(port.address);
  const key = concatenated(toBytes(address), Buffer.of(PROTOCOL[port.protocol]), u16be(port.port));
  return { set: `direct${address.family}`, add: [{ key }] };
}

function translatedElement(port: PublishedPort): ElementChange {
  const host = parseAddress(port.hostAddress);
  const service = [Buffer.of(PROTOCOL[port.protocol]), u16be(port.hostPort)];
  const everywhere = host.value === 0n;
  const key = everywhere ? concatenated(...service) : concatenated(toBytes(host), ...service);
  const value = concatenated(toBytes(parseAddress(port.address)), u16be(port.port));
  const element: SetElement = { key, data: { value } };
  return { set: `published${host.family}${everywhere ? "any" : ""}`, add: [element] };
}

/** The same change the other way round. */
function undone({ set, add = [] }: ElementChange): ElementChange {
  return { set, remove: add.map(({ key }) => ({ key })) };
}

const SETS = [
  "bridges",
  "internal",
  "masquerade4",
  "masquerade6",
  "source4",
  "source6",
  "open4",
  "open6",
  "direct",
  "routed4",
  "routed6",
  "trusted",
  "direct4",
  "direct6",
  "within",
  "hairpin",
  "published4",
  "published4any",
  "published6",
  "published6any",
] as const;

/**
 * What is noted here is what should be in force. A change that the kernel refuses is not noted, unless the table is
 * not there at all: then it counts, and whoever heals is called (`onLost`).
 */
export class Firewall implements Disposable {
  readonly #table: string;
  readonly #socket = NftablesSocket.open();
  readonly #networks = new Map<string, FirewallNetwork>();
  readonly #ports = new Set<PublishedPort>();
  readonly #rules: Parameters<typeof toRules>[1];
  /** The kernel's, when the table was last found to be right. */
  #generation = 0;
  #closed = false;
  #expected = "";
  /** Elements that nobody noted are wrong: not before boot has taken over what a former daemon left. */
  #reclaimed = false;
  /** Somebody took the table away; `heal` brings it back. */
  onLost: () => void = () => {};

  /** @param instance of the engine; @param guardForwarding the host was no router before this engine made it one */
  constructor(instance: string, options: Parameters<typeof toRules>[1]) {
    this.#table = `gantry-${instance}`;
    this.#rules = options;
  }

  /**
   * Makes the table, or brings it up to date, with everything that was noted so far.
   * What a former daemon led to containers that may still run stays; `reclaim` ends that.
   */
  async install(): Promise<void> {
    const script = toRules(this.#table, this.#rules);
    try {
      await applyRules(script);
    } catch (error) {
      if (!(error instanceof NftablesError)) throw error;
      // A table of an earlier version, with other types: make it anew.
      await deleteTable(this.#table);
      await applyRules(script);
    }
    if (this.#closed) return;
    this.#writeAllElements({ others: this.#reclaimed ? "remove" : "keep" });
    this.#expected = fingerprint(await listTable(this.#table));
    if (!this.#closed) this.#generation = this.#socket.generation();
  }

  addNetwork(network: FirewallNetwork): void {
    const before = this.#networks.get(network.bridge);
    this.#networks.set(network.bridge, network);
    try {
      this.#change([...(before ? networkElements(before).map(undone) : []), ...networkElements(network)]);
    } catch (error) {
      if (before) this.#networks.set(network.bridge, before);
      else this.#networks.delete(network.bridge);
      throw error;
    }
  }

  removeNetwork(bridge: string): void {
    const network = this.#networks.get(bridge);
    if (!network) return;
    this.#networks.delete(bridge);
    this.#remove(networkElements(network));
  }

  addPorts(ports: readonly PublishedPort[]): void {
    for (const port of ports) this.#ports.add(port);
    try {
      this.#change(portElements(ports));
    } catch (error) {
      for (const port of ports) this.#ports.delete(port);
      throw error;
    }
  }

  removePorts(ports: readonly PublishedPort[]): void {
    for (const port of ports) this.#ports.delete(port);
    this.#remove(portElements(ports));
  }

  /** Takes the whole table away: nothing of this engine runs any more. */
  remove(): void {
    this.#socket.deleteTable(this.#table);
  }

  /** Takes away every element that nobody added since the start. */
  reclaim(): void {
    this.#reclaimed = true;
    this.#writeAllElements({ others: "remove" });
  }

  /** Counts every change of anybody's rules. */
  generation(): number {
    return this.#socket.generation();
  }

  /** Puts back what somebody else took away, and takes away what is not ours. True if there was something to do. */
  async heal(): Promise<boolean> {
    const generation = this.#socket.generation();
    if (generation === this.#generation) return false;
    const listing = await listTable(this.#table);
    if (this.#closed) return false;
    if (fingerprint(listing) !== this.#expected) {
      await this.install();
      return true;
    }
    if (this.#hasItsElements()) {
      this.#generation = generation;
      return false;
    }
    this.#writeAllElements({ others: "remove" });
    return true;
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#socket[Symbol.dispose]();
  }

  /** When the kernel's elements are not what we think, they are written anew, all of them. */
  #change(changes: readonly ElementChange[]): void {
    if (changes.length === 0) return;
    try {
      this.#socket.changeElements(this.#table, changes);
    } catch {
      this.#writeAllElements({ others: "remove" });
    }
  }

  /** What stays in the kernel although nobody wants it is found by the next `heal`. */
  #remove(changes: readonly ElementChange[]): void {
    try {
      this.#change(changes.map(undone));
    } catch (error) {
      this.#generation = 0;
      throw error;
    }
  }

  #noted(): ElementChange[] {
    return [...[...this.#networks.values()].flatMap(networkElements), ...portElements(this.#ports)];
  }

  #writeAllElements({ others }: { others: "keep" | "remove" }): void {
    const emptied = others === "remove" ? SETS.map((set) => ({ set, flush: true })) : [];
    try {
      this.#socket.changeElements(this.#table, [...emptied, ...this.#noted()]);
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error;
      this.onLost();
    }
  }

  #hasItsElements(): boolean {
    if (!this.#reclaimed) return true;
    const noted = new Map<string, Set<string>>(SETS.map((set) => [set, new Set()]));
    for (const { set, add = [] } of this.#noted())
      for (const element of add) noted.get(set)?.add(elementText(element));
    return [...noted].every(
      ([set, wanted]) => this.#socket.elements(this.#table, set).symmetricDifference(wanted).size === 0,
    );
  }
}

/** The rules of a listing, without what changes by itself; `user` is not ours to compare. */
function fingerprint(listing: readonly NftObject[] | undefined): string {
  if (!listing) return "";
  return JSON.stringify(
    listing.filter(
      ({ rule, chain, metainfo }) => !metainfo && rule?.chain !== "user" && chain?.name !== "user",
    ),
    // Older versions of nft list the elements all the same.
    (key, value: unknown) => (key === "handle" || key === "elem" ? undefined : value),
  );
}

const IPV6_FORWARDING = "/proc/sys/net/ipv6/conf/all/forwarding";

/** A host that took its IPv6 routes from router advertisements keeps doing so as a router. */
export function enableIPv6Forwarding(interfaces: readonly string[]): void {
  if (readFileSync(IPV6_FORWARDING, "utf8").trim() === "1") return;
  for (const name of interfaces) {
    const path = `/proc/sys/net/ipv6/conf/${name}/accept_ra`;
    if (readFileSync(path, "utf8").trim() === "1") writeFileSync(path, "2");
  }
  writeFileSync(IPV6_FORWARDING, "1");
}

/**
 * rtnetlink: links, addresses, routes and bridge forwarding entries. Encoders are pure functions (tested against
 * golden bytes of iproute2); `RouteSocket` sends them. Objects are named by what the kernel names them by.
 * @see https://man7.org/linux/man-pages/man7/rtnetlink.7.html
 */
import { constants } from "node:os";
import { hasCode } from "../base/error-codes.ts";
import { LinuxError } from "./libc.ts";
import {
  attribute,
  NETLINK,
  type NetlinkMessage,
  NetlinkSocket,
  NLM_F,
  nested,
  parseAttributes,
  text,
  textOf,
  u8,
  u16,
  u32,
} from "./netlink.ts";

const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
  NEWNEIGH: 28,
} as const;
const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  PROTINFO: 12,
  LINKINFO: 18,
  IFALIAS: 20,
  GROUP: 27,
  NET_NS_FD: 28,
} as const;
const IFLA_INFO = { KIND: 1, DATA: 2 } as const;
const VETH_INFO_PEER = 1;
const IFLA_BR_MCAST_SNOOPING = 23;
const IFLA_BRPORT = { HAIRPIN: 4, ISOLATED: 33 } as const;
const IFA = { ADDRESS: 1, LOCAL: 2, BROADCAST: 4, FLAGS: 8 } as const;
const IFA_F_NODAD = 2;
const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, TABLE: 15 } as const;
const NDA_LLADDR = 2;
const NTF_MASTER = 4;
const NTF_STICKY = 0x40;
const NUD_NOARP = 0x40;
const IFF_UP = 1;
const AF_BRIDGE = 7;
const AF = { 4: 2, 6: 10 } as const;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RT_SCOPE = { UNIVERSE: 0, LINK: 253 } as const;
const RTN_UNICAST = 1;

/** An address as the wire has it: 4 or 16 bytes, network order. */
export interface RawAddress {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
}

export interface RawPrefix extends RawAddress {
  /** Bits. */
  readonly length: number;
}

export interface Link {
  readonly index: number;
  readonly name: string;
  /** `bridge`, `veth`, … empty for hardware and loopback. */
  readonly kind: string;
  readonly alias: string;
  /** Lower-case with colons. */
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  /** Index of the bridge that it is a port of, 0 for none. */
  readonly master: number;
  readonly group: number;
}

export interface LinkAddress extends RawPrefix {
  readonly index: number;
}

export interface Route {
  readonly family: 4 | 6;
  /** undefined is the default route. */
  readonly destination: RawPrefix | undefined;
  readonly gateway: RawAddress | undefined;
  readonly index: number;
  readonly metric: number;
  readonly table: number;
}

export interface VethRequest {
  /** The host's end. */
  readonly name: string;
  readonly mtu: number;
  /** Index of the bridge that the host's end becomes a port of. */
  readonly master: number;
  readonly peer: {
    readonly name: string;
    readonly mac: string;
    /** An open file of the namespace that it is born in: moving it there later costs 30 ms. */
    readonly namespace: number;
  };
}

function linkHeader(family: number, index: number, flags = 0, change = 0): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt8(family, 0);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(flags, 8);
  bytes.writeUInt32LE(change, 12);
  return bytes;
}

/** `02:42:ac:11:00:02` → six bytes. @throws LinuxError EINVAL */
function encodeMac(mac: string): Buffer {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)) throw new LinuxError("mac", constants.errno.EINVAL, mac);
  return Buffer.from(mac.replaceAll(":", ""), "hex");
}

function linkInfo(kind: string, ...data: readonly Uint8Array[]): Buffer {
  const parts = [attribute(IFLA_INFO.KIND, Buffer.from(kind))];
  if (data.length > 0) parts.push(nested(IFLA_INFO.DATA, ...data));
  return nested(IFLA.LINKINFO, ...parts);
}

export function encodeCreateBridge(bridge: { name: string; mac: string; group: number }): NetlinkMessage {
  return {
    type: RTM.NEWLINK,
    flags: NLM_F.CREATE | NLM_F.EXCL,
    body: Buffer.concat([
      linkHeader(0, 0),
      attribute(IFLA.IFNAME, text(bridge.name)),
      attribute(IFLA.ADDRESS, encodeMac(bridge.mac)),
      attribute(IFLA.GROUP, u32(bridge.group)),
      linkInfo("bridge", attribute(IFLA_BR_MCAST_SNOOPING, u8(0))),
    ]),
  };
}

/** The pair in one message: the host's end a port of its bridge and up, the peer in its namespace under its final name. */
export function encodeCreateVeth(veth: VethRequest): NetlinkMessage {
  const peer = nested(
    VETH_INFO_PEER,
    linkHeader(0, 0),
    attribute(IFLA.IFNAME, text(veth.peer.name)),
    attribute(IFLA.ADDRESS, encodeMac(veth.peer.mac)),
    attribute(IFLA.MTU, u32(veth.mtu)),
    attribute(IFLA.NET_NS_FD, u32(veth.peer.namespace)),
  );
  return {
    type: RTM.NEWLINK,
    flags: NLM_F.CREATE | NLM_F.EXCL,
    body: Buffer.concat([
      linkHeader(0, 0, IFF_UP, IFF_UP),
      attribute(IFLA.IFNAME, text(veth.name)),
      attribute(IFLA.MTU, u32(veth.mtu)),
      attribute(IFLA.MASTER, u32(veth.master)),
      linkInfo("veth", peer),
    ]),
  };
}

/** Modes of macvlan as the kernel numbers them. @see linux/if_link.h enum macvlan_mode */
export const MACVLAN_MODE = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
/** @see linux/if_link.h enum ipvlan_mode, IPVLAN_F_* */
export const IPVLAN_MODE = { l2: 0, l3: 1, l3s: 2 } as const;
export const IPVLAN_FLAG = { bridge: 0, private: 1, vepa: 2 } as const;
const IFLA_MACVLAN_MODE = 1;
const IFLA_IPVLAN = { MODE: 1, FLAGS: 2 } as const;
const IFLA_VLAN_ID = 1;

export type ParentedKind =
  | { readonly kind: "macvlan"; readonly mode: keyof typeof MACVLAN_MODE }
  | {
      readonly kind: "ipvlan";
      readonly mode: keyof typeof IPVLAN_MODE;
      readonly flag: keyof typeof IPVLAN_FLAG;
    }
  | { readonly kind: "vlan"; readonly id: number };

/** A link upon another one, born in the given namespace, or in this one. */
export function encodeCreateUpon(
  parent: number,
  link: ParentedKind & { readonly name: string; readonly mac?: string; readonly namespace?: number },
): NetlinkMessage {
  const data =
    link.kind === "macvlan"
      ? [attribute(IFLA_MACVLAN_MODE, u32(MACVLAN_MODE[link.mode]))]
      : link.kind === "ipvlan"
        ? [
            attribute(IFLA_IPVLAN.MODE, u16(IPVLAN_MODE[link.mode])),
            attribute(IFLA_IPVLAN.FLAGS, u16(IPVLAN_FLAG[link.flag])),
          ]
        : [attribute(IFLA_VLAN_ID, u16(link.id))];
  return {
    type: RTM.NEWLINK,
    flags: NLM_F.CREATE | NLM_F.EXCL,
    body: Buffer.concat([
      linkHeader(0, 0),
      attribute(IFLA.IFNAME, text(link.name)),
      ...(link.mac ? [attribute(IFLA.ADDRESS, encodeMac(link.mac))] : []),
      attribute(IFLA.LINK, u32(parent)),
      ...(link.namespace === undefined ? [] : [attribute(IFLA.NET_NS_FD, u32(link.namespace))]),
      linkInfo(link.kind, ...data),
    ]),
  };
}

/** Two links of this namespace that are each other's cable. */
export function encodeCreateVethPair(name: string, peer: string): NetlinkMessage {
  const other = nested(VETH_INFO_PEER, linkHeader(0, 0), attribute(IFLA.IFNAME, text(peer)));
  return {
    type: RTM.NEWLINK,
    flags: NLM_F.CREATE | NLM_F.EXCL,
    body: Buffer.concat([linkHeader(0, 0), attribute(IFLA.IFNAME, text(name)), linkInfo("veth", other)]),
  };
}

/** A link with nothing behind it. */
export function encodeCreateDummy(name: string): NetlinkMessage {
  return {
    type: RTM.NEWLINK,
    flags: NLM_F.CREATE | NLM_F.EXCL,
    body: Buffer.concat([linkHeader(0, 0), attribute(IFLA.IFNAME, text(name)), linkInfo("dummy")]),
  };
}

export function encodeSetLink(
  index: number,
  change: { up?: boolean; alias?: string; mtu?: number; master?: number },
): NetlinkMessage {
  const parts = [
    change.up === undefined ? linkHeader(0, index) : linkHeader(0, index, change.up ? IFF_UP : 0, IFF_UP),
  ];
  if (change.alias !== undefined) parts.push(attribute(IFLA.IFALIAS, Buffer.from(change.alias)));
  if (change.mtu !== undefined) parts.push(attribute(IFLA.MTU, u32(change.mtu)));
  if (change.master !== undefined) parts.push(attribute(IFLA.MASTER, u32(change.master)));
  return { type: RTM.SETLINK, body: Buffer.concat(parts) };
}

/**
 * Isolated ports of a bridge do not reach each other, only the bridge itself. A port in hairpin mode may get back what
 * came from it.
 */
export function encodePortFlags(
  index: number,
  flags: { isolated: boolean; hairpin: boolean },
): NetlinkMessage {
  return {
    type: RTM.SETLINK,
    body: Buffer.concat([
      linkHeader(AF_BRIDGE, index),
      nested(
        IFLA.PROTINFO,
        attribute(IFLA_BRPORT.HAIRPIN, u8(flags.hairpin ? 1 : 0)),
        attribute(IFLA_BRPORT.ISOLATED, u8(flags.isolated ? 1 : 0)),
      ),
    ]),
  };
}

export function encodeDeleteLink(index: number): NetlinkMessage {
  return { type: RTM.DELLINK, body: linkHeader(0, index) };
}

function addressHeader(prefix: RawPrefix, index: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt8(AF[prefix.family], 0);
  bytes.writeUInt8(prefix.length, 1);
  bytes.writeUInt8(IFA_F_NODAD, 2);
  bytes.writeUInt32LE(index, 4);
  return bytes;
}

/** Duplicate address detection is off: the allocator knows, and a second of silence at start is too much. */
export function encodeAddAddress(index: number, prefix: RawPrefix): NetlinkMessage {
  const parts = [
    addressHeader(prefix, index),
    attribute(IFA.LOCAL, prefix.bytes),
    attribute(IFA.ADDRESS, prefix.bytes),
  ];
  if (prefix.family === 4 && prefix.length < 31) parts.push(attribute(IFA.BROADCAST, broadcastOf(prefix)));
  return { type: RTM.NEWADDR, flags: NLM_F.CREATE | NLM_F.EXCL, body: Buffer.concat(parts) };
}

export function encodeDeleteAddress(index: number, prefix: RawPrefix): NetlinkMessage {
  return {
    type: RTM.DELADDR,
    body: Buffer.concat([
      addressHeader(prefix, index),
      attribute(IFA.LOCAL, prefix.bytes),
      attribute(IFA.ADDRESS, prefix.bytes),
    ]),
  };
}

function broadcastOf(prefix: RawPrefix): Buffer {
  const bytes = Buffer.from(prefix.bytes);
  bytes.writeUInt32BE((bytes.readUInt32BE() | (0xffffffff >>> prefix.length)) >>> 0);
  return bytes;
}

export interface RouteRequest {
  readonly family: 4 | 6;
  /** undefined is the default route. */
  readonly destination?: RawPrefix;
  /** undefined: reached on the link itself. */
  readonly gateway?: RawAddress;
  readonly index: number;
  readonly metric?: number;
}

function encodeRoute(route: RouteRequest): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt8(AF[route.family], 0);
  header.writeUInt8(route.destination?.length ?? 0, 1);
  header.writeUInt8(RT_TABLE_MAIN, 4);
  header.writeUInt8(RTPROT_BOOT, 5);
  header.writeUInt8(route.gateway ? RT_SCOPE.UNIVERSE : RT_SCOPE.LINK, 6);
  header.writeUInt8(RTN_UNICAST, 7);
  const parts: Buffer[] = [header];
  if (route.destination) parts.push(attribute(RTA.DST, route.destination.bytes));
  if (route.gateway) parts.push(attribute(RTA.GATEWAY, route.gateway.bytes));
  parts.push(attribute(RTA.OIF, u32(route.index)));
  if (route.metric) parts.push(attribute(RTA.PRIORITY, u32(route.metric)));
  return Buffer.concat(parts);
}

export function encodeAddRoute(route: RouteRequest): NetlinkMessage {
  return { type: RTM.NEWROUTE, flags: NLM_F.CREATE | NLM_F.EXCL, body: encodeRoute(route) };
}

export function encodeDeleteRoute(route: RouteRequest): NetlinkMessage {
  return { type: RTM.DELROUTE, body: encodeRoute(route) };
}

/**
 * Tells a bridge behind which port a MAC is, replacing what it learned from a container that is gone. It stays there
 * whatever is heard: a namespace that is being taken down still answers for the address that another one has by now.
 */
export function encodeForwardingEntry(port: number, mac: string): NetlinkMessage {
  const header = Buffer.alloc(12);
  header.writeUInt8(AF_BRIDGE, 0);
  header.writeInt32LE(port, 4);
  header.writeUInt16LE(NUD_NOARP, 8);
  header.writeUInt8(NTF_MASTER | NTF_STICKY, 10);
  return {
    type: RTM.NEWNEIGH,
    flags: NLM_F.CREATE | NLM_F.REPLACE,
    body: Buffer.concat([header, attribute(NDA_LLADDR, encodeMac(mac))]),
  };
}

function parseLink(body: Buffer): Link {
  const attributes = parseAttributes(body, 16);
  const info = attributes.get(IFLA.LINKINFO);
  return {
    index: body.readInt32LE(4),
    name: textOf(attributes.get(IFLA.IFNAME)),
    kind: info ? textOf(parseAttributes(info).get(IFLA_INFO.KIND)) : "",
    alias: textOf(attributes.get(IFLA.IFALIAS)),
    mac:
      attributes
        .get(IFLA.ADDRESS)
        ?.toString("hex")
        .replace(/..(?!$)/g, "$&:") ?? "",
    mtu: attributes.get(IFLA.MTU)?.readUInt32LE() ?? 0,
    up: (body.readUInt32LE(8) & IFF_UP) !== 0,
    master: attributes.get(IFLA.MASTER)?.readUInt32LE() ?? 0,
    group: attributes.get(IFLA.GROUP)?.readUInt32LE() ?? 0,
  };
}

function familyOf(value: number): 4 | 6 | undefined {
  return value === AF[4] ? 4 : value === AF[6] ? 6 : undefined;
}

function parseLinkAddress(body: Buffer): LinkAddress | undefined {
  const family = familyOf(body.readUInt8(0));
  const attributes = parseAttributes(body, 8);
  const bytes = attributes.get(IFA.LOCAL) ?? attributes.get(IFA.ADDRESS);
  if (!family || !bytes) return undefined;
  return { family, bytes, length: body.readUInt8(1), index: body.readUInt32LE(4) };
}

function parseRoute(body: Buffer): Route | undefined {
  const family = familyOf(body.readUInt8(0));
  if (!family || body.readUInt8(7) !== RTN_UNICAST) return undefined;
  const attributes = parseAttributes(body, 12);
  const destination = attributes.get(RTA.DST);
  const gateway = attributes.get(RTA.GATEWAY);
  return {
    family,
    destination: destination && { family, bytes: destination, length: body.readUInt8(1) },
    gateway: gateway && { family, bytes: gateway },
    index: attributes.get(RTA.OIF)?.readUInt32LE() ?? 0,
    metric: attributes.get(RTA.PRIORITY)?.readUInt32LE() ?? 0,
    table: attributes.get(RTA.TABLE)?.readUInt32LE() ?? body.readUInt8(4),
  };
}

/** Links, addresses and routes of one network namespace. */
export class RouteSocket implements Disposable {
  readonly #socket: NetlinkSocket;

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** In the calling thread's network namespace. @throws LinuxError */
  static open(): RouteSocket {
    return new RouteSocket(NetlinkSocket.open(NETLINK.ROUTE));
  }

  /** Sends encoded changes at once. @throws LinuxError of the first one refused; the others are done */
  apply(what: string, ...messages: readonly NetlinkMessage[]): void {
    this.#socket.request(what, ...messages);
  }

  findLink(name: string): Link | undefined {
    try {
      const [body] = this.#socket.query(`find link ${name}`, {
        type: RTM.GETLINK,
        body: Buffer.concat([linkHeader(0, 0), attribute(IFLA.IFNAME, text(name))]),
      });
      return body && parseLink(body);
    } catch (error) {
      if (hasCode(error, "ENODEV")) return undefined;
      throw error;
    }
  }

  /** @throws LinuxError ENODEV */
  getLink(name: string): Link {
    const link = this.findLink(name);
    if (!link) throw new LinuxError("find link", constants.errno.ENODEV, name);
    return link;
  }

  links(): Link[] {
    return this.#dump("list links", RTM.GETLINK, linkHeader(0, 0)).map(parseLink);
  }

  addresses(): LinkAddress[] {
    return this.#dump("list addresses", RTM.GETADDR, Buffer.alloc(8)).flatMap(
      (body) => parseLinkAddress(body) ?? [],
    );
  }

  /** Unicast routes of all tables. */
  routes(): Route[] {
    return this.#dump("list routes", RTM.GETROUTE, Buffer.alloc(12)).flatMap(
      (body) => parseRoute(body) ?? [],
    );
  }

  /** Deletes if it is there. True if it was. @throws LinuxError */
  deleteLink(name: string): boolean {
    const link = this.findLink(name);
    if (!link) return false;
    try {
      this.#socket.request(`delete link ${name}`, encodeDeleteLink(link.index));
      return true;
    } catch (error) {
      if (hasCode(error, "ENODEV")) return false;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #dump(what: string, type: number, body: Uint8Array): Buffer[] {
    return this.#socket.query(what, { type, flags: NLM_F.DUMP, body });
  }
}

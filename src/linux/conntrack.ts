/**
 * Forgetting flows that the kernel tracks. The kernel deletes by exact tuple (filters are ignored by older ones, which
 * would then forget everything), so flows are listed, once for all destinations, and deleted one by one.
 */
import { hasCode } from "../base/error-codes.ts";
import { NETLINK, NetlinkSocket, NLM_F, nested, parseAttributes } from "./netlink.ts";
import { RouteSocket } from "./netlink-route.ts";

const SUBSYSTEM = 1;
const IPCTNL_MSG_CT = { GET: 1, DELETE: 2 } as const;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE = { IP: 1, PROTO: 2 } as const;
const CTA_IP_DESTINATION = { 4: 2, 6: 4 } as const;
const CTA_PROTO = { NUMBER: 1, DESTINATION_PORT: 3 } as const;
const IPPROTO = { tcp: 6, udp: 17, sctp: 132 } as const;
const AF = { 4: 2, 6: 10 } as const;

/** Where flows went at first, before any translation. */
export interface FlowDestination {
  readonly family: 4 | 6;
  /** Network order; `local`: every address of the calling namespace. */
  readonly address: Uint8Array | "local";
  readonly port: number;
}

interface Flow {
  readonly family: number;
  /** The tuple as the kernel wants it for the deletion. */
  readonly tuple: Buffer;
}

function message(type: number, family: number, attributes: Uint8Array, flags = 0) {
  return {
    type: (SUBSYSTEM << 8) | type,
    flags,
    body: Buffer.concat([Buffer.of(family, 0, 0, 0), attributes]),
  };
}

/** Deletes every flow to one of the destinations. @returns how many. @throws LinuxError */
export function deleteFlowsTo(
  protocol: keyof typeof IPPROTO,
  destinations: readonly FlowDestination[],
): number {
  using socket = NetlinkSocket.open(NETLINK.NETFILTER);
  return findFlows(socket, IPPROTO[protocol], destinations).filter((flow) => deleteFlow(socket, flow)).length;
}

function findFlows(
  socket: NetlinkSocket,
  protocol: number,
  destinations: readonly FlowDestination[],
): Flow[] {
  const wanted = new Set(destinations.map(({ family, address, port }) => keyOf(family, address, port)));
  const local = destinations.some(({ address }) => address === "local")
    ? localAddresses()
    : new Set<string>();
  const families = new Set(destinations.map(({ family }) => family));
  const found: Flow[] = [];
  for (const family of families) {
    const request = message(IPCTNL_MSG_CT.GET, AF[family], Buffer.alloc(0), NLM_F.DUMP);
    for (const flow of socket.stream("list flows", request)) {
      const tuple = parseAttributes(flow, 4).get(CTA_TUPLE_ORIG);
      const destination = tuple && destinationOf(tuple, family, protocol);
      if (!destination) continue;
      const { address, port } = destination;
      const isWanted =
        wanted.has(keyOf(family, address, port)) ||
        (wanted.has(keyOf(family, "local", port)) && isLocal(address, local));
      if (isWanted) found.push({ family: AF[family], tuple: Buffer.from(tuple) });
    }
  }
  return found;
}

function keyOf(family: 4 | 6, address: Uint8Array | "local", port: number): string {
  return `${family} ${address === "local" ? address : Buffer.from(address).toString("hex")} ${port}`;
}

function destinationOf(
  tuple: Buffer,
  family: 4 | 6,
  protocol: number,
): { address: Buffer; port: number } | undefined {
  const parts = parseAttributes(tuple);
  const facts = parseAttributes(parts.get(CTA_TUPLE.PROTO) ?? Buffer.alloc(0));
  const address = parseAttributes(parts.get(CTA_TUPLE.IP) ?? Buffer.alloc(0)).get(CTA_IP_DESTINATION[family]);
  const port = facts.get(CTA_PROTO.DESTINATION_PORT)?.readUInt16BE();
  if (facts.get(CTA_PROTO.NUMBER)?.readUInt8() !== protocol || !address || port === undefined)
    return undefined;
  return { address, port };
}

function localAddresses(): Set<string> {
  using route = RouteSocket.open();
  return new Set(route.addresses().map(({ bytes }) => Buffer.from(bytes).toString("hex")));
}

/** All of 127/8 is local, whichever address of it the loopback link carries. */
function isLocal(address: Buffer, local: ReadonlySet<string>): boolean {
  return (address.length === 4 && address[0] === 127) || local.has(address.toString("hex"));
}

/** False if it ended by itself meanwhile. */
function deleteFlow(socket: NetlinkSocket, { family, tuple }: Flow): boolean {
  try {
    socket.request("delete flow", message(IPCTNL_MSG_CT.DELETE, family, nested(CTA_TUPLE_ORIG, tuple)));
    return true;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return false;
    throw error;
  }
}

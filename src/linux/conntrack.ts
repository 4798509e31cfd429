/**
 * Forgetting flows that the kernel tracks. The kernel deletes by exact tuple (filters are ignored by older ones, which
 * would then forget everything), so flows are listed and deleted one by one.
 */
import { isErrno, NETLINK, NetlinkSocket, NLM_F, nested, parseAttributes } from "./netlink.ts";

const SUBSYSTEM = 1;
const IPCTNL_MSG_CT = { GET: 1, DELETE: 2 } as const;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_PROTO = { NUMBER: 1, DESTINATION_PORT: 3 } as const;
const IPPROTO = { tcp: 6, udp: 17, sctp: 132 } as const;

function message(type: number, family: number, attributes: Uint8Array, flags = 0) {
  return {
    type: (SUBSYSTEM << 8) | type,
    flags,
    body: Buffer.concat([Buffer.of(family, 0, 0, 0), attributes]),
  };
}

/** Deletes every flow whose original destination is that port. @returns how many. @throws LinuxError */
export function deleteFlowsTo(protocol: keyof typeof IPPROTO, port: number): number {
  using socket = NetlinkSocket.open(NETLINK.NETFILTER);
  let deleted = 0;
  const flows = socket.query("list flows", message(IPCTNL_MSG_CT.GET, 0, Buffer.alloc(0), NLM_F.DUMP));
  for (const flow of flows) {
    const tuple = parseAttributes(flow, 4).get(CTA_TUPLE_ORIG);
    const proto = tuple && parseAttributes(tuple).get(CTA_TUPLE_PROTO);
    const facts = proto && parseAttributes(proto);
    if (!tuple || facts?.get(CTA_PROTO.NUMBER)?.readUInt8() !== IPPROTO[protocol]) continue;
    if (facts.get(CTA_PROTO.DESTINATION_PORT)?.readUInt16BE() !== port) continue;
    try {
      socket.request(
        "delete flow",
        message(IPCTNL_MSG_CT.DELETE, flow.readUInt8(0), nested(CTA_TUPLE_ORIG, tuple)),
      );
      deleted++;
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
  return deleted;
}

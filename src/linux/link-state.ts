/**
 * Waiting for nothing: after a link got its carrier the kernel tells the rest of itself from a work queue, and until
 * then a bridge does not forward to the port and packets to it are dropped (a lost SYN costs a second). Asking for
 * the link's state by ethtool does that work at once, in the call.
 * @see linux net/ethtool/ioctl.c ethtool_op_get_link, net/core/link_watch.c linkwatch_sync_dev
 */
import { addressOf, check, libc } from "./libc.ts";

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GLINK = 0x0a;

/** True if the link has a carrier; whoever waits for that knows by now. @throws LinuxError */
export function settleLink(name: string): boolean {
  const socket = check(libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket", "ethtool");
  try {
    const value = Buffer.alloc(8);
    value.writeUInt32LE(ETHTOOL_GLINK);
    const request = Buffer.alloc(40);
    request.write(name, 0, 15, "utf8");
    request.writeBigUInt64LE(addressOf(value), 16);
    check(libc.ioctl(socket, SIOCETHTOOL, request), "ethtool", name);
    return value.readUInt32LE(4) !== 0;
  } finally {
    libc.close(socket);
  }
}

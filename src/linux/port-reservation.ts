/**
 * Holding a port of the host: bound, not listening, so that nobody else gets it and a packet that no rule caught
 * is refused. Sockets are raw descriptors: no event loop is needed for what is never read.
 */
import { constants } from "node:os";
import { check, LinuxError, lastErrno, libc } from "./libc.ts";
import { internetAddress } from "./sockets.ts";

const AF = { 4: 2, 6: 10 } as const;
const SOCK = { tcp: 1, udp: 2, sctp: 1 } as const;
const IPPROTO = { tcp: 6, udp: 17, sctp: 132 } as const;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

export interface PortReservation extends Disposable {
  readonly port: number;
}

export interface ReservePortRequest {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly family: 4 | 6;
  /** Network order. */
  readonly address: Uint8Array;
  readonly port: number;
}

/** @throws LinuxError EADDRINUSE, EADDRNOTAVAIL, EACCES */
export function reservePort(request: ReservePortRequest): PortReservation {
  const { protocol, family, port } = request;
  const descriptor = Number(libc.socket(AF[family], SOCK[protocol] | SOCK_CLOEXEC, IPPROTO[protocol]));
  if (descriptor < 0) {
    const error = new LinuxError("socket", lastErrno(), protocol);
    // A kernel without SCTP sockets can still forward SCTP, and nobody else can have the port.
    if (protocol === "sctp" && error.code === "EPROTONOSUPPORT") return { port, [Symbol.dispose]() {} };
    throw error;
  }
  try {
    const on = Buffer.of(1, 0, 0, 0);
    if (family === 6) check(libc.setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, on, 4), "setsockopt");
    bindExclusively(descriptor, request);
  } catch (error) {
    libc.close(descriptor);
    throw error;
  }
  let open = true;
  return {
    port,
    [Symbol.dispose]() {
      if (open) libc.close(descriptor);
      open = false;
    },
  };
}

/**
 * Without SO_REUSEADDR no other socket can share the port, but connections of a former owner in TIME_WAIT stand in
 * the way too. Then SO_REUSEADDR gets past those, and listening keeps others out (a true owner still conflicts).
 */
function bindExclusively(descriptor: number, { protocol, family, address, port }: ReservePortRequest): void {
  const name = internetAddress(family, address, port);
  if (libc.bind(descriptor, name, name.length) === 0) return;
  const first = new LinuxError("bind", lastErrno());
  if (protocol === "udp" || first.errno !== constants.errno.EADDRINUSE) throw first;
  const on = Buffer.of(1, 0, 0, 0);
  check(libc.setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, on, 4), "setsockopt");
  check(libc.bind(descriptor, name, name.length), "bind");
  check(libc.listen(descriptor, 0), "listen");
}

/**
 * Holding a port of the host: bound, not listening, so that nobody else gets it and a packet that no rule caught
 * is refused. Sockets are raw descriptors: no event loop is needed for what is never read. Or bound to be served by
 * somebody to whom the descriptor is handed.
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
  const { port } = request;
  const descriptor = openPortSocket(request, bindExclusively);
  let open = descriptor !== undefined;
  return {
    port,
    [Symbol.dispose]() {
      if (open && descriptor !== undefined) libc.close(descriptor);
      open = false;
    },
  };
}

/** The same port to be served: TCP listens already, so that clients wait for whoever will accept. Non-blocking. */
export function openServedPort(request: ReservePortRequest & { protocol: "tcp" | "udp" }): number {
  const descriptor = openPortSocket(request, bindToServe);
  if (descriptor === undefined) throw new LinuxError("socket", constants.errno.EPROTONOSUPPORT);
  return descriptor;
}

function openPortSocket(
  request: ReservePortRequest,
  bind: (descriptor: number, request: ReservePortRequest) => void,
): number | undefined {
  const { protocol, family } = request;
  const descriptor = Number(libc.socket(AF[family], SOCK[protocol] | SOCK_CLOEXEC, IPPROTO[protocol]));
  if (descriptor < 0) {
    const error = new LinuxError("socket", lastErrno(), protocol);
    // A kernel without SCTP sockets can still forward SCTP, and nobody else can have the port.
    if (protocol === "sctp" && error.code === "EPROTONOSUPPORT") return undefined;
    throw error;
  }
  try {
    const on = Buffer.of(1, 0, 0, 0);
    if (family === 6) check(libc.setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, on, 4), "setsockopt");
    bind(descriptor, request);
    return descriptor;
  } catch (error) {
    libc.close(descriptor);
    throw error;
  }
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

const SHUT_RDWR = 2;

/** Clients are refused from now on, whoever else holds the socket; the port stays taken. */
export function refuseClients(descriptor: number): void {
  libc.shutdown(descriptor, SHUT_RDWR);
}

/** The opposite; harmless for a socket that listens, and for UDP. */
export function acceptClients(descriptor: number): void {
  libc.listen(descriptor, BACKLOG);
}

const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
/** The kernel's own bound (`net.core.somaxconn`) applies besides. */
const BACKLOG = 4096;

function bindToServe(descriptor: number, { protocol, family, address, port }: ReservePortRequest): void {
  check(libc.fcntl(descriptor, F_SETFL, BigInt(O_NONBLOCK)), "fcntl");
  const on = Buffer.of(1, 0, 0, 0);
  // Gets past connections in TIME_WAIT that the port's last owner left; somebody who listens conflicts all the same.
  if (protocol !== "udp") check(libc.setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, on, 4), "setsockopt");
  const name = internetAddress(family, address, port);
  check(libc.bind(descriptor, name, name.length), "bind");
  if (protocol !== "udp") check(libc.listen(descriptor, BACKLOG), "listen");
}

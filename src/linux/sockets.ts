/** Sockets of kinds that the JavaScript runtime cannot make itself; it can read and write them by descriptor. */
import { closeSync, openSync } from "node:fs";
import { constants } from "node:os";
import { check, LinuxError, lastErrno, libc } from "./libc.ts";

const AF_UNIX = 1;
const AF_INET = { 4: 2, 6: 10 } as const;
const SOCK_STREAM = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;

const SOCKET_TYPE = { stream: SOCK_STREAM, packets: SOCK_SEQPACKET } as const;

/** Two connected sockets, closed on exec: one for this process, one to hand to a child, which finds it blocking. */
export function socketPair(type: keyof typeof SOCKET_TYPE = "stream"): { ours: number; theirs: number } {
  const pair = new Int32Array(2);
  check(libc.socketpair(AF_UNIX, SOCKET_TYPE[type] | SOCK_CLOEXEC, 0, pair), "socketpair");
  const [ours = -1, theirs = -1] = pair;
  return { ours, theirs };
}

/**
 * Connects to a SEQPACKET socket: each read gives one message. The directory is opened first and the socket reached
 * through it, because an address holds 107 bytes only. Non-blocking. @throws LinuxError (ENOENT, ECONNREFUSED: nobody listens)
 */
export function connectSequentialPackets(directory: string, name: string): number {
  using opened = new DisposableStack();
  const place = opened.adopt(openSync(directory, "r"), closeSync);
  const fd = check(libc.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket");
  try {
    const address = Buffer.alloc(110);
    address.writeUInt16LE(AF_UNIX, 0);
    address.write(`/proc/self/fd/${place}/${name}`, 2);
    check(libc.connect(fd, address, address.length), "connect", `${directory}/${name}`);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Listens for those who `connectSequentialPackets`. Non-blocking. @throws LinuxError EADDRINUSE */
export function listenSequentialPackets(directory: string, name: string): number {
  using opened = new DisposableStack();
  const place = opened.adopt(openSync(directory, "r"), closeSync);
  const fd = check(libc.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket");
  try {
    const address = Buffer.alloc(110);
    address.writeUInt16LE(AF_UNIX, 0);
    address.write(`/proc/self/fd/${place}/${name}`, 2);
    check(libc.bind(fd, address, address.length), "bind", `${directory}/${name}`);
    check(libc.listen(fd, 4), "listen");
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** The next connection, non-blocking; undefined if nobody waits. @throws LinuxError EMFILE */
export function acceptConnection(fd: number): number | undefined {
  const accepted = Number(libc.accept4(fd, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (accepted >= 0) return accepted;
  const errno = lastErrno();
  // The peer may have given up between its connection and our call.
  const { EAGAIN, ECONNABORTED, EINTR } = constants.errno;
  if ([EAGAIN, ECONNABORTED, EINTR].includes(errno)) return undefined;
  throw new LinuxError("accept4", errno);
}

/** As long as the kernel allows (`net.core.somaxconn` is its bound). */
const BACKLOG = 65_535;

/**
 * Lets more clients wait on a socket that listens already. The runtime has one length for all, 512: of more that come
 * at once, those on a unix socket are refused. @see listen(2) @throws LinuxError
 */
export function lengthenBacklog(fd: number): void {
  check(libc.listen(fd, BACKLOG), "listen");
}

/** An internet address with a port as system calls take it. @param address in network order */
export function internetAddress(family: 4 | 6, address: Uint8Array, port: number): Buffer {
  const bytes = Buffer.alloc(family === 4 ? 16 : 28);
  bytes.writeUInt16LE(AF_INET[family], 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(address, family === 4 ? 4 : 8);
  return bytes;
}

/**
 * Begins to connect, in the calling thread's network namespace. The runtime's own connect cannot be taken back: a
 * server that is not there holds it for minutes. This one ends when it is closed. Once adopted it drains when it is
 * connected, and closes when it is refused. Non-blocking. @throws LinuxError ENETUNREACH
 */
export function beginTcpConnection(family: 4 | 6, address: Uint8Array, port: number): number {
  const fd = check(libc.socket(AF_INET[family], SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket");
  const name = internetAddress(family, address, port);
  if (libc.connect(fd, name, name.length) !== 0) {
    const error = new LinuxError("connect", lastErrno());
    if (error.code !== "EINPROGRESS") {
      closeSync(fd);
      throw error;
    }
  }
  return fd;
}

const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;

/** How much the kernel keeps of what was not read yet, also beyond `net.core.rmem_max`. Refused: as it was. */
export function setReceiveBuffer(fd: number, bytes: number): void {
  const value = Buffer.alloc(4);
  value.writeUInt32LE(bytes);
  libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, value, 4);
}

const SO_RCVTIMEO = 20;

/** Reads do not wait any more. */
export function neverWait(fd: number): void {
  check(libc.fcntl(fd, F_SETFL, BigInt(SOCK_NONBLOCK)), "fcntl");
}

/** Lets reads wait, but not longer than that; reads that are over time fail with EAGAIN. */
export function waitAtMost(fd: number, seconds: number): void {
  check(libc.fcntl(fd, F_SETFL, 0n), "fcntl");
  const timeout = Buffer.alloc(16);
  timeout.writeBigInt64LE(BigInt(seconds));
  check(libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, 16), "setsockopt");
}

const F_SETFL = 4;
const SHUT_WR = 1;

/** Ends the sending direction: the other side reads end of file. */
export function endSending(fd: number): void {
  libc.shutdown(fd, SHUT_WR);
}

/** Callbacks of a socket that the event loop reads. */
export interface SocketHandler {
  data(bytes: Uint8Array): void;
  close(): void;
  drain?(): void;
}

/** Hands a connected socket to the event loop, which owns the descriptor from then on. */
export async function adoptSocket(fd: number, handler: SocketHandler): Promise<Bun.Socket> {
  const options = {
    fd,
    socket: {
      data: (_socket: Bun.Socket, bytes: Uint8Array) => handler.data(bytes),
      close: () => handler.close(),
      error: () => handler.close(),
      drain: () => handler.drain?.(),
    },
  };
  // `fd` works and is missing in the types.
  return await Bun.connect(options as unknown as Bun.UnixSocketOptions<undefined>);
}

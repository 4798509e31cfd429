/** Sockets of kinds that the JavaScript runtime cannot make itself; it can read and write them by descriptor. */
import { closeSync, openSync } from "node:fs";
import { check, LinuxError, lastErrno, libc } from "./libc.ts";

const AF_UNIX = 1;
const AF_INET = { 4: 2, 6: 10 } as const;
const SOCK_STREAM = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;

/** Two connected stream sockets, closed on exec: one for this process, one to hand to a child, which finds it blocking. */
export function socketPair(): { ours: number; theirs: number } {
  const pair = new Int32Array(2);
  check(libc.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
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

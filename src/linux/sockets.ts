/** Unix sockets of kinds that the JavaScript runtime cannot make itself; it can read and write them by descriptor. */
import { closeSync, openSync } from "node:fs";
import { check, libc } from "./libc.ts";

const AF_UNIX = 1;
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

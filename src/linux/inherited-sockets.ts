/**
 * Listening sockets that this process was started with (systemd's socket activation). The JavaScript runtime can
 * make listening sockets and cannot adopt one; so the kernel tells by SIGIO that somebody is waiting, and the
 * connections are accepted here.
 */
import { connect, type Socket } from "node:net";
import { log } from "../base/log.ts";
import { check, LinuxError, lastErrno, libc } from "./libc.ts";

const F_SETFL = 4;
const F_GETFL = 3;
const F_SETOWN = 8;
const O_NONBLOCK = 0o4000;
const O_ASYNC = 0o20000;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

const RETRY_MS = 100;

const drains = new Set<() => void>();

/** Hands over every connection until disposed; the socket itself stays open, it is the starter's. @throws LinuxError */
export function acceptOn(descriptor: number, onSocket: (socket: Socket) => void): Disposable {
  const drain = () => {
    for (let fd = accept(descriptor); fd !== undefined; fd = accept(descriptor)) onSocket(adopt(fd));
  };
  // The handler must be there before the first signal: unhandled, it would end the process.
  if (drains.size === 0) process.on("SIGIO", drainAll);
  drains.add(drain);
  const flags = check(libc.fcntl(descriptor, F_GETFL, 0n), "fcntl");
  check(libc.fcntl(descriptor, F_SETOWN, BigInt(process.pid)), "fcntl");
  check(libc.fcntl(descriptor, F_SETFL, BigInt(flags | O_NONBLOCK | O_ASYNC)), "fcntl");
  // Who came before the first signal could be sent.
  setImmediate(drain);
  return {
    [Symbol.dispose]: () => {
      libc.fcntl(descriptor, F_SETFL, BigInt(flags));
      drains.delete(drain);
    },
  };
}

function drainAll(): void {
  for (const drain of drains) drain();
}

/** undefined: nobody is waiting any more. */
function accept(descriptor: number): number | undefined {
  const fd = libc.accept4(descriptor, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) return fd;
  const error = new LinuxError("accept", lastErrno());
  if (error.code === "ECONNABORTED") return accept(descriptor);
  if (error.code === "EAGAIN" || error.code === "EWOULDBLOCK") return undefined;
  // Out of descriptors, say: there is no further signal for who waits already.
  log("error", "cannot accept a connection", { error });
  setTimeout(drainAll, RETRY_MS);
  return undefined;
}

function adopt(fd: number): Socket {
  // `fd` is Bun's: node:net's own types do not have it, and `new Socket({ fd })` never reads here.
  return connect({ fd, allowHalfOpen: true } as unknown as { path: string });
}

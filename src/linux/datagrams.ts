/** UDP sockets without an event loop: for a process whose loop is its own. All non-blocking. */
import { closeSync } from "node:fs";
import { constants } from "node:os";
import { check, LinuxError, lastErrno, libc } from "./libc.ts";
import { internetAddress } from "./sockets.ts";

const AF = { 4: 2, 6: 10 } as const;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/** One buffer is enough: a datagram is sent on before the next one is read. */
const datagram = Buffer.alloc(0x10000);
const sender = Buffer.alloc(28);
const senderLength = Buffer.alloc(4);

export interface Datagram {
  /** A view, valid until the next one is received. */
  readonly bytes: Buffer;
  /** `sockaddr` of the sender, to be given back to `sendDatagram`. A copy. */
  readonly from: Buffer;
}

/** A socket that speaks with one peer alone. @throws LinuxError ENETUNREACH */
export function connectDatagrams(family: 4 | 6, address: Uint8Array, port: number): number {
  const type = SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const fd = check(libc.socket(AF[family], type, 0), "socket", "udp");
  const name = internetAddress(family, address, port);
  if (libc.connect(fd, name, name.length) === 0) return fd;
  const error = new LinuxError("connect", lastErrno());
  libc.close(fd);
  throw error;
}

/** undefined: nothing is there. A peer that refuses is nothing as well. @throws LinuxError */
export function receiveDatagram(fd: number): Datagram | undefined {
  senderLength.writeUInt32LE(sender.length);
  const count = Number(libc.recvfrom(fd, datagram, datagram.length, MSG_DONTWAIT, sender, senderLength));
  if (count >= 0)
    return {
      bytes: datagram.subarray(0, count),
      from: Buffer.from(sender.subarray(0, senderLength.readUInt32LE())),
    };
  const errno = lastErrno();
  const { EAGAIN, ECONNREFUSED, EINTR } = constants.errno;
  if ([EAGAIN, ECONNREFUSED, EINTR].includes(errno)) return undefined;
  throw new LinuxError("recvfrom", errno);
}

/** What does not go is lost, as datagrams are. @param to undefined: the connected peer */
export function sendDatagram(fd: number, bytes: Uint8Array, to?: Uint8Array): void {
  libc.sendto(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, to ?? null, to?.length ?? 0);
}

const AF_UNIX = 1;

/** A socket of datagrams on a path of at most 107 bytes, non-blocking. @throws LinuxError (ENOENT, ECONNREFUSED, EPROTOTYPE: it is another kind) */
export function connectLocalDatagrams(path: string): number {
  return onLocalPath(path, (fd, address) =>
    check(libc.connect(fd, address, address.length), "connect", path),
  );
}

/** Receives what others send to a path that is not there yet. @throws LinuxError EADDRINUSE */
export function bindLocalDatagrams(path: string): number {
  return onLocalPath(path, (fd, address) => check(libc.bind(fd, address, address.length), "bind", path));
}

function onLocalPath(path: string, use: (fd: number, address: Buffer) => void): number {
  const fd = check(libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket");
  try {
    const address = Buffer.alloc(110);
    address.writeUInt16LE(AF_UNIX, 0);
    address.write(path, 2);
    use(fd, address);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** False when the receiver has no room for it now. @throws LinuxError when nobody receives any more */
export function sendLocalDatagram(fd: number, bytes: Uint8Array): boolean {
  if (Number(libc.send(fd, bytes, BigInt(bytes.length), MSG_NOSIGNAL)) >= 0) return true;
  const error = new LinuxError("send", lastErrno());
  if (error.code === "EAGAIN" || error.code === "ENOBUFS") return false;
  throw error;
}

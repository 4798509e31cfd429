/**
 * Messages between processes that carry an open descriptor (SCM_RIGHTS), over SEQPACKET sockets: a message arrives
 * whole or not at all, and so does what it carries.
 * @see https://man7.org/linux/man-pages/man7/unix.7.html
 */
import { constants } from "node:os";
import { addressOf, check, LinuxError, lastErrno, libc } from "./libc.ts";

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const CONTROL_LENGTH = 24;
const CONTROL_HEADER = 16;
/** Longest message; longer ones are cut by the receiver. */
const MOST_BYTES = 16 * 1024;

interface MessageParts {
  readonly header: Buffer;
  /** Kept referenced through the call: the header points to them. */
  readonly keep: readonly Buffer[];
}

/** `struct msghdr` with one part and room for one descriptor. */
function toHeader(payload: Buffer, control: Buffer | undefined): MessageParts {
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(addressOf(payload), 0);
  vector.writeBigUInt64LE(BigInt(payload.length), 8);
  const header = Buffer.alloc(56);
  header.writeBigUInt64LE(addressOf(vector), 16);
  header.writeBigUInt64LE(1n, 24);
  if (control) {
    header.writeBigUInt64LE(addressOf(control), 32);
    header.writeBigUInt64LE(BigInt(control.length), 40);
  }
  return { header, keep: [vector, payload, ...(control ? [control] : [])] };
}

/** Never waits. False if there is no room now. @throws LinuxError EPIPE: nobody is there any more */
export function sendWithDescriptor(socket: number, message: string, descriptor?: number): boolean {
  let control: Buffer | undefined;
  if (descriptor !== undefined) {
    control = Buffer.alloc(CONTROL_LENGTH);
    control.writeBigUInt64LE(BigInt(CONTROL_HEADER + 4), 0);
    control.writeInt32LE(SOL_SOCKET, 8);
    control.writeInt32LE(SCM_RIGHTS, 12);
    control.writeInt32LE(descriptor, CONTROL_HEADER);
  }
  const { header } = toHeader(Buffer.from(message), control);
  if (Number(libc.sendmsg(socket, header, MSG_DONTWAIT | MSG_NOSIGNAL)) >= 0) return true;
  const { EAGAIN, ENOBUFS } = constants.errno;
  if ([EAGAIN, ENOBUFS].includes(lastErrno())) return false;
  throw new LinuxError("sendmsg", lastErrno());
}

export interface ReceivedMessage {
  /** Empty at the end of the connection. */
  readonly text: string;
  /** The caller closes it. */
  readonly descriptor: number | undefined;
}

/** @param wait false: never, whatever the socket does. undefined: nothing is there now. @throws LinuxError */
export function receiveWithDescriptor(
  socket: number,
  { wait }: { wait: boolean },
): ReceivedMessage | undefined {
  const payload = Buffer.alloc(MOST_BYTES);
  const control = Buffer.alloc(CONTROL_LENGTH);
  const { header } = toHeader(payload, control);
  const result = libc.recvmsg(socket, header, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
  if (Number(result) < 0 && lastErrno() === constants.errno.EAGAIN) return undefined;
  const length = check(result, "recvmsg");
  const carries = header.readBigUInt64LE(40) >= BigInt(CONTROL_HEADER + 4);
  return {
    text: payload.toString("utf8", 0, length),
    descriptor: carries ? control.readInt32LE(CONTROL_HEADER) : undefined,
  };
}

/**
 * Netlink: the socket, and the codec of its messages. Owns framing, attributes, acknowledgements and the kernel's
 * own words about a refusal (extended ack). Leaves to `netlink-route.ts`, `netlink-nftables.ts` and `conntrack.ts`
 * what the messages mean.
 *
 * The kernel handles a request inside of send(2) and queues the answer before it returns, so send and recv on the
 * JavaScript thread do not wait for anybody else (they may wait for the kernel's own rtnl lock).
 * @see https://docs.kernel.org/userspace-api/netlink/intro.html
 */
import { check, LinuxError, libc } from "./libc.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVTIMEO = 20;
const SO_SNDBUFFORCE = 32;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;

export const NETLINK = { ROUTE: 0, NETFILTER: 12 } as const;
export const NLM_F = {
  REQUEST: 0x1,
  ACK: 0x4,
  DUMP: 0x300,
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
} as const;

const NLM_F_ACK_TLVS = 0x200;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSGERR_ATTR_MSG = 1;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
const HEADER = 16;
const MOST_SENT_AT_ONCE = 64 << 20;

export interface NetlinkMessage {
  readonly type: number;
  /** Without REQUEST and ACK: the socket adds them. */
  readonly flags?: number;
  /** The family's fixed header followed by attributes. */
  readonly body: Uint8Array;
}

/** Rounds up to the four bytes that everything in netlink is aligned to. */
function aligned(length: number): number {
  return (length + 3) & ~3;
}

/** One attribute: length, type, value, padding. */
export function attribute(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc(aligned(4 + value.length));
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, 4);
  return bytes;
}

/** An attribute made of attributes. */
export function nested(type: number, ...attributes: readonly Uint8Array[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(attributes));
}

export function u8(value: number): Buffer {
  return Buffer.of(value);
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

export function u16be(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

export function u32be(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** A NUL-terminated string, as attributes carry names. */
export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`, "utf8");
}

/** Frames a message. */
export function encodeMessage(message: NetlinkMessage, sequence: number, flags: number): Buffer {
  const bytes = Buffer.alloc(aligned(HEADER + message.body.length));
  bytes.writeUInt32LE(HEADER + message.body.length, 0);
  bytes.writeUInt16LE(message.type, 4);
  bytes.writeUInt16LE((message.flags ?? 0) | flags, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes.set(message.body, HEADER);
  return bytes;
}

/** Attributes by type; the last of a type wins. Views into the message, not copies. */
export function parseAttributes(bytes: Buffer, start = 0): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (const [type, value] of eachAttribute(bytes, start)) found.set(type, value);
  return found;
}

/** Attributes in their order, for lists in which a type repeats. */
export function* eachAttribute(bytes: Buffer, start = 0): Generator<[type: number, value: Buffer]> {
  for (let at = start; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4) return;
    yield [bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK, bytes.subarray(at + 4, at + length)];
    at += aligned(length);
  }
}

/** A string attribute without its NUL. */
export function textOf(value: Buffer | undefined): string {
  return value === undefined ? "" : value.toString("utf8").replace(/\0.*$/s, "");
}

interface Reply {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly body: Buffer;
}

function* repliesOf(datagram: Buffer): Generator<Reply> {
  for (let at = 0; at + HEADER <= datagram.length; ) {
    const length = datagram.readUInt32LE(at);
    if (length < HEADER) return;
    yield {
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      body: datagram.subarray(at + HEADER, at + length),
    };
    at += aligned(length);
  }
}

/** Datagrams of a dump are at most this long. One buffer is enough: nothing else runs during a call. */
const datagram = Buffer.alloc(128 * 1024);

/** A socket in the namespace it was opened in; it stays there wherever the thread goes. */
export class NetlinkSocket implements Disposable {
  #descriptor: number;
  #sequence = 1;
  readonly #label: string;

  private constructor(descriptor: number, label: string) {
    this.#descriptor = descriptor;
    this.#label = label;
  }

  /** Opens in the calling thread's network namespace. @throws LinuxError */
  static open(protocol: number): NetlinkSocket {
    const label = protocol === NETLINK.ROUTE ? "rtnetlink" : "nfnetlink";
    const descriptor = check(libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), "socket", label);
    const one = u32(1);
    libc.setsockopt(descriptor, SOL_NETLINK, NETLINK_EXT_ACK, one, 4);
    libc.setsockopt(descriptor, SOL_NETLINK, NETLINK_CAP_ACK, one, 4);
    libc.setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, u32(1 << 20), 4);
    // A limit, not memory: a transaction is one send, and that of 60,000 published ports takes megabytes.
    libc.setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, u32(MOST_SENT_AT_ONCE), 4);
    // An answer that never comes must be an error, not a daemon that stands still.
    const fiveSeconds = Buffer.alloc(16);
    fiveSeconds.writeBigInt64LE(5n);
    libc.setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, fiveSeconds, 16);
    return new NetlinkSocket(descriptor, label);
  }

  /**
   * Sends messages in one call and reads their acknowledgements. The kernel goes on after a message that it refuses,
   * so a batch may hold only messages whose failure the caller cleans up as a whole.
   * @param what for the error: what was being done
   * @throws LinuxError of the first refusal, with the kernel's own text
   */
  request(what: string, ...messages: readonly NetlinkMessage[]): void {
    const first = this.#send(messages, NLM_F.REQUEST | NLM_F.ACK);
    let failure: LinuxError | undefined;
    for (let awaited = messages.length; awaited > 0; ) {
      for (const reply of this.#receive()) {
        if (reply.sequence < first || reply.type !== NLMSG_ERROR) continue;
        awaited--;
        failure ??= this.#errorOf(reply, what);
      }
    }
    if (failure) throw failure;
  }

  /**
   * Sends a batch that is answered by errors only, and by one acknowledgement of its last message (nfnetlink).
   * @throws LinuxError of the first refusal; nothing of the batch is in force then
   */
  transaction(what: string, messages: readonly NetlinkMessage[], acknowledged: number): void {
    const first = this.#sequence;
    this.#send(messages, NLM_F.REQUEST, acknowledged);
    let failure: LinuxError | undefined;
    for (let pending = true; pending; ) {
      for (const reply of this.#receive()) {
        if (reply.sequence < first || reply.type !== NLMSG_ERROR) continue;
        failure ??= this.#errorOf(reply, what);
        // After a refusal the acknowledgement of a later message may or may not come: do not wait for it.
        if (failure || reply.sequence === first + acknowledged) pending = false;
      }
    }
    if (failure) throw failure;
  }

  /** The bodies that answer one request: with `flags: NLM_F.DUMP` all objects, else one. Copies. @throws LinuxError */
  query(what: string, message: NetlinkMessage): Buffer[] {
    return Array.from(this.stream(what, message), (body) => Buffer.from(body));
  }

  /** The same one by one, for lists that may be long: views, valid until the next one is asked for. */
  *stream(what: string, message: NetlinkMessage): Generator<Buffer> {
    const sequence = this.#send([message], NLM_F.REQUEST);
    const dump = ((message.flags ?? 0) & NLM_F.DUMP) === NLM_F.DUMP;
    for (;;) {
      for (const reply of this.#receive()) {
        if (reply.sequence !== sequence) continue;
        if (reply.type === NLMSG_DONE) return;
        if (reply.type === NLMSG_ERROR) {
          const error = this.#errorOf(reply, what);
          if (error) throw error;
          return;
        }
        yield reply.body;
        if (!dump) return;
      }
    }
  }

  [Symbol.dispose](): void {
    if (this.#descriptor >= 0) libc.close(this.#descriptor);
    this.#descriptor = -1;
  }

  /** Sequence number of the first message. */
  #send(messages: readonly NetlinkMessage[], flags: number, acknowledged = -1): number {
    const first = this.#sequence;
    const frames = messages.map((message, index) =>
      encodeMessage(message, first + index, index === acknowledged ? flags | NLM_F.ACK : flags),
    );
    this.#sequence += messages.length;
    const bytes = Buffer.concat(frames);
    check(libc.send(this.#descriptor, bytes, bytes.length, 0), "send", this.#label);
    return first;
  }

  #receive(): Generator<Reply> {
    const length = check(libc.recv(this.#descriptor, datagram, datagram.length, 0), "recv", this.#label);
    return repliesOf(datagram.subarray(0, length));
  }

  #errorOf(reply: Reply, what: string): LinuxError | undefined {
    const errno = -reply.body.readInt32LE(0);
    if (errno === 0) return undefined;
    const explained =
      reply.flags & NLM_F_ACK_TLVS
        ? textOf(parseAttributes(reply.body, 4 + HEADER).get(NLMSGERR_ATTR_MSG))
        : "";
    return new LinuxError(what, errno, explained && `(${explained})`);
  }
}

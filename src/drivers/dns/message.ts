/**
 * DNS messages, as far as a forwarding server reads and writes them: the question, plain answers of ours, and
 * patches of what passes through (id, truncation). Records of others are never parsed. Pure.
 * @see RFC 1035 section 4; RFC 6891 for EDNS
 */

export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;
export const TYPE = { A: 1, PTR: 12, AAAA: 28, OPT: 41, ANY: 255 } as const;
const CLASS_IN = 1;
const HEADER = 12;
const FLAG = { QR: 0x8000, TC: 0x0200, RD: 0x0100, RA: 0x0080, AA: 0x0400 } as const;
/** Without EDNS a UDP answer is at most this long. */
const PLAIN_UDP_SIZE = 512;
/** What we say that we take, and never exceed: fits every path without fragments (DNS flag day 2020). */
const OWN_UDP_SIZE = 1232;

export interface Question {
  readonly id: number;
  readonly recursionDesired: boolean;
  /** Lower-case, without the final dot. */
  readonly name: string;
  readonly type: number;
  /** Class IN. */
  readonly internet: boolean;
  /** Largest UDP answer that the client takes. */
  readonly udpSize: number;
  readonly edns: boolean;
  /** The question section's bytes, as asked: names keep their case. */
  readonly section: Uint8Array;
}

/** @returns undefined for what is not a query with one question: it is not answered */
export function parseQuestion(message: Uint8Array): Question | undefined {
  const view = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  if (view.length < HEADER || view.readUInt16BE(4) !== 1) return undefined;
  const flags = view.readUInt16BE(2);
  const opcode = (flags >> 11) & 0xf;
  if (flags & FLAG.QR || opcode !== 0) return undefined;
  const labels: string[] = [];
  let at = HEADER;
  for (;;) {
    const length = view[at];
    if (length === undefined || length > 63) return undefined;
    at++;
    if (length === 0) break;
    if (at + length > view.length || at - HEADER > 255) return undefined;
    labels.push(view.toString("latin1", at, at + length));
    at += length;
  }
  if (at + 4 > view.length) return undefined;
  const udpSize = ednsSize(view, at + 4);
  return {
    id: view.readUInt16BE(0),
    recursionDesired: (flags & FLAG.RD) !== 0,
    name: labels.join(".").toLowerCase(),
    type: view.readUInt16BE(at),
    internet: view.readUInt16BE(at + 2) === CLASS_IN,
    udpSize: Math.max(PLAIN_UDP_SIZE, udpSize ?? 0),
    edns: udpSize !== undefined,
    section: view.subarray(HEADER, at + 4),
  };
}

/** The OPT record is the only additional record that queries carry: root name, type 41, class = size. */
function ednsSize(view: Buffer, end: number): number | undefined {
  if (view.readUInt16BE(10) === 0 || end + 11 > view.length || view[end] !== 0) return undefined;
  return view.readUInt16BE(end + 1) === TYPE.OPT ? view.readUInt16BE(end + 3) : undefined;
}

export interface AnswerRecord {
  readonly type: number;
  readonly data: Uint8Array;
}

/** Seconds. Containers come and go: names are asked for anew. Docker's is the same. */
const TTL = 600;

/** An answer of ours. Records that do not fit are left out with the truncation flag. */
export function encodeAnswer(
  question: Question,
  rcode: number,
  records: readonly AnswerRecord[] = [],
  limit = 0xffff,
): Buffer {
  const opt = question.edns ? encodeOpt() : Buffer.alloc(0);
  const answers: Buffer[] = [];
  let size = HEADER + question.section.length + opt.length;
  for (const record of records) {
    const bytes = encodeRecord(record);
    if (size + bytes.length > limit) break;
    answers.push(bytes);
    size += bytes.length;
  }
  const truncated = answers.length < records.length;
  const header = Buffer.alloc(HEADER);
  header.writeUInt16BE(question.id, 0);
  const flags = FLAG.QR | FLAG.RA | (question.recursionDesired ? FLAG.RD : 0) | (truncated ? FLAG.TC : 0);
  header.writeUInt16BE(flags | rcode, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(answers.length, 6);
  header.writeUInt16BE(question.edns ? 1 : 0, 10);
  return Buffer.concat([header, question.section, ...answers, opt]);
}

/** The owner is the question's name: a pointer to it. */
function encodeRecord({ type, data }: AnswerRecord): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc000 | HEADER, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(CLASS_IN, 4);
  head.writeUInt32BE(TTL, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function encodeOpt(): Buffer {
  const opt = Buffer.alloc(11);
  opt.writeUInt16BE(TYPE.OPT, 1);
  opt.writeUInt16BE(OWN_UDP_SIZE, 3);
  return opt;
}

/** A name as record data; parts that are not labels make it undefined. */
export function encodeName(name: string): Buffer | undefined {
  const labels = name.split(".").map((label) => Buffer.from(label, "latin1"));
  if (labels.some(({ length }) => length === 0 || length > 63)) return undefined;
  return Buffer.concat([...labels.flatMap((label) => [Buffer.of(label.length), label]), Buffer.of(0)]);
}

/** `2.0.17.172.in-addr.arpa`, 32 nibbles and `ip6.arpa` → the address in text, as far as it is one. */
export function addressOfReverseName(name: string): string | undefined {
  const v4 = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(name)?.[1];
  if (v4) return v4.slice(0, -1).split(".").reverse().join(".");
  const v6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)?.[1];
  if (!v6) return undefined;
  const digits = v6.replaceAll(".", "").split("").reverse().join("");
  return digits.match(/.{4}/g)?.join(":");
}

/** A copy with another id: each query upstream has a random one of its own. */
export function withId(message: Uint8Array, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** True if the bytes can be the answer to that query: same id, a response, the same question. */
export function answers(message: Uint8Array, id: number, question: Question): boolean {
  const view = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  if (view.length < HEADER || view.readUInt16BE(0) !== id || !(view.readUInt16BE(2) & FLAG.QR)) return false;
  // A refusal may come back without the question.
  if (view.readUInt16BE(4) === 0) return true;
  const asked = Buffer.from(question.section).toString("latin1").toLowerCase();
  return view.toString("latin1", HEADER, HEADER + question.section.length).toLowerCase() === asked;
}

/** The response code, `RCODE`. */
export function rcodeOf(message: Uint8Array): number {
  return (message[3] ?? 0) & 0xf;
}

/** The answer did not fit: it is to be asked for over TCP. */
export function isTruncated(message: Uint8Array): boolean {
  return ((message[2] ?? 0) & 0x02) !== 0;
}

/** Nothing but header and question, marked as truncated: the client asks again over TCP. */
export function truncated(message: Uint8Array, question: Question): Buffer {
  const copy = Buffer.concat([message.subarray(0, HEADER), question.section]);
  copy.writeUInt16BE(copy.readUInt16BE(2) | FLAG.TC, 2);
  copy.writeUInt16BE(1, 4);
  copy.fill(0, 6, HEADER);
  return copy;
}

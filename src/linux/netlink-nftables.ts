/**
 * nf_tables over netlink: the changes that happen while containers come and go, each one atomic batch of ~0.1 ms
 * (a run of `nft` is 5 ms). Owns elements of sets and maps, the redirect inside of a container's namespace, the
 * generation number. Leaves rules that are written once to `nftables.ts`.
 * @see https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/include/uapi/linux/netfilter/nf_tables.h
 */
import { hasCode } from "../base/error-codes.ts";
import {
  attribute,
  eachAttribute,
  NETLINK,
  type NetlinkMessage,
  NetlinkSocket,
  NLM_F,
  nested,
  parseAttributes,
  text,
  textOf,
  u16be,
  u32be,
} from "./netlink.ts";

const SUBSYSTEM = 10;
const BATCH = { BEGIN: 0x10, END: 0x11 } as const;
const NFT_MSG = {
  NEWTABLE: 0,
  GETTABLE: 1,
  DELTABLE: 2,
  NEWCHAIN: 3,
  NEWRULE: 6,
  NEWSETELEM: 12,
  GETSETELEM: 13,
  DELSETELEM: 14,
  GETGEN: 16,
} as const;
const NFPROTO = { INET: 1, IPV4: 2 } as const;
const ELEMENTS = { TABLE: 1, SET: 2, LIST: 3 } as const;
const LIST_ELEM = 1;
const ELEM = { KEY: 1, DATA: 2 } as const;
const DATA = { VALUE: 1, VERDICT: 2 } as const;
const VERDICT = { CODE: 1, CHAIN: 2 } as const;
const NFT_GOTO = -4;
const GEN_ID = 1;

/** What a map leads to: bytes as the type wants them, or a verdict. */
export type ElementData =
  | { readonly value: Uint8Array }
  | { readonly accept: true }
  | { readonly goto: string };

export interface SetElement {
  /** Parts of a concatenation, each padded to four bytes: `concatenated(…)`. */
  readonly key: Uint8Array;
  readonly data?: ElementData;
}

export interface ElementChange {
  readonly set: string;
  /** Empties the set first. */
  readonly flush?: boolean;
  readonly add?: readonly SetElement[];
  readonly remove?: readonly SetElement[];
}

/** A key or value of several parts, as nf_tables keeps it in its registers. */
export function concatenated(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    parts.map((part) => Buffer.concat([part, Buffer.alloc(((part.length + 3) & ~3) - part.length)])),
  );
}

/** An interface name as a key: 16 bytes. */
export function interfaceKey(name: string): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.write(name, 0, 15, "utf8");
  return bytes;
}

function message(type: number, family: number, body: readonly Uint8Array[], flags = 0): NetlinkMessage {
  return {
    type: (SUBSYSTEM << 8) | type,
    flags,
    body: Buffer.concat([Buffer.of(family, 0, 0, 0), ...body]),
  };
}

function batch(type: number): NetlinkMessage {
  return { type, body: Buffer.concat([Buffer.of(0, 0), u16be(SUBSYSTEM)]) };
}

function encodeData(data: ElementData): Buffer {
  if ("value" in data) return nested(ELEM.DATA, attribute(DATA.VALUE, data.value));
  // NF_ACCEPT is 1.
  const verdict =
    "goto" in data
      ? [attribute(VERDICT.CODE, u32be(NFT_GOTO)), attribute(VERDICT.CHAIN, text(data.goto))]
      : [attribute(VERDICT.CODE, u32be(1))];
  return nested(ELEM.DATA, nested(DATA.VERDICT, ...verdict));
}

function encodeElement({ key, data }: SetElement): Buffer {
  const parts = [nested(ELEM.KEY, attribute(DATA.VALUE, key))];
  if (data) parts.push(encodeData(data));
  return nested(LIST_ELEM, ...parts);
}

/** The messages of one change, without the batch around them. An attribute is at most 64 KiB: long lists are cut. */
export function encodeElementChange(table: string, change: ElementChange): NetlinkMessage[] {
  const target = [attribute(ELEMENTS.TABLE, text(table)), attribute(ELEMENTS.SET, text(change.set))];
  const messages: NetlinkMessage[] = [];
  if (change.flush) messages.push(message(NFT_MSG.DELSETELEM, NFPROTO.INET, target));
  for (const [type, elements, flags] of [
    [NFT_MSG.DELSETELEM, change.remove ?? [], 0],
    [NFT_MSG.NEWSETELEM, change.add ?? [], NLM_F.CREATE],
  ] as const) {
    for (let at = 0; at < elements.length; at += 256) {
      const list = nested(ELEMENTS.LIST, ...elements.slice(at, at + 256).map(encodeElement));
      messages.push(message(type, NFPROTO.INET, [...target, list], flags));
    }
  }
  return messages;
}

/** Changes of one set as one: fewer messages. Like the kernel takes them: flush, then removals, then additions. */
function merged(changes: readonly ElementChange[]): ElementChange[] {
  const sets = new Map<string, { flush: boolean; add: SetElement[]; remove: SetElement[] }>();
  for (const { set, flush = false, add = [], remove = [] } of changes) {
    const known = sets.get(set) ?? { flush: false, add: [], remove: [] };
    known.flush ||= flush;
    known.add.push(...add);
    known.remove.push(...remove);
    sets.set(set, known);
  }
  return [...sets].map(([set, change]) => ({ set, ...change }));
}

/** The elements of a part of a listing. */
function* parseElements(body: Buffer): Generator<SetElement> {
  const list = parseAttributes(body, 4).get(ELEMENTS.LIST);
  for (const [, element] of list ? eachAttribute(list) : []) {
    const parts = parseAttributes(element);
    const key = parseAttributes(parts.get(ELEM.KEY) ?? Buffer.alloc(0)).get(DATA.VALUE);
    const data = parts.get(ELEM.DATA);
    if (key) yield { key, ...(data && { data: parseData(parseAttributes(data)) }) };
  }
}

function parseData(data: Map<number, Buffer>): ElementData {
  const verdict = parseAttributes(data.get(DATA.VERDICT) ?? Buffer.alloc(0));
  if (verdict.get(VERDICT.CODE)?.readInt32BE() === NFT_GOTO)
    return { goto: textOf(verdict.get(VERDICT.CHAIN)) };
  const value = data.get(DATA.VALUE);
  return value ? { value } : { accept: true };
}

/** Equal for equal elements, and for no others. */
export function elementText({ key, data }: SetElement): string {
  return Buffer.concat([key, ...(data ? [encodeData(data)] : [])]).toString("latin1");
}

const NFTA = {
  TABLE_NAME: 1,
  CHAIN: { TABLE: 1, NAME: 3, HOOK: 4, TYPE: 7 },
  HOOK: { NUMBER: 1, PRIORITY: 2 },
  RULE: { TABLE: 1, CHAIN: 2, EXPRESSIONS: 4 },
  EXPRESSION: { NAME: 1, DATA: 2 },
  META: { DREG: 1, KEY: 2 },
  CMP: { SREG: 1, OP: 2, DATA: 3 },
  PAYLOAD: { DREG: 1, BASE: 2, OFFSET: 3, LENGTH: 4 },
  IMMEDIATE: { DREG: 1, DATA: 2 },
  NAT: { TYPE: 1, FAMILY: 2, ADDRESS_MIN: 3, PORT_MIN: 5 },
} as const;
const NF_INET_LOCAL_OUT = 3;
const PRIORITY_NAT_DST = -100;
const REGISTER = { ONE: 1, TWO: 2 } as const;
const META_L4PROTO = 16;
const PAYLOAD_BASE = { NETWORK: 1, TRANSPORT: 2 } as const;
const NFT_NAT_DNAT = 1;

function expression(name: string, ...data: readonly Uint8Array[]): Buffer {
  return nested(
    LIST_ELEM,
    attribute(NFTA.EXPRESSION.NAME, text(name)),
    nested(NFTA.EXPRESSION.DATA, ...data),
  );
}

function equals(value: Uint8Array): Buffer {
  return expression(
    "cmp",
    attribute(NFTA.CMP.SREG, u32be(REGISTER.ONE)),
    attribute(NFTA.CMP.OP, u32be(0)),
    nested(NFTA.CMP.DATA, attribute(DATA.VALUE, value)),
  );
}

function payload(base: number, offset: number, length: number): Buffer {
  return expression(
    "payload",
    attribute(NFTA.PAYLOAD.DREG, u32be(REGISTER.ONE)),
    attribute(NFTA.PAYLOAD.BASE, u32be(base)),
    attribute(NFTA.PAYLOAD.OFFSET, u32be(offset)),
    attribute(NFTA.PAYLOAD.LENGTH, u32be(length)),
  );
}

function load(register: number, value: Uint8Array): Buffer {
  return expression(
    "immediate",
    attribute(NFTA.IMMEDIATE.DREG, u32be(register)),
    nested(NFTA.IMMEDIATE.DATA, attribute(DATA.VALUE, value)),
  );
}

export interface LocalRedirect {
  /** IPPROTO number. */
  readonly protocol: 6 | 17;
  readonly address: Uint8Array;
  readonly port: number;
  readonly toPort: number;
}

/** `ip daddr <address> <protocol> dport <port> dnat to <address>:<toPort>` */
function encodeRedirect(table: string, chain: string, redirect: LocalRedirect): NetlinkMessage {
  const expressions = nested(
    NFTA.RULE.EXPRESSIONS,
    payload(PAYLOAD_BASE.NETWORK, 16, 4),
    equals(redirect.address),
    expression(
      "meta",
      attribute(NFTA.META.DREG, u32be(REGISTER.ONE)),
      attribute(NFTA.META.KEY, u32be(META_L4PROTO)),
    ),
    equals(Buffer.of(redirect.protocol)),
    payload(PAYLOAD_BASE.TRANSPORT, 2, 2),
    equals(u16be(redirect.port)),
    load(REGISTER.ONE, redirect.address),
    load(REGISTER.TWO, u16be(redirect.toPort)),
    expression(
      "nat",
      attribute(NFTA.NAT.TYPE, u32be(NFT_NAT_DNAT)),
      attribute(NFTA.NAT.FAMILY, u32be(NFPROTO.IPV4)),
      attribute(NFTA.NAT.ADDRESS_MIN, u32be(REGISTER.ONE)),
      attribute(NFTA.NAT.PORT_MIN, u32be(REGISTER.TWO)),
    ),
  );
  return message(
    NFT_MSG.NEWRULE,
    NFPROTO.IPV4,
    [attribute(NFTA.RULE.TABLE, text(table)), attribute(NFTA.RULE.CHAIN, text(chain)), expressions],
    NLM_F.CREATE | NLM_F.APPEND,
  );
}

/** A table `ip <table>` whose output chain leads local ports elsewhere. */
function encodeLocalRedirects(table: string, redirects: readonly LocalRedirect[]): NetlinkMessage[] {
  const chain = "output";
  const name = [attribute(NFTA.TABLE_NAME, text(table))];
  return [
    message(NFT_MSG.NEWTABLE, NFPROTO.IPV4, name, NLM_F.CREATE),
    message(
      NFT_MSG.NEWCHAIN,
      NFPROTO.IPV4,
      [
        attribute(NFTA.CHAIN.TABLE, text(table)),
        attribute(NFTA.CHAIN.NAME, text(chain)),
        nested(
          NFTA.CHAIN.HOOK,
          attribute(NFTA.HOOK.NUMBER, u32be(NF_INET_LOCAL_OUT)),
          attribute(NFTA.HOOK.PRIORITY, u32be(PRIORITY_NAT_DST)),
        ),
        attribute(NFTA.CHAIN.TYPE, text("nat")),
      ],
      NLM_F.CREATE,
    ),
    ...redirects.map((redirect) => encodeRedirect(table, chain, redirect)),
  ];
}

/** nf_tables of one network namespace. */
export class NftablesSocket implements Disposable {
  readonly #socket: NetlinkSocket;

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** In the calling thread's network namespace. @throws LinuxError */
  static open(): NftablesSocket {
    return new NftablesSocket(NetlinkSocket.open(NETLINK.NETFILTER));
  }

  /** Changes elements of sets and maps of `inet <table>`: all or nothing. @throws LinuxError */
  changeElements(table: string, changes: readonly ElementChange[]): void {
    this.#commit(
      "change firewall elements",
      merged(changes).flatMap((change) => encodeElementChange(table, change)),
    );
  }

  /**
   * Replaces a table of that name, but only if there is one: closing a socket after a deletion waits 10 ms for RCU.
   * @throws LinuxError
   */
  redirectLocally(table: string, redirects: readonly LocalRedirect[]): void {
    const old = this.hasTable(table, NFPROTO.IPV4)
      ? [message(NFT_MSG.DELTABLE, NFPROTO.IPV4, [attribute(NFTA.TABLE_NAME, text(table))])]
      : [];
    this.#commit("redirect local ports", [...old, ...encodeLocalRedirects(table, redirects)]);
  }

  /** Absent is fine. @throws LinuxError */
  deleteTable(name: string): void {
    if (!this.hasTable(name)) return;
    const body = [attribute(NFTA.TABLE_NAME, text(name))];
    this.#commit("delete table", [message(NFT_MSG.DELTABLE, NFPROTO.INET, body)]);
  }

  /** The elements of a set or map of `inet <table>`, as `elementText` writes them. @throws LinuxError */
  elements(table: string, set: string): Set<string> {
    const body = [attribute(ELEMENTS.TABLE, text(table)), attribute(ELEMENTS.SET, text(set))];
    const request = message(NFT_MSG.GETSETELEM, NFPROTO.INET, body, NLM_F.DUMP);
    const found = new Set<string>();
    for (const part of this.#socket.stream("list firewall elements", request))
      for (const element of parseElements(part)) found.add(elementText(element));
    return found;
  }

  /** Counts every change of the rule set by anybody. */
  generation(): number {
    const [body] = this.#socket.query("read nftables generation", message(NFT_MSG.GETGEN, 0, []));
    return body ? (parseAttributes(body, 4).get(GEN_ID)?.readUInt32BE() ?? 0) : 0;
  }

  hasTable(name: string, family: number = NFPROTO.INET): boolean {
    try {
      this.#socket.query(
        "find table",
        message(NFT_MSG.GETTABLE, family, [attribute(NFTA.TABLE_NAME, text(name))]),
      );
      return true;
    } catch (error) {
      if (hasCode(error, "ENOENT")) return false;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #commit(what: string, messages: readonly NetlinkMessage[]): void {
    if (messages.length === 0) return;
    this.#socket.transaction(what, [batch(BATCH.BEGIN), ...messages, batch(BATCH.END)], messages.length);
  }
}

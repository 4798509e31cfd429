/**
 * Address arithmetic and the choice of addresses and subnets: pure. What is in use is handed in, recomputed by
 * the caller from live endpoints; nothing is kept here, so nothing can leak.
 */
import { isIPv4, isIPv6 } from "node:net";
import { InvalidParameterError } from "./errors.ts";

export interface IpAddress {
  readonly family: 4 | 6;
  /** The address as a number, most significant bit first. */
  readonly value: bigint;
}

/** An address and the length of its network part; the address may have bits beyond it (`172.17.0.1/16`). */
export interface IpPrefix extends IpAddress {
  /** Bits. */
  readonly length: number;
}

function widthOf(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}

/** Undefined for what is no address of either family. */
export function findAddress(text: string): IpAddress | undefined {
  if (isIPv4(text)) return { family: 4, value: quad(text) };
  if (isIPv6(text) && !text.includes("%")) return { family: 6, value: colons(text) };
  return undefined;
}

/** @throws InvalidParameterError */
export function parseAddress(text: string): IpAddress {
  const address = findAddress(text);
  if (!address) throw new InvalidParameterError(`invalid IP address: ${text}`, { subject: text });
  return address;
}

function quad(text: string): bigint {
  return text.split(".").reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function colons(text: string): bigint {
  let hex = text;
  const tail = /(\d+\.\d+\.\d+\.\d+)$/.exec(text)?.[1];
  if (tail) {
    const low = quad(tail);
    hex = `${text.slice(0, -tail.length)}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`;
  }
  const [head = "", rest] = hex.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = rest === undefined || rest === "" ? [] : rest.split(":");
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** IPv6 in the form of RFC 5952. */
export function formatAddress({ family, value }: IpAddress): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 0xffn)).join(".");
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16),
  );
  const zeros = longestZeroRun(groups);
  if (zeros.length < 2) return groups.join(":");
  return `${groups.slice(0, zeros.start).join(":")}::${groups.slice(zeros.start + zeros.length).join(":")}`;
}

function longestZeroRun(groups: readonly string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === "0") length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}

/** @throws InvalidParameterError "invalid CIDR address: …" */
export function parsePrefix(text: string): IpPrefix {
  const [, address = "", bits = ""] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const found = findAddress(address);
  if (!found || Number(bits) > widthOf(found.family))
    throw new InvalidParameterError(`invalid CIDR address: ${text}`, { subject: text });
  return { ...found, length: Number(bits) };
}

/** `10.0.0.0/24`, IPv6 in its shortest form. */
export function formatPrefix(prefix: IpPrefix): string {
  return `${formatAddress(prefix)}/${prefix.length}`;
}

function hostBits(prefix: IpPrefix): bigint {
  return BigInt(widthOf(prefix.family) - prefix.length);
}

/** The prefix without bits beyond its length. */
export function networkOf(prefix: IpPrefix): IpPrefix {
  const bits = hostBits(prefix);
  return { ...prefix, value: (prefix.value >> bits) << bits };
}

/** The highest address of a prefix: broadcast, for IPv4. */
export function lastOf(prefix: IpPrefix): IpAddress {
  return { family: prefix.family, value: networkOf(prefix).value + (1n << hostBits(prefix)) - 1n };
}

/** False across families. */
export function contains(prefix: IpPrefix, address: IpAddress): boolean {
  const bits = hostBits(prefix);
  return prefix.family === address.family && prefix.value >> bits === address.value >> bits;
}

/** False across families. */
export function overlaps(a: IpPrefix, b: IpPrefix): boolean {
  return a.length < b.length ? contains(a, b) : contains(b, a);
}

/** An address as the wire has it. */
export function toBytes({ family, value }: IpAddress): Uint8Array {
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(widthOf(family) / 4, "0"), "hex"));
}

/** @param bytes 4 or 16, as on the wire */
export function fromBytes(family: 4 | 6, bytes: Uint8Array): IpAddress {
  return { family, value: BigInt(`0x${Buffer.from(bytes).toString("hex")}`) };
}

export interface AddressRange {
  readonly subnet: IpPrefix;
  /** Automatic addresses come from here; undefined: from the whole subnet. */
  readonly range?: IpPrefix;
  /** Never given out: gateway, auxiliary addresses. */
  readonly reserved: readonly IpAddress[];
}

/**
 * The lowest free address: one that was released is given out again at once. Neighbours that remember its former owner
 * are not misled, since the MAC address follows from it.
 * @returns undefined when all are taken
 */
export function nextAddress(
  { subnet, range = subnet, reserved }: AddressRange,
  used: ReadonlySet<bigint>,
): IpAddress | undefined {
  const { family } = subnet;
  const lowest = networkOf(range).value;
  const highest = lastOf(range).value;
  const size = highest - lowest + 1n;
  const unusable = new Set(reserved.map(({ value }) => value));
  // RFC 3021: a /31 and a /32 have neither network nor broadcast address.
  if (!(family === 4 && subnet.length >= 31)) {
    unusable.add(networkOf(subnet).value);
    if (family === 4) unusable.add(lastOf(subnet).value);
  }
  const most = BigInt(used.size + unusable.size + 1);
  for (let step = 0n; step < size && step < most; step++) {
    const value = lowest + step;
    if (!used.has(value) && !unusable.has(value)) return { family, value };
  }
  return undefined;
}

/** The gateway of a subnet where none was asked for: its first usable address, of the range if there is one. */
export function defaultGateway(
  subnet: IpPrefix,
  { reserved = [], range }: Partial<AddressRange> = {},
): IpAddress | undefined {
  return nextAddress({ subnet, reserved, range }, new Set());
}

/**
 * The first subnet of the pools that overlaps nothing in `taken`.
 * @returns undefined when the pools are exhausted
 */
export function nextSubnet(
  pools: readonly { readonly base: IpPrefix; readonly size: number }[],
  taken: readonly IpPrefix[],
): IpPrefix | undefined {
  for (const { base, size } of pools) {
    const step = 1n << BigInt(widthOf(base.family) - size);
    const end = lastOf(base).value;
    for (let value = networkOf(base).value; value <= end; ) {
      const candidate = { family: base.family, value, length: size };
      const blocker = taken.find((other) => overlaps(candidate, other));
      if (!blocker) return candidate;
      // Past the blocker at once: it may be as large as the whole pool.
      const beyond = lastOf(blocker).value + 1n;
      value = beyond > value + step ? ((beyond + step - 1n) / step) * step : value + step;
    }
  }
  return undefined;
}

/** `02:42:` and the four bytes of an IPv4 address, or four hashed bytes for IPv6: stable for an address. */
export function macOf(address: IpAddress): string {
  const bytes = toBytes(address);
  const four = address.family === 4 ? bytes : bytes.slice(12).map((byte, i) => byte ^ (bytes[i + 4] ?? 0));
  return ["02", "42", ...Array.from(four, (byte) => byte.toString(16).padStart(2, "0"))].join(":");
}

/** How full a network's subnets are, for `docker network inspect` since API 1.52. Pure. */
import { contains, findAddress, type IpAddress, lastOf, networkOf, parsePrefix } from "../../core/ipam.ts";
import type { NetworkSubnet } from "../../core/network-driver.ts";

export interface SubnetStatus {
  /** Addresses in use or reserved. */
  readonly IPsInUse: number | bigint;
  /** How many more containers get one: of the range, where there is one. */
  readonly DynamicIPsAvailable: number | bigint;
}

const MOST = 2n ** 64n - 1n;

/** @param used values of the addresses that endpoints have, of any subnet */
export function subnetStatus(config: NetworkSubnet, used: ReadonlySet<bigint>): SubnetStatus {
  const subnet = parsePrefix(config.subnet);
  const range = config.ipRange ? parsePrefix(config.ipRange) : subnet;
  const { family } = subnet;
  const taken = new Set(used);
  for (const { value } of reserved(config)) taken.add(value);
  const inside = [...taken].filter((value) => contains(subnet, { family, value }));
  const inRange = inside.filter((value) => contains(range, { family, value }));
  const size = lastOf(range).value - networkOf(range).value + 1n;
  return { IPsInUse: inside.length, DynamicIPsAvailable: toNumber(size - BigInt(inRange.length)) };
}

/** Gateway and auxiliary addresses, the subnet's own (anycast, with IPv6) and, with IPv4, its broadcast address. */
function reserved({ subnet, gateway, auxiliaryAddresses }: NetworkSubnet): IpAddress[] {
  const prefix = parsePrefix(subnet);
  const named = [gateway, ...Object.values(auxiliaryAddresses ?? {})].flatMap((text) =>
    text ? (findAddress(text) ?? []) : [],
  );
  const edges = prefix.family === 6 ? [networkOf(prefix)] : [networkOf(prefix), lastOf(prefix)];
  // Point-to-point subnets have neither.
  const width = prefix.family === 4 ? 32 : 128;
  return prefix.length >= width - 1 ? named : [...named, ...edges];
}

function toNumber(count: bigint): number | bigint {
  const most = count > MOST ? MOST : count;
  return most <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(most) : most;
}

/** Addresses of a network from `--subnet`, `--ip-range`, `--gateway`, `--aux-address`. Pure. */
import { BlockList, isIP } from "node:net";
import type { IPAM } from "../../api/types.ts";

export interface IpamFlags {
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly subnets: readonly string[];
  readonly ranges: readonly string[];
  readonly gateways: readonly string[];
  readonly auxiliary: Readonly<Record<string, string>>;
}

interface Pool {
  Subnet: string;
  IPRange?: string;
  Gateway?: string;
  AuxiliaryAddresses: Record<string, string>;
}

/** Puts each range, gateway and address to its subnet. @throws Error in Docker's words */
export function toIpam({ driver, options, subnets, ranges, gateways, auxiliary }: IpamFlags): IPAM {
  if (subnets.length < ranges.length || subnets.length < gateways.length) {
    throw new Error("every ip-range or gateway must have a corresponding subnet");
  }
  const pools: Pool[] = [];
  for (const subnet of subnets) {
    for (const other of pools) {
      if (contains(subnet, other.Subnet) || contains(other.Subnet, subnet)) {
        throw new Error("multiple overlapping subnet configuration is not supported");
      }
    }
    pools.push({ Subnet: subnet, AuxiliaryAddresses: {} });
  }
  for (const range of ranges) {
    if (pools.length > 0) parseCidr(range);
    const pool = pools.find(({ Subnet }) => contains(Subnet, range));
    if (!pool) throw new Error(`no matching subnet for range ${range}`);
    if (pool.IPRange) {
      throw new Error(
        `cannot configure multiple ranges (${range}, ${pool.IPRange}) on the same subnet (${pool.Subnet})`,
      );
    }
    pool.IPRange = range;
  }
  for (const gateway of gateways) {
    const pool = pools.find(({ Subnet }) => contains(Subnet, gateway));
    if (!pool) throw new Error(`no matching subnet for gateway ${gateway}`);
    if (pool.Gateway) {
      throw new Error(
        `cannot configure multiple gateways (${gateway}, ${pool.Gateway}) for the same subnet (${pool.Subnet})`,
      );
    }
    pool.Gateway = gateway;
  }
  for (const [name, address] of Object.entries(auxiliary)) {
    const pool = pools.find(({ Subnet }) => contains(Subnet, address));
    if (!pool) throw new Error(`no matching subnet for aux-address ${address}`);
    pool.AuxiliaryAddresses[name] = address;
  }
  return { Driver: driver, Config: pools, Options: options };
}

/** True if the subnet holds that address, or the first address of that range. */
function contains(subnet: string, target: string): boolean {
  const net = parseSubnet(subnet);
  const address = target.includes("/") ? parseCidr(target).address : target;
  const family = isIP(address);
  if (family === 0) return false;
  const block = new BlockList();
  block.addSubnet(net.address, net.bits, isIP(net.address) === 6 ? "ipv6" : "ipv4");
  return block.check(address, family === 6 ? "ipv6" : "ipv4");
}

function parseSubnet(text: string): { address: string; bits: number } {
  try {
    return parseCidr(text);
  } catch (cause) {
    throw new Error(`invalid subnet: ${(cause as Error).message}`, { cause });
  }
}

function parseCidr(text: string): { address: string; bits: number } {
  const [address = "", bits = ""] = text.split("/");
  const family = isIP(address);
  if (family === 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > (family === 6 ? 128 : 32)) {
    throw new Error(`invalid CIDR address: ${text}`);
  }
  return { address, bits: Number(bits) };
}

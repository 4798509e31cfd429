/** Which addresses of networks are in use: kept from live endpoints, so that nothing outlives its owner. */
import { InvalidParameterError, SystemError } from "../../core/errors.ts";
import type { NetworkId } from "../../core/ids.ts";
import {
  contains,
  findAddress,
  formatAddress,
  type IpAddress,
  type IpPrefix,
  nextAddress,
  parseAddress,
  parsePrefix,
} from "../../core/ipam.ts";
import type { NetworkRecord, NetworkSubnet } from "../../core/network-driver.ts";

/** Which addresses of each network are taken. Recomputed from live endpoints, never stored. */
export class Addresses {
  readonly #used = new Map<NetworkId, Set<bigint>>();

  /**
   * Addresses of one endpoint: one of each family of the network that the container speaks.
   * @param wanted static addresses; @throws InvalidParameterError, SystemError "Address already in use"
   */
  allocate(
    network: NetworkRecord,
    wanted: { ipv4?: string; ipv6?: string },
    { ipv6 = true }: { ipv6?: boolean } = {},
  ): IpPrefix[] {
    const allocated: IpPrefix[] = [];
    try {
      for (const [family, text] of [
        [4, wanted.ipv4],
        [6, wanted.ipv6],
      ] as const) {
        if (family === 6 && !ipv6) continue;
        const subnets = network.ipam.subnets.filter(({ subnet }) => parsePrefix(subnet).family === family);
        if (subnets.length > 0)
          allocated.push(text ? this.#take(network, subnets, text) : this.#next(network, subnets));
      }
      return allocated;
    } catch (error) {
      this.release(network.id, allocated);
      throw error;
    }
  }

  /** Boot: addresses of an endpoint that lives already. */
  claim(networkId: NetworkId, addresses: readonly IpAddress[]): void {
    const used = this.#of(networkId);
    for (const { value } of addresses) used.add(value);
  }

  release(networkId: NetworkId, addresses: readonly IpAddress[]): void {
    const used = this.#of(networkId);
    for (const { value } of addresses) used.delete(value);
  }

  forget(networkId: NetworkId): void {
    this.#used.delete(networkId);
  }

  #take({ id }: NetworkRecord, subnets: readonly NetworkSubnet[], text: string): IpPrefix {
    const address = parseAddress(text);
    const subnet = subnets.find((candidate) => contains(parsePrefix(candidate.subnet), address));
    if (!subnet)
      throw new InvalidParameterError(`no configured subnet contains IP address ${text}`, { subject: text });
    const used = this.#of(id);
    if (used.has(address.value) || reservedOf(subnet).some(({ value }) => value === address.value))
      throw new SystemError("Address already in use", { subject: text });
    used.add(address.value);
    return { ...address, length: parsePrefix(subnet.subnet).length };
  }

  #next({ id, name }: NetworkRecord, subnets: readonly NetworkSubnet[]): IpPrefix {
    const used = this.#of(id);
    for (const config of subnets) {
      const subnet = parsePrefix(config.subnet);
      const range = config.ipRange ? parsePrefix(config.ipRange) : undefined;
      const address = nextAddress({ subnet, range, reserved: reservedOf(config) }, used);
      if (!address) continue;
      used.add(address.value);
      return { ...address, length: subnet.length };
    }
    throw new SystemError(`no available IPv4 addresses on this network's address pools: ${name} (${id})`, {
      subject: id,
    });
  }

  /** Values of the addresses that endpoints have. */
  usedOf(id: NetworkId): ReadonlySet<bigint> {
    return this.#used.get(id) ?? new Set();
  }

  #of(id: NetworkId): Set<bigint> {
    const known = this.#used.get(id);
    if (known) return known;
    const fresh = new Set<bigint>();
    this.#used.set(id, fresh);
    return fresh;
  }
}

function reservedOf({ gateway, auxiliaryAddresses }: NetworkSubnet): IpAddress[] {
  return [gateway, ...Object.values(auxiliaryAddresses ?? {})].flatMap((text) =>
    text ? (findAddress(text) ?? []) : [],
  );
}

/**
 * What keeps a container's wish from coming true on a network, in Docker's words. Addresses that are none are
 * somebody else's to refuse.
 * @see moby api/types/network/endpoint.go IsInRange
 */
export function wantedAddressErrors(
  network: NetworkRecord,
  wanted: { IPv4Address?: string; IPv6Address?: string },
): string[] {
  const subnets = [...network.ipam.subnets, ...(network.ipam.unusedSubnets ?? [])];
  return [wanted.IPv4Address, wanted.IPv6Address].flatMap((text) => {
    const address = text ? findAddress(text) : undefined;
    if (!address) return [];
    const requested = subnets
      .filter((subnet) => subnet.requested)
      .map(({ subnet }) => parsePrefix(subnet))
      .filter(({ family }) => family === address.family);
    if (requested.length === 0)
      return [
        "user specified IP address is supported only when connecting to networks with user configured subnets",
      ];
    if (requested.some((subnet) => contains(subnet, address))) return [];
    return [`no configured subnet or ip-range contain the IP address ${formatAddress(address)}`];
  });
}

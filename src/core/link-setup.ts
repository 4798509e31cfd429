/** What a driver makes of an endpoint in its namespace, in the bytes that the kernel takes. Pure. */
import { contains, type IpAddress, type IpPrefix, toBytes } from "./ipam.ts";
import type { EndpointRequest } from "./network-driver.ts";

interface RawAddress {
  readonly family: 4 | 6;
  /** Network order. */
  readonly bytes: Uint8Array;
}

interface RawPrefix extends RawAddress {
  /** Bits. */
  readonly length: number;
}

export interface LinkSetup {
  readonly interfaceName: string;
  readonly addresses: readonly RawPrefix[];
  /** `onLink`: within the link's own subnets; others are told to be on the link first. */
  readonly gateways: readonly (RawAddress & { readonly onLink: boolean })[];
  readonly sysctls: Readonly<Record<string, string>>;
}

export function toLinkSetup({ interfaceName, addresses, gateways, sysctls }: EndpointRequest): LinkSetup {
  return {
    interfaceName,
    addresses: addresses.map(toRaw),
    gateways: gateways.map((gateway) => ({
      ...toRawAddress(gateway),
      onLink: addresses.some((address) => contains(address, gateway)),
    })),
    sysctls,
  };
}

export function toRawAddress(address: IpAddress): RawAddress {
  return { family: address.family, bytes: toBytes(address) };
}

export function toRaw(prefix: IpPrefix): RawPrefix {
  return { ...toRawAddress(prefix), length: prefix.length };
}

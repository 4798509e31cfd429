/** The subnets of a new network: what was asked for, checked; what was not, chosen from the pools. Pure. */
import type { IPAM } from "../../api/types.ts";
import type { NetworkConfig } from "../../core/config.ts";
import { ForbiddenError, InvalidParameterError } from "../../core/errors.ts";
import {
  contains,
  defaultGateway,
  findAddress,
  formatAddress,
  formatPrefix,
  type IpAddress,
  type IpPrefix,
  networkOf,
  nextSubnet,
  overlaps,
  parsePrefix,
} from "../../core/ipam.ts";
import type { NetworkSubnet } from "../../core/network-driver.ts";

export interface AddressPool {
  readonly base: IpPrefix;
  /** Bits of each subnet. */
  readonly size: number;
}

/** Docker's: 172.17–31.0.0/16 and 192.168.0.0/20 … */
export const DEFAULT_POOLS: readonly AddressPool[] = [
  ...Array.from({ length: 15 }, (_, i) => ({ base: parsePrefix(`172.${17 + i}.0.0/16`), size: 16 })),
  { base: parsePrefix("192.168.0.0/16"), size: 20 },
];

/** A /48 of unique local addresses that is this engine's own (RFC 4193). @param instance eight hex digits */
export function localIPv6Pool(instance: string): AddressPool {
  const digits = instance.padEnd(10, "0");
  return {
    base: parsePrefix(`fd${digits.slice(0, 2)}:${digits.slice(2, 6)}:${digits.slice(6, 10)}::/48`),
    size: 64,
  };
}

export interface SubnetOptions {
  readonly enableIPv4: boolean;
  readonly enableIPv6: boolean;
  readonly pools: readonly AddressPool[];
  /** Subnets of this engine's networks: never to be used again. */
  readonly networks: readonly IpPrefix[];
  /** Routes of the host: avoided where we choose. */
  readonly routes: readonly IpPrefix[];
  /** What leads to the host's default gateways: a network there would cut the host off. */
  readonly uplinks: readonly IpPrefix[];
}

/** @throws InvalidParameterError, ForbiddenError with Docker's wording */
export function planSubnets(requested: IPAM | undefined, options: SubnetOptions): NetworkSubnet[] {
  const subnets = checkSubnets(requested).filter((config) => isUsed(config, options));
  for (const { subnet } of subnets) {
    checkUsable(parsePrefix(subnet), options.uplinks);
    if (options.networks.some((other) => overlaps(other, parsePrefix(subnet))))
      throw new ForbiddenError("invalid pool request: Pool overlaps with other one on this address space", {
        subject: subnet,
      });
  }
  const missing = ([4, 6] as const).filter(
    (family) =>
      (family === 4 ? options.enableIPv4 : options.enableIPv6) &&
      !subnets.some(({ subnet }) => parsePrefix(subnet).family === family),
  );
  return [...subnets, ...missing.map((family) => chooseSubnet(family, options))];
}

export interface DefaultSubnetsOptions {
  /** As they were the last time. */
  readonly known: readonly NetworkSubnet[];
  /** The address that the bridge has already, where somebody else made it. */
  readonly adopted: IpPrefix | undefined;
  readonly choose: (family: 4 | 6) => readonly NetworkSubnet[];
}

/**
 * The default bridge's. What is configured counts; what was chosen once is kept from run to run, but not what a former
 * configuration asked for.
 */
export function planDefaultSubnets(
  { bip, defaultBridge }: Pick<NetworkConfig, "bip" | "defaultBridge">,
  { known, adopted, choose }: DefaultSubnetsOptions,
): NetworkSubnet[] {
  const { fixedCidr, fixedCidr6, bip6, ipv6 } = defaultBridge;
  const kept = (family: 4 | 6) =>
    known.filter(({ subnet, requested }) => !requested && parsePrefix(subnet).family === family);
  const plan = (family: 4 | 6, configured: NetworkSubnet | undefined) => {
    if (configured) return [configured];
    return kept(family).length > 0 ? kept(family) : choose(family);
  };
  const v4 = plan(4, toDefaultSubnet(bip ? parsePrefix(bip) : adopted, fixedCidr));
  return [...v4, ...(ipv6 ? plan(6, toDefaultSubnet(bip6 ? parsePrefix(bip6) : undefined, fixedCidr6)) : [])];
}

/** @throws InvalidParameterError if the range lies outside */
function toDefaultSubnet(
  address: IpPrefix | undefined,
  fixed: string | undefined,
): NetworkSubnet | undefined {
  const range = fixed ? networkOf(parsePrefix(fixed)) : undefined;
  if (!address) {
    const gateway = range && defaultGateway(range);
    return range && gateway
      ? { subnet: formatPrefix(range), gateway: formatAddress(gateway), requested: true }
      : undefined;
  }
  const subnet = networkOf(address);
  if (range && (!contains(subnet, range) || range.length < subnet.length))
    throw new InvalidParameterError(`fixed-cidr ${fixed} is not within ${formatPrefix(subnet)}`);
  return {
    subnet: formatPrefix(subnet),
    gateway: formatAddress(address),
    requested: true,
    ...(range && { ipRange: formatPrefix(range) }),
  };
}

/** Loopback, multicast, "this host": no container can have an address there. */
const UNUSABLE = ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/96", "fe80::/10", "ff00::/8"].map(
  parsePrefix,
);

/** @throws InvalidParameterError, ForbiddenError */
function checkUsable(subnet: IpPrefix, uplinks: readonly IpPrefix[]): void {
  const text = formatPrefix(subnet);
  const unusable = UNUSABLE.find((range) => overlaps(range, subnet));
  if (unusable)
    throw new InvalidParameterError(
      `invalid network config:\ninvalid subnet ${text}: ${formatPrefix(unusable)} cannot be addresses of containers`,
      { subject: text },
    );
  const uplink = uplinks.find((range) => overlaps(range, subnet));
  if (uplink)
    throw new ForbiddenError(
      `invalid pool request: ${text} overlaps with ${formatPrefix(uplink)}, which leads to the host's default gateway`,
      { subject: text },
    );
}

/** What was asked for in a family that is off. Docker keeps it, shows it and takes addresses in it for valid. */
export function unusedSubnets(
  requested: IPAM | undefined,
  options: Pick<SubnetOptions, "enableIPv4" | "enableIPv6">,
): NetworkSubnet[] {
  return checkSubnets(requested).filter((config) => !isUsed(config, options));
}

function isUsed(
  { subnet }: NetworkSubnet,
  { enableIPv4, enableIPv6 }: Pick<SubnetOptions, "enableIPv4" | "enableIPv6">,
): boolean {
  return parsePrefix(subnet).family === 4 ? enableIPv4 : enableIPv6;
}

/** @returns the subnets that were asked for, complete @throws InvalidParameterError with Docker's wording */
export function checkSubnets(requested: IPAM | undefined): NetworkSubnet[] {
  return (requested?.Config ?? [])
    .filter(({ Subnet, Gateway, IPRange }) => Subnet || Gateway || IPRange)
    .map((config) => {
      if (!config.Subnet)
        throw new InvalidParameterError(
          "invalid network config:\ninvalid subnet: a subnet must be specified",
        );
      return checkSubnet(config.Subnet, config.IPRange, config.Gateway, config.AuxiliaryAddresses ?? {});
    });
}

function chooseSubnet(family: 4 | 6, { pools, networks, routes }: SubnetOptions): NetworkSubnet {
  const subnet = nextSubnet(
    pools.filter(({ base }) => base.family === family),
    [...networks, ...routes],
  );
  if (!subnet) throw new InvalidParameterError("all predefined address pools have been fully subnetted");
  const gateway = defaultGateway(subnet);
  return { subnet: formatPrefix(subnet), gateway: gateway && formatAddress(gateway) };
}

function checkSubnet(
  subnetText: string,
  rangeText: string | undefined,
  gatewayText: string | undefined,
  auxiliary: Readonly<Record<string, string>>,
): NetworkSubnet {
  const subnet = parseSubnet(subnetText);
  const range = rangeText ? parseRange(rangeText, subnet) : undefined;
  const reserved = Object.values(auxiliary).map((text) => parseInside("auxiliary address", text, subnet));
  const gateway = gatewayText
    ? parseInside("gateway", gatewayText.replace(/\/\d+$/, ""), subnet)
    : defaultGateway(subnet, { reserved, range });
  return {
    subnet: formatPrefix(subnet),
    requested: true,
    ipRange: range && formatPrefix(range),
    gateway: gateway && formatAddress(gateway),
    auxiliaryAddresses: reserved.length > 0 ? auxiliary : undefined,
  };
}

function parseSubnet(text: string): IpPrefix {
  let subnet: IpPrefix;
  try {
    subnet = parsePrefix(text);
  } catch (error) {
    throw new InvalidParameterError(
      `invalid network config:\ninvalid subnet ${text}: invalid CIDR block notation`,
      { cause: error },
    );
  }
  const masked = networkOf(subnet);
  if (masked.value !== subnet.value)
    throw new InvalidParameterError(
      `invalid network config:\ninvalid subnet ${text}: it should be ${formatPrefix(masked)}`,
    );
  return subnet;
}

function parseRange(text: string, subnet: IpPrefix): IpPrefix {
  const range = networkOf(parsePrefix(text));
  if (range.length < subnet.length || !contains(subnet, range))
    throw new InvalidParameterError(
      `invalid network config:\ninvalid ip-range ${text}: parent subnet ${formatPrefix(subnet)} doesn't contain ip-range`,
    );
  return range;
}

function parseInside(what: string, text: string, subnet: IpPrefix): IpAddress {
  const address = findAddress(text);
  if (!address)
    throw new InvalidParameterError(`invalid network config:\ninvalid ${what} ${text}: invalid address`);
  if (!contains(subnet, address))
    throw new InvalidParameterError(
      `invalid network config:\ninvalid ${what} ${text}: parent subnet ${formatPrefix(subnet)} doesn't contain this address`,
    );
  return address;
}

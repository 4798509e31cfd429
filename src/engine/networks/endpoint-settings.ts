/** What clients ask of one endpoint: addresses, MAC, aliases, sysctls. Checked at create and connect already. Pure. */
import type { EndpointSettings } from "../../api/types.ts";
import { InvalidParameterError, messageOf } from "../../core/errors.ts";
import { findAddress, type IpPrefix, parseAddress } from "../../core/ipam.ts";
import type { NetworkRecord } from "../../core/network-driver.ts";
import { wantedAddressErrors } from "./addresses.ts";
import { isPredefined } from "./names.ts";

const OPTION_SYSCTLS = "com.docker.network.endpoint.sysctls";
/** `net.X.Y.IFNAME.Z=V`; the CLI lower-cases the placeholder. */
const SYSCTL = /^[^.]*\.(?:ipv4|ipv6|mpls)\.[^.]*\.(?:IFNAME|ifname)\./;

/**
 * @param network undefined if it is not there: its subnets are start's matter then
 * @throws InvalidParameterError with Docker's wording
 * @see moby daemon/container_operations.go validateEndpointSettings
 */
export function checkEndpointSettings(
  name: string,
  network: NetworkRecord | undefined,
  settings: EndpointSettings,
): void {
  const errors = [
    ...predefinedErrors(network?.name ?? name, settings),
    ...addressErrors(settings),
    ...(network ? wantedAddressErrors(network, settings.IPAMConfig ?? {}) : []),
  ];
  const mac = settings.MacAddress;
  if (mac && !/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(mac))
    throw new InvalidParameterError(`invalid MAC address ${mac}`, { subject: mac });
  errors.push(...sysctlErrors(settings), ...aliasErrors(settings));
  if (errors.length > 0)
    throw new InvalidParameterError(`invalid endpoint settings:\n${joined(errors)}`, { subject: name });
}

/** The same where a container is created with it: the message names the network. @throws InvalidParameterError */
export function checkEndpointConfig(
  name: string,
  network: NetworkRecord | undefined,
  settings: EndpointSettings,
): void {
  try {
    checkEndpointSettings(name, network, settings);
  } catch (error) {
    throw new InvalidParameterError(`invalid config for network ${name}: ${messageOf(error)}`, {
      ...{ cause: error, subject: name },
    });
  }
}

/** The addresses that an endpoint has besides those of its network, with the lengths that link-local ones have. */
export function linkLocalAddresses({ IPAMConfig }: EndpointSettings): IpPrefix[] {
  return (IPAMConfig?.LinkLocalIPs ?? []).map((text) => {
    const address = parseAddress(text);
    return { ...address, length: address.family === 4 ? 16 : 64 };
  });
}

/** `net.ipv4.conf.IFNAME.log_martians=1,…` with the interface's real name. */
export function endpointSysctls(settings: EndpointSettings, interfaceName: string): Record<string, string> {
  return Object.fromEntries(
    listSysctls(settings).map((setting) => {
      const [name = "", ...value] = setting.split("=");
      if (value.length === 0)
        throw new InvalidParameterError(`invalid endpoint sysctl ${JSON.stringify(setting)}`);
      return [name.replace(/\.ifname\./i, `.${interfaceName}.`), value.join("=")];
    }),
  );
}

/** Names that a resolver can ask for, and that mean nothing else in a hosts file. */
function aliasErrors({ Aliases }: EndpointSettings): string[] {
  return (Aliases ?? [])
    .filter((alias) => !/^[A-Za-z0-9_.-]{1,253}$/.test(alias))
    .map((alias) => `invalid network-scoped alias: ${JSON.stringify(alias)}`);
}

function listSysctls({ DriverOpts }: EndpointSettings): string[] {
  return DriverOpts?.[OPTION_SYSCTLS]?.split(",") ?? [];
}

function sysctlErrors(settings: EndpointSettings): string[] {
  return listSysctls(settings)
    .filter((setting) => !SYSCTL.test(setting))
    .map(
      (setting) =>
        `unrecognised network interface sysctl '${setting}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'`,
    );
}

function predefinedErrors(name: string, { IPAMConfig, Aliases }: EndpointSettings): string[] {
  if (!isPredefined(name)) return [];
  const errors: string[] = [];
  if (IPAMConfig?.IPv4Address || IPAMConfig?.IPv6Address)
    errors.push("user specified IP address is supported on user defined networks only");
  if (Aliases?.length)
    errors.push("network-scoped alias is supported only for containers in user defined networks");
  return errors;
}

function addressErrors({ IPAMConfig }: EndpointSettings): string[] {
  const { IPv4Address = "", IPv6Address = "", LinkLocalIPs = [] } = IPAMConfig ?? {};
  const isUsable = (text: string, family?: 4 | 6) => {
    const address = findAddress(text);
    return address !== undefined && address.value !== 0n && (!family || address.family === family);
  };
  return [
    ...(IPv4Address && !isUsable(IPv4Address, 4) ? [`invalid IPv4 address: ${IPv4Address}`] : []),
    ...(IPv6Address && !isUsable(IPv6Address, 6) ? [`invalid IPv6 address: ${IPv6Address}`] : []),
    ...LinkLocalIPs.filter((text) => !isUsable(text)).map((text) => `invalid link-local IP address: ${text}`),
  ];
}

/** @see moby internal/multierror */
function joined(errors: readonly string[]): string {
  const [only, ...more] = errors;
  return more.length === 0 ? (only ?? "") : `* ${errors.join("\n* ")}`;
}

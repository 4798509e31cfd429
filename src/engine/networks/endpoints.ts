/** Endpoints of running containers: what connects a sandbox to a network, and who is on which network. */
import type { EndpointSettings } from "../../api/types.ts";
import type { ContainerRecord } from "../../core/container.ts";
import { type EndpointId, type NetworkId, shortId } from "../../core/ids.ts";
import {
  contains,
  findAddress,
  formatAddress,
  type IpAddress,
  type IpPrefix,
  parsePrefix,
} from "../../core/ipam.ts";
import type { NetworkDriver, NetworkRecord } from "../../core/network-driver.ts";

export interface LiveEndpoint {
  readonly id: EndpointId;
  readonly containerId: string;
  readonly containerName: string;
  readonly network: NetworkRecord;
  readonly driver: NetworkDriver;
  /** Inside of the namespace. */
  readonly interfaceName: string;
  readonly mac: string;
  readonly addresses: readonly IpPrefix[];
  /** As asked for. */
  readonly settings: EndpointSettings;
  /** Lower-case names by which neighbours find it; empty where there is no embedded DNS. */
  readonly dnsNames: readonly string[];
}

/** The network that `--network` leaves unnamed: no embedded DNS, as Docker has it. */
export function isDefaultBridge(network: NetworkRecord): boolean {
  return network.name === "bridge";
}

/** Networks on which containers find each other by name. */
export function hasEmbeddedDns(network: NetworkRecord, driver: NetworkDriver): boolean {
  return driver.addressed && !isDefaultBridge(network);
}

/** Docker's order: container name, aliases, short id, hostname. */
export function dnsNamesOf(container: ContainerRecord, settings: EndpointSettings): string[] {
  const { Hostname, Domainname } = container.config;
  const host = Hostname && Domainname ? `${Hostname}.${Domainname}` : Hostname;
  const names = [container.name, ...(settings.Aliases ?? []), shortId(container.id), ...(host ? [host] : [])];
  return [...new Set(names)];
}

/** The way out of the endpoint's network. Internal networks have none. */
export function gatewayOf({ network, addresses }: LiveEndpoint, family: 4 | 6): IpAddress | undefined {
  if (network.internal) return undefined;
  const own = addresses.find((address) => address.family === family);
  const subnet = own && network.ipam.subnets.find(({ subnet }) => contains(parsePrefix(subnet), own));
  return subnet?.gateway ? findAddress(subnet.gateway) : undefined;
}

/** The endpoint that the default route leads through: highest GwPriority, then the network's name. */
export function chooseGateway(endpoints: Iterable<LiveEndpoint>, family: 4 | 6): LiveEndpoint | undefined {
  return [...endpoints]
    .filter((endpoint) => gatewayOf(endpoint, family))
    .sort(
      (a, b) =>
        (b.settings.GwPriority ?? 0) - (a.settings.GwPriority ?? 0) ||
        (a.network.name < b.network.name ? -1 : 1),
    )[0];
}

/** Without its prefix length; undefined if the endpoint has none of that family. */
export function addressOf(endpoint: LiveEndpoint, family: 4 | 6): string | undefined {
  const found = endpoint.addresses.find((address) => address.family === family);
  return found && formatAddress(found);
}

/** The endpoint as inspect shows it. */
export function toEndpointSettings(endpoint: LiveEndpoint): EndpointSettings {
  const { settings, network, addresses } = endpoint;
  const shown = (family: 4 | 6) => {
    const address = addresses.find((candidate) => candidate.family === family);
    const gateway = gatewayOf(endpoint, family);
    return {
      address: address ? formatAddress(address) : "",
      length: address?.length ?? 0,
      gateway: gateway ? formatAddress(gateway) : "",
    };
  };
  const [v4, v6] = [shown(4), shown(6)];
  return {
    ...settings,
    IPAMConfig: settings.IPAMConfig ?? null,
    DriverOpts: settings.DriverOpts ?? null,
    GwPriority: settings.GwPriority ?? 0,
    MacAddress: endpoint.mac,
    NetworkID: network.id,
    EndpointID: endpoint.id,
    Gateway: v4.gateway,
    IPAddress: v4.address,
    IPPrefixLen: v4.length,
    IPv6Gateway: v6.gateway,
    GlobalIPv6Address: v6.address,
    GlobalIPv6PrefixLen: v6.length,
    DNSNames: endpoint.dnsNames.length > 0 ? [...endpoint.dnsNames] : undefined,
  };
}

/** Live endpoints by network. */
export class EndpointIndex {
  readonly #byNetwork = new Map<NetworkId, Map<string, LiveEndpoint>>();

  of(networkId: NetworkId): LiveEndpoint[] {
    return [...(this.#byNetwork.get(networkId)?.values() ?? [])];
  }

  /** Replaces an endpoint of the same container. */
  put(endpoint: LiveEndpoint): void {
    const known = this.#byNetwork.get(endpoint.network.id) ?? new Map<string, LiveEndpoint>();
    known.set(endpoint.containerId, endpoint);
    this.#byNetwork.set(endpoint.network.id, known);
  }

  delete({ network, containerId }: LiveEndpoint): void {
    this.#byNetwork.get(network.id)?.delete(containerId);
  }
}

/** Networks in the API's shape. Pure. */
import type { EndpointResource, Network, NetworkInspect } from "../../api/types.ts";
import { formatPrefix } from "../../core/ipam.ts";
import type { NetworkRecord } from "../../core/network-driver.ts";
import type { LiveEndpoint } from "./endpoints.ts";

/** As lists show it. */
export function toNetwork(record: NetworkRecord): Network {
  return {
    Name: record.name,
    Id: record.id,
    Created: record.created,
    Scope: "local",
    Driver: record.driver,
    EnableIPv4: record.enableIPv4,
    EnableIPv6: record.enableIPv6,
    IPAM: {
      Driver: record.ipam.driver,
      Options: record.ipam.options ?? undefined,
      Config: [...record.ipam.subnets, ...(record.ipam.unusedSubnets ?? [])].map(
        ({ subnet, ipRange, gateway, auxiliaryAddresses }) => ({
          Subnet: subnet,
          ...(ipRange ? { IPRange: ipRange } : {}),
          ...(gateway ? { Gateway: gateway } : {}),
          ...(auxiliaryAddresses ? { AuxiliaryAddresses: { ...auxiliaryAddresses } } : {}),
        }),
      ),
    },
    Internal: record.internal,
    Attachable: record.attachable,
    Ingress: record.ingress,
    ConfigFrom: { Network: record.configFrom ?? "" },
    ConfigOnly: record.configOnly ?? false,
    Options: { ...record.options },
    Labels: { ...record.labels },
  };
}

/** With the containers that run on it. */
export function toNetworkInspect(record: NetworkRecord, endpoints: readonly LiveEndpoint[]): NetworkInspect {
  return {
    ...toNetwork(record),
    Containers: Object.fromEntries(
      endpoints.map((endpoint) => [endpoint.containerId, toEndpointResource(endpoint)]),
    ),
  };
}

function toEndpointResource({ id, containerName, mac, addresses }: LiveEndpoint): EndpointResource {
  const shown = (family: 4 | 6) => {
    const address = addresses.find((candidate) => candidate.family === family);
    return address ? formatPrefix(address) : "";
  };
  return {
    Name: containerName,
    EndpointID: id,
    MacAddress: mac,
    IPv4Address: shown(4),
    IPv6Address: shown(6),
  };
}

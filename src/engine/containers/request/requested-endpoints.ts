/** Which endpoints a create request asks for, and what its container-wide MAC address means for them. Pure. */
import type { EndpointSettings } from "../../../api/types.ts";
import { InvalidParameterError } from "../../../core/errors.ts";

export interface EndpointsRequest {
  /** The mode, `bridge` where the request names none. */
  readonly networkMode: string;
  /** Keyed by network name or id; null is refused. */
  readonly endpoints: Readonly<Record<string, EndpointSettings | null>>;
  readonly containerMac: string | undefined;
  /** Endpoints have MAC addresses of their own (API 1.44): the container-wide one is deprecated then. */
  readonly endpointMacs: boolean;
}

export interface RequestedEndpoints {
  readonly endpoints: Readonly<Record<string, EndpointSettings>>;
  readonly warnings: readonly string[];
}

/**
 * `default` is an old name of the mode's network.
 * @throws InvalidParameterError with Docker's wording
 * @see moby api/server/router/container/container_routes.go handleMACAddressBC
 */
export function requestedEndpoints(request: EndpointsRequest): RequestedEndpoints {
  const { networkMode: main, containerMac: mac } = request;
  const endpoints = Object.fromEntries(
    Object.entries(request.endpoints).map(([name, settings]) => {
      if (!settings)
        throw new InvalidParameterError(`invalid config for network ${name}: EndpointsConfig is nil`);
      return [name === "default" ? main : name, settings];
    }),
  );
  const takesMac = main !== "none" && main !== "host" && !main.startsWith("container:");
  if (!request.endpointMacs)
    return { endpoints: withOldMac(main, endpoints, { mac, takesMac }), warnings: [] };
  if (!takesMac && Object.values(endpoints).some(({ MacAddress }) => MacAddress))
    throw new InvalidParameterError("conflicting options: mac-address and the network mode");
  if (!mac) return { endpoints, warnings: [] };
  return {
    endpoints: takesMac ? withMainMac(main, endpoints, mac) : endpoints,
    warnings: [
      "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.",
    ],
  };
}

/** Before API 1.44 there was one endpoint at most, and its own MAC address did not count. */
function withOldMac(
  main: string,
  endpoints: Readonly<Record<string, EndpointSettings>>,
  { mac, takesMac }: { mac: string | undefined; takesMac: boolean },
): Record<string, EndpointSettings> {
  if (mac && !takesMac)
    throw new InvalidParameterError("conflicting options: mac-address and the network mode");
  const [first = main] = Object.keys(endpoints);
  const bare = Object.entries(endpoints).map(([name, { MacAddress: _ignored, ...rest }]) => [name, rest]);
  const stripped: Record<string, EndpointSettings> = Object.fromEntries(bare);
  return mac ? { ...stripped, [first]: { ...stripped[first], MacAddress: mac } } : stripped;
}

function withMainMac(
  main: string,
  endpoints: Readonly<Record<string, EndpointSettings>>,
  mac: string,
): Record<string, EndpointSettings> {
  const endpoint = Object.keys(endpoints).length === 0 ? {} : endpoints[main];
  if (!endpoint)
    throw new InvalidParameterError(
      "unable to migrate container-wide MAC address to a specific network: HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks",
    );
  if (endpoint.MacAddress && endpoint.MacAddress !== mac)
    throw new InvalidParameterError(
      "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
    );
  return { ...endpoints, [main]: { ...endpoint, MacAddress: mac } };
}

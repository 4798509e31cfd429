/**
 * Configuration-only networks (`--config-only`): settings under a name, which other networks are made of
 * (`--config-from`). They have a record and nothing in the kernel. Pure.
 */
import type { NetworkCreateRequest } from "../../api/types.ts";
import { ForbiddenError, NotFoundError } from "../../core/errors.ts";
import type { NetworkRecord, NetworkSubnet } from "../../core/network-driver.ts";

/**
 * Refuses what does not go together.
 * @throws ForbiddenError with Docker's wording
 * @see moby libnetwork/network.go validateConfiguration
 */
export function checkConfiguration(request: NetworkCreateRequest): void {
  if (request.ConfigOnly && (request.Ingress || request.Internal || request.Attachable || request.Scope))
    throw new ForbiddenError(
      "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
    );
  if (!request.ConfigFrom?.Network) return;
  if (request.ConfigOnly)
    throw new ForbiddenError("a configuration network cannot depend on another configuration network");
  if (hasConfiguration(request))
    throw new ForbiddenError(
      "user specified configurations are not supported if the network depends on a configuration network",
    );
  if (Object.keys(request.Options ?? {}).length > 0)
    throw new ForbiddenError(
      "network driver options are not supported if the network depends on a configuration network",
    );
}

function hasConfiguration({ IPAM, EnableIPv4, EnableIPv6, Labels }: NetworkCreateRequest): boolean {
  const { Driver = "", Options, Config } = IPAM ?? {};
  return (
    (Driver !== "" && Driver !== "default") ||
    EnableIPv4 === false ||
    EnableIPv6 === true ||
    [Labels, Options, Config].some((settings) => Object.keys(settings ?? {}).length > 0)
  );
}

/** The subnets as they were asked for: what was left open is chosen when a network is made of them. */
export function toConfiguredSubnets({ IPAM }: NetworkCreateRequest): NetworkSubnet[] {
  return (IPAM?.Config ?? []).flatMap(({ Subnet, IPRange, Gateway, AuxiliaryAddresses }) =>
    Subnet
      ? [
          {
            subnet: Subnet,
            requested: true,
            ...(IPRange && { ipRange: IPRange }),
            ...(Gateway && { gateway: Gateway }),
            ...(AuxiliaryAddresses && { auxiliaryAddresses: AuxiliaryAddresses }),
          },
        ]
      : [],
  );
}

/**
 * The request with the settings of the network that it names.
 * @throws NotFoundError with Docker's wording
 */
export function withConfiguration(
  request: NetworkCreateRequest,
  networks: Iterable<NetworkRecord>,
): NetworkCreateRequest {
  const source = request.ConfigFrom?.Network;
  if (!source) return request;
  const found = [...networks].find(({ name, configOnly }) => configOnly && name === source);
  if (!found)
    throw new NotFoundError(`configuration network ${JSON.stringify(source)} does not exist`, {
      subject: source,
    });
  return {
    ...request,
    EnableIPv4: found.enableIPv4,
    EnableIPv6: found.enableIPv6,
    Options: { ...found.options },
    Labels: { ...found.labels },
    IPAM: {
      Driver: found.ipam.driver,
      Options: { ...found.ipam.options },
      Config: (found.ipam.unusedSubnets ?? []).map(({ subnet, ipRange, gateway, auxiliaryAddresses }) => ({
        Subnet: subnet,
        IPRange: ipRange,
        Gateway: gateway,
        AuxiliaryAddresses: auxiliaryAddresses && { ...auxiliaryAddresses },
      })),
    },
  };
}

/** @throws ForbiddenError for a configuration that another network was made of */
export function checkConfigurationUnused(
  { name, configOnly }: NetworkRecord,
  networks: Iterable<NetworkRecord>,
): void {
  if (configOnly && [...networks].some(({ configFrom }) => configFrom === name))
    throw new ForbiddenError(
      `error while removing network: configuration network ${JSON.stringify(name)} is in use`,
      { subject: name },
    );
}

/** @throws ForbiddenError: containers cannot be on it */
export function checkCarriesEndpoints({ name, configOnly }: NetworkRecord): void {
  if (configOnly)
    throw new ForbiddenError("cannot create endpoint on configuration-only network", { subject: name });
}

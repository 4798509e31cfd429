/** The options of bridge networks (`-o com.docker.network.bridge.*`), parsed. */
import { InvalidParameterError } from "../../core/errors.ts";
import { findAddress } from "../../core/ipam.ts";
import type { NetworkRecord } from "../../core/network-driver.ts";

export interface BridgeOptions {
  /** Name of the link. */
  readonly bridge: string;
  readonly mtu: number | undefined;
  readonly masquerade: boolean;
  /** Containers of this network reach each other. */
  readonly icc: boolean;
  /** Host address of published ports that name none. */
  readonly bindAddress: string | undefined;
  /** Outgoing packets carry this address of the host. */
  readonly hostAddress4: string | undefined;
  readonly hostAddress6: string | undefined;
  readonly gatewayMode4: GatewayMode;
  readonly gatewayMode6: GatewayMode;
  /** The bridge has no IPv4 address: somebody else on it is the gateway. */
  readonly inhibitIPv4: boolean;
  /** From these links of the host published ports are reached at the container's own address. */
  readonly trustedInterfaces: readonly string[];
  /** Beginning of interface names in containers. */
  readonly interfacePrefix: string;
}

/**
 * What the bridge is for the traffic of a family. `nat`: addresses are translated, and what is not published is not
 * reached. `nat-unprotected`: translated, and everything is reached at the container's own address by who has a route.
 * `routed`: nothing is translated, published ports are reached at the container's own address. `isolated`: the bridge
 * has no address at all.
 */
export type GatewayMode = (typeof GATEWAY_MODES)[number];
const GATEWAY_MODES = ["nat", "nat-unprotected", "routed", "isolated"] as const;

const BRIDGE = "com.docker.network.bridge.";
const OPTION = {
  bridge: `${BRIDGE}name`,
  mtu: "com.docker.network.driver.mtu",
  masquerade: `${BRIDGE}enable_ip_masquerade`,
  icc: `${BRIDGE}enable_icc`,
  bindAddress: `${BRIDGE}host_binding_ipv4`,
  defaultBridge: `${BRIDGE}default_bridge`,
  hostAddress4: "com.docker.network.host_ipv4",
  hostAddress6: "com.docker.network.host_ipv6",
  gatewayMode4: `${BRIDGE}gateway_mode_ipv4`,
  gatewayMode6: `${BRIDGE}gateway_mode_ipv6`,
  inhibitIPv4: `${BRIDGE}inhibit_ipv4`,
  trustedInterfaces: `${BRIDGE}trusted_host_interfaces`,
  interfacePrefix: "com.docker.network.container_iface_prefix",
} as const;

const INTERFACE_NAME = /^[A-Za-z0-9_.-]{1,15}$/;

/** @throws InvalidParameterError for an option that is not what it should be, or that cannot be honoured */
export function parseBridgeOptions(
  record: Pick<NetworkRecord, "id" | "name" | "options" | "internal">,
): BridgeOptions {
  const { options } = record;
  const bridge = options[OPTION.bridge] || `br-${record.id.slice(0, 12)}`;
  if (!INTERFACE_NAME.test(bridge) || bridge === "." || bridge === "..")
    throw new InvalidParameterError(`invalid bridge name: ${bridge}`, { subject: record.name });
  return {
    bridge,
    mtu: parseMtu(options[OPTION.mtu]),
    masquerade: parseFlag(OPTION.masquerade, options[OPTION.masquerade]),
    icc: parseFlag(OPTION.icc, options[OPTION.icc]),
    bindAddress: parseIPv4(OPTION.bindAddress, options[OPTION.bindAddress]),
    hostAddress4: parseIPv4(OPTION.hostAddress4, options[OPTION.hostAddress4]),
    hostAddress6: parseIPv6(OPTION.hostAddress6, options[OPTION.hostAddress6]),
    gatewayMode4: parseGatewayMode(record, OPTION.gatewayMode4),
    gatewayMode6: parseGatewayMode(record, OPTION.gatewayMode6),
    inhibitIPv4: parseFlag(OPTION.inhibitIPv4, options[OPTION.inhibitIPv4] || "false"),
    trustedInterfaces: parseInterfaces(options[OPTION.trustedInterfaces]),
    interfacePrefix: parseInterfacePrefix(options[OPTION.interfacePrefix]),
  };
}

function parseGatewayMode(
  { options, internal }: Pick<NetworkRecord, "options" | "internal">,
  option: string,
): GatewayMode {
  const value = options[option] || "nat";
  const mode = GATEWAY_MODES.find((known) => known === value);
  if (!mode)
    throw new InvalidParameterError(
      `failed to parse ${option} value: ${value} (unknown gateway mode ${value})`,
    );
  if (mode === "isolated" && !internal)
    throw new InvalidParameterError("gateway mode 'isolated' can only be used for an internal network");
  return mode;
}

/** Names with colons between them. */
function parseInterfaces(value = ""): string[] {
  const names = value.split(":").filter((name) => name !== "");
  const wrong = names.find((name) => !INTERFACE_NAME.test(name));
  if (wrong !== undefined)
    throw new InvalidParameterError(`invalid value for ${OPTION.trustedInterfaces}: ${wrong}`);
  return names;
}

function parseMtu(value: string | undefined): number | undefined {
  if (value === undefined || value === "" || value === "0") return undefined;
  const mtu = Number(value);
  if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65535)
    throw new InvalidParameterError(`invalid value for ${OPTION.mtu}: ${value}`);
  return mtu;
}

/** As strconv.ParseBool; absent is true. */
function parseFlag(option: string, value: string | undefined): boolean {
  if (value === undefined || value === "") return true;
  if (["1", "t", "T", "true", "TRUE", "True"].includes(value)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(value)) return false;
  throw new InvalidParameterError(`failed to parse ${option} value: ${JSON.stringify(value)}`);
}

function parseIPv4(option: string, value: string | undefined): string | undefined {
  if (value === undefined || value === "") return undefined;
  if (findAddress(value)?.family !== 4)
    throw new InvalidParameterError(`invalid value for ${option}: ${value}`);
  return value;
}

function parseIPv6(option: string, value: string | undefined): string | undefined {
  if (value === undefined || value === "") return undefined;
  if (findAddress(value)?.family !== 6)
    throw new InvalidParameterError(`invalid value for ${option}: ${value}`);
  return value;
}

function parseInterfacePrefix(value: string | undefined): string {
  if (value === undefined || value === "") return "eth";
  if (!/^[A-Za-z][A-Za-z0-9_.-]{0,11}$/.test(value))
    throw new InvalidParameterError(`invalid value for ${OPTION.interfacePrefix}: ${value}`);
  return value;
}

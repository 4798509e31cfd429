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
  /** Beginning of interface names in containers. */
  readonly interfacePrefix: string;
}

const BRIDGE = "com.docker.network.bridge.";
export const OPTION = {
  bridge: `${BRIDGE}name`,
  mtu: "com.docker.network.driver.mtu",
  masquerade: `${BRIDGE}enable_ip_masquerade`,
  icc: `${BRIDGE}enable_icc`,
  bindAddress: `${BRIDGE}host_binding_ipv4`,
  defaultBridge: `${BRIDGE}default_bridge`,
  hostAddress4: "com.docker.network.host_ipv4",
  interfacePrefix: "com.docker.network.container_iface_prefix",
} as const;

/** Gateway modes that Docker has; all but `nat` are not built. */
const GATEWAY_MODES = ["nat", "nat-unprotected", "routed", "isolated"];

/**
 * Options of Docker's that this driver does not have, and whether a value of theirs asks for nothing more than what
 * happens without them. Those of nobody are ignored, as Docker ignores them.
 */
const NOT_BUILT: Readonly<Record<string, (value: string, option: string) => boolean>> = {
  [`${BRIDGE}gateway_mode_ipv4`]: isPlainGateway,
  [`${BRIDGE}gateway_mode_ipv6`]: isPlainGateway,
  [`${BRIDGE}inhibit_ipv4`]: (value, option) => value === "" || !parseFlag(option, value),
  [`${BRIDGE}trusted_host_interfaces`]: (value) => value.replaceAll(":", "") === "",
  "com.docker.network.host_ipv6": (value) => value === "",
};

const INTERFACE_NAME = /^[A-Za-z0-9_.-]{1,15}$/;

/** @throws InvalidParameterError for an option that is not what it should be, or that cannot be honoured */
export function parseBridgeOptions(record: Pick<NetworkRecord, "id" | "name" | "options">): BridgeOptions {
  const { options } = record;
  for (const [option, isWithoutEffect] of Object.entries(NOT_BUILT)) {
    const value = options[option];
    if (value !== undefined && !isWithoutEffect(value, option))
      throw new InvalidParameterError(`bridge network option ${option}=${value} is not supported`, {
        subject: record.name,
      });
  }
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
    interfacePrefix: parseInterfacePrefix(options[OPTION.interfacePrefix]),
  };
}

function isPlainGateway(mode: string, option: string): boolean {
  if (mode !== "" && !GATEWAY_MODES.includes(mode))
    throw new InvalidParameterError(
      `failed to parse ${option} value: ${mode} (unknown gateway mode ${mode})`,
    );
  return mode === "" || mode === "nat";
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

function parseInterfacePrefix(value: string | undefined): string {
  if (value === undefined || value === "") return "eth";
  if (!/^[A-Za-z][A-Za-z0-9_.-]{0,11}$/.test(value))
    throw new InvalidParameterError(`invalid value for ${OPTION.interfacePrefix}: ${value}`);
  return value;
}

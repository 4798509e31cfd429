/** `--network` in both notations, together with the flags that apply to the first network. Pure. */
import type { EndpointSettings } from "../../api/types.ts";
import { parseCsvLine } from "../flags/common-flags.ts";
import { cut, parseInteger } from "../flags/flags.ts";
import { goQuote } from "../values/go-text.ts";
import { checkMac } from "./checks.ts";

export interface Attachment {
  readonly target: string;
  readonly aliases: readonly string[];
  readonly links: readonly string[];
  readonly linkLocalIps: readonly string[];
  readonly driverOptions: Readonly<Record<string, string>>;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly mac: string;
  readonly gatewayPriority: number;
}

const plain: Attachment = {
  target: "",
  aliases: [],
  links: [],
  linkLocalIps: [],
  driverOptions: {},
  ipv4: "",
  ipv6: "",
  mac: "",
  gatewayPriority: 0,
};

/** One `--network`: a name, or `name=…,alias=…,ip=…`. @throws Error with Docker's words */
export function parseAttachment(text: string): Attachment {
  if (!/\w+=\w+(,\w+=\w+)*/.test(text)) return { ...plain, target: text };
  let attachment: Attachment = plain;
  for (const field of parseCsvLine(text)) {
    const [rawKey, rawValue] = cut(field.toLowerCase(), "=");
    if (rawValue === undefined || rawKey === "") throw new Error(`invalid field ${field}`);
    attachment = { ...attachment, ...parseField(rawKey.trim(), rawValue.trim(), attachment) };
  }
  if (attachment.target === "") throw new Error("network name/id is not specified");
  return attachment;
}

function parseField(key: string, value: string, before: Attachment): Partial<Attachment> {
  switch (key) {
    case "name":
      return { target: value };
    case "alias":
      return { aliases: [...before.aliases, value] };
    case "ip":
      return { ipv4: value };
    case "ip6":
      return { ipv6: value };
    case "mac-address":
      return { mac: value };
    case "link-local-ip":
      return { linkLocalIps: [...before.linkLocalIps, value] };
    case "driver-opt": {
      const [name, setting] = cut(value, "=");
      if (setting === undefined || name === "")
        throw new Error("invalid key value pair format in driver options");
      return { driverOptions: { ...before.driverOptions, [name.trim()]: setting.trim() } };
    }
    case "gw-priority":
      return { gatewayPriority: parsePriority(value) };
    default:
      throw new Error(`invalid field key ${key}`);
  }
}

function parsePriority(text: string): number {
  try {
    return parseInteger(text, { bits: 64, unsigned: false });
  } catch (cause) {
    const reason = (cause as Error).message.split(": ").at(-1);
    throw new Error(`invalid gw-priority (${text}): ${reason}`, { cause });
  }
}

/** Flags of the old notation; they belong to the first network. */
export interface FirstNetworkFlags {
  readonly aliases: readonly string[];
  readonly links: readonly string[];
  readonly linkLocalIps: readonly string[];
  readonly ipv4: string;
  readonly ipv6: string;
  readonly mac: string;
}

/** Endpoints by network. @throws Error with Docker's words */
export function toEndpoints(
  attachments: readonly Attachment[],
  first: FirstNetworkFlags,
): Record<string, EndpointSettings> {
  const endpoints: Record<string, EndpointSettings> = {};
  if (attachments.length === 0) {
    endpoints.default = toEndpoint(withFirstFlags({ ...plain, target: "default" }, first));
    return endpoints;
  }
  for (const [at, given] of attachments.entries()) {
    const attachment = at === 0 ? withFirstFlags(given, first) : given;
    const endpoint = toEndpoint(attachment);
    if (Object.hasOwn(endpoints, attachment.target)) {
      throw new Error(`network ${goQuote(attachment.target)} is specified multiple times`);
    }
    // A single network without options is left to the engine.
    if (at === 0 && attachments.length === 1 && isEmpty(endpoint)) continue;
    endpoints[attachment.target] = endpoint;
  }
  const userDefined = attachments.filter(({ target }) => isUserDefined(target)).length;
  if (userDefined > 0 && userDefined < attachments.length) {
    throw new Error(
      "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
    );
  }
  return endpoints;
}

function isUserDefined(mode: string): boolean {
  return (
    !["default", "bridge", "host", "none"].includes(mode) &&
    !mode.startsWith("container:") &&
    mode !== "container"
  );
}

function withFirstFlags(attachment: Attachment, first: FirstNetworkFlags): Attachment {
  const conflict = (flag: string, own: string): Error =>
    new Error(`conflicting options: cannot specify both ${flag} and per-network ${own}`);
  if (attachment.aliases.length > 0 && first.aliases.length > 0) throw conflict("--network-alias", "alias");
  if (attachment.links.length > 0 && first.links.length > 0) throw conflict("--link", "links");
  if (attachment.ipv4 && first.ipv4) throw conflict("--ip", "IPv4 address");
  if (attachment.ipv6 && first.ipv6) throw conflict("--ip6", "IPv6 address");
  if (attachment.mac && first.mac) throw conflict("--mac-address", "MAC address");
  if (attachment.linkLocalIps.length > 0 && first.linkLocalIps.length > 0) {
    throw conflict("--link-local-ip", "link-local IP addresses");
  }
  return {
    ...attachment,
    aliases: first.aliases.length > 0 ? first.aliases : attachment.aliases,
    // On the default bridge a link is the container's own, the old way.
    links: isUserDefined(attachment.target) && first.links.length > 0 ? first.links : attachment.links,
    linkLocalIps: first.linkLocalIps.length > 0 ? first.linkLocalIps : attachment.linkLocalIps,
    ipv4: first.ipv4 || attachment.ipv4,
    ipv6: first.ipv6 || attachment.ipv6,
    mac: first.mac || attachment.mac,
  };
}

function toEndpoint(attachment: Attachment): EndpointSettings {
  const { target, aliases, links, linkLocalIps, driverOptions, ipv4, ipv6, mac, gatewayPriority } =
    attachment;
  if (target.trim() === "") throw new Error("no name set for network");
  if (!isUserDefined(target) && aliases.length > 0) {
    throw new Error("network-scoped aliases are only supported for user-defined networks");
  }
  if (!isUserDefined(target) && links.length > 0) {
    throw new Error("links are only supported for user-defined networks");
  }
  const addressed = ipv4 !== "" || ipv6 !== "" || linkLocalIps.length > 0;
  return {
    ...(addressed && {
      IPAMConfig: {
        ...(ipv4 && { IPv4Address: ipv4 }),
        ...(ipv6 && { IPv6Address: ipv6 }),
        ...(linkLocalIps.length > 0 && { LinkLocalIPs: [...linkLocalIps] }),
      },
    }),
    ...(links.length > 0 && { Links: [...links] }),
    ...(aliases.length > 0 && { Aliases: [...aliases] }),
    ...(mac !== "" && { MacAddress: checkMac(mac) }),
    ...(Object.keys(driverOptions).length > 0 && { DriverOpts: { ...driverOptions } }),
    ...(gatewayPriority !== 0 && { GwPriority: gatewayPriority }),
  };
}

function isEmpty(endpoint: EndpointSettings): boolean {
  return Object.keys(endpoint).length === 0;
}

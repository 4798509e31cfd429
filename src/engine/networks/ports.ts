/** What `-p` and `-P` ask for, and what inspect says about it. Pure. */
import type { PortMap } from "../../api/types.ts";
import type { ContainerRecord } from "../../core/container.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import { findAddress } from "../../core/ipam.ts";
import type { PortExposure, PortRequest, PublishedPort } from "../../core/network-driver.ts";

export interface ContainerPort {
  readonly protocol: PublishedPort["protocol"];
  readonly port: number;
}

/** `80/tcp`, `80`. @throws InvalidParameterError */
export function parseContainerPort(text: string): ContainerPort {
  const [port = "", protocol = "tcp"] = text.toLowerCase().split("/");
  if (protocol !== "tcp" && protocol !== "udp" && protocol !== "sctp")
    throw new InvalidParameterError(`invalid port specification: ${JSON.stringify(text)}: unknown protocol`);
  return { protocol, port: parsePortNumber(port, text) };
}

function parsePortNumber(text: string, whole: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535)
    throw new InvalidParameterError(`invalid port specification: ${JSON.stringify(whole)}`, {
      subject: whole,
    });
  return port;
}

/** `8080`, `8000-8010`, empty for any. @throws InvalidParameterError */
function parseHostPort(text: string): { first: number; last: number } {
  if (text === "" || text === "0") return { first: 0, last: 0 };
  const [low = "", high = low] = text.split("-");
  const [first, last] = [parsePortNumber(low, text), parsePortNumber(high, text)];
  if (last < first) throw new InvalidParameterError(`invalid port specification: ${JSON.stringify(text)}`);
  return { first, last };
}

/** @throws InvalidParameterError for anything in the container's port bindings that is malformed */
export function checkPorts(hostConfig: ContainerRecord["hostConfig"]): void {
  for (const [containerPort, bindings] of Object.entries(hostConfig.PortBindings ?? {})) {
    parseContainerPort(containerPort);
    for (const { HostIp, HostPort } of bindings ?? []) {
      parseHostPort(HostPort ?? "");
      if (HostIp && !findAddress(HostIp))
        throw new InvalidParameterError(`invalid IP address: ${HostIp}`, { subject: HostIp });
    }
  }
}

export interface PublishOptions {
  /** The endpoint's addresses. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  /** Host address where a binding names none. */
  readonly defaultAddress: string;
  /** The host speaks IPv6. */
  readonly hostHasIPv6: boolean;
  /** How ports of each family are reached, where not at the host's port alone. */
  readonly exposure?: { readonly 4?: PortExposure; readonly 6?: PortExposure };
  /** Ports are relayed where the kernel has no way: to the other family, and from `::1`. */
  readonly relay: boolean;
}

/**
 * The wishes of a container. Fixed host ports come before ranges and those that are left open, which would take them
 * away otherwise; bindings that differ in their host address alone get the same port.
 * @see moby libnetwork/drivers/bridge/port_mapping_linux.go cmpPortBinding
 */
export function toPortRequests(container: ContainerRecord, options: PublishOptions): PortRequest[] {
  const requests: PortRequest[] = [];
  for (const { protocol, port, hostIp, hostPort } of bindingsOf(container)) {
    const targets = targetsOf({ protocol, hostIp }, options);
    if (targets.length === 0) continue;
    const request = { protocol, port, ...parseHostPort(hostPort), targets };
    const at = requests.findIndex((other) => differInHostOnly(other, request));
    const same = requests[at];
    if (same) requests[at] = { ...same, targets: [...same.targets, ...targets] };
    else requests.push(request);
  }
  const isOpen = ({ first, last }: PortRequest) => first === 0 || first !== last;
  return requests.sort((a, b) => Number(isOpen(a)) - Number(isOpen(b)));
}

function differInHostOnly(a: PortRequest, b: PortRequest): boolean {
  const fixed = a.first === a.last && a.first > 0;
  const names = (request: PortRequest) => new Set(request.targets.map(({ hostAddress }) => hostAddress));
  return (
    !fixed &&
    [a.protocol, a.port, a.first, a.last].join() === [b.protocol, b.port, b.first, b.last].join() &&
    names(a).isDisjointFrom(names(b))
  );
}

interface Binding extends ContainerPort {
  readonly hostIp: string;
  readonly hostPort: string;
}

/** By container port, as asked for; `-P` adds what is exposed and not bound. */
function bindingsOf(container: ContainerRecord): Binding[] {
  const bindings = container.hostConfig.PortBindings ?? {};
  return portNames(container).flatMap((name) => {
    const { protocol, port } = parseContainerPort(name);
    const wanted = bindings[name] ?? bindings[`${port}`] ?? [];
    const all = wanted.length > 0 || !container.hostConfig.PublishAllPorts ? wanted : [{}];
    return all.map(({ HostIp = "", HostPort = "" }) => ({
      ...{ protocol, port, hostIp: HostIp, hostPort: HostPort },
    }));
  });
}

/** Everything exposed or bound, `80/tcp`, in numeric order. */
function portNames({ config, hostConfig }: ContainerRecord): string[] {
  const names = [...Object.keys(config.ExposedPorts ?? {}), ...Object.keys(hostConfig.PortBindings ?? {})];
  const parsed = new Map(
    names.map(parseContainerPort).map((port) => [`${port.port}/${port.protocol}`, port] as const),
  );
  return [...parsed]
    .sort(([, a], [, b]) => a.port - b.port || a.protocol.localeCompare(b.protocol))
    .map(([name]) => name);
}

/** The bindings that nothing can be led to, as people write them: `[::1]:8080->80/tcp`. */
export function bindingsWithoutTarget(container: ContainerRecord, options: PublishOptions): string[] {
  return bindingsOf(container)
    .filter((binding) => targetsOf(binding, options).length === 0)
    .map(({ hostIp, hostPort, port, protocol }) => {
      const host = hostIp.includes(":") ? `[${hostIp}]` : hostIp;
      return `${host}:${hostPort}->${port}/${protocol}`;
    });
}

const IPV6_LOOPBACK = 1n;

/**
 * Which addresses of the host lead where. None named means the default; that is 0.0.0.0 as a rule, and stands for all
 * addresses of the host then, of both families.
 */
function targetsOf(
  { protocol, hostIp }: Pick<Binding, "protocol" | "hostIp">,
  options: PublishOptions,
): PortRequest["targets"] {
  const { ipv4, ipv6, defaultAddress, exposure = {} } = options;
  // What is not translated has no address of the host that would need a relay.
  const relay = options.relay && protocol !== "sctp" && exposure[4] !== "routed" && exposure[6] !== "routed";
  const hostAddress = hostIp === "" ? defaultAddress : hostIp;
  const { family, value } = findAddress(hostAddress) ?? {};
  const lead = (address: string | undefined, from = hostAddress): PortRequest["targets"] => {
    if (address === undefined) return [];
    const own = address.includes(":") ? 6 : 4;
    const how = from.includes(":") === (own === 6) ? exposure[own] : undefined;
    if (how === "routed") return [{ hostAddress: own === 6 ? "::" : "0.0.0.0", address, exposure: how }];
    return [{ hostAddress: from, address, ...(how && { exposure: how }) }];
  };
  if (family === 6) {
    const direct = value === IPV6_LOOPBACK && !relay ? undefined : ipv6;
    return lead(direct ?? (relay ? ipv4 : undefined));
  }
  if (hostIp !== "") return lead(ipv4 ?? (relay ? ipv6 : undefined));
  const unnamed6 = value === 0n && options.hostHasIPv6 ? (ipv6 ?? (relay ? ipv4 : undefined)) : undefined;
  return [...lead(ipv4), ...lead(unnamed6, "::")];
}

/** Inspect's `Ports`: every exposed port, `null` where nothing leads to it. */
export function toPortMap(container: ContainerRecord, published: readonly PublishedPort[]): PortMap {
  const map: PortMap = {};
  for (const name of portNames(container)) map[name] = null;
  for (const { protocol, port, hostAddress, hostPort } of published) {
    const name = `${port}/${protocol}`;
    const bindings = map[name] ?? [];
    bindings.push({ HostIp: hostAddress, HostPort: hostPort === 0 ? "" : String(hostPort) });
    map[name] = bindings;
  }
  return map;
}

/** What `-p` and `-P` ask for, and what inspect says about it. Pure. */
import type { PortMap } from "../../api/types.ts";
import type { ContainerRecord } from "../../core/container.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import { findAddress } from "../../core/ipam.ts";
import type { PortRequest, PublishedPort } from "../../core/network-driver.ts";

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
export function parseHostPort(text: string): { first: number; last: number } {
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
}

/** The wishes of a container, in the order that Docker serves them: by container port. */
export function toPortRequests(container: ContainerRecord, options: PublishOptions): PortRequest[] {
  const bindings = container.hostConfig.PortBindings ?? {};
  const requests: PortRequest[] = [];
  for (const name of portNames(container)) {
    const { protocol, port } = parseContainerPort(name);
    const wanted = bindings[name] ?? bindings[`${port}`] ?? [];
    const all = wanted.length > 0 || !container.hostConfig.PublishAllPorts ? wanted : [{}];
    for (const { HostIp = "", HostPort = "" } of all) {
      const targets = targetsOf(HostIp, options);
      if (targets.length > 0) requests.push({ protocol, port, ...parseHostPort(HostPort), targets });
    }
  }
  return requests;
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
  return Object.entries(container.hostConfig.PortBindings ?? {}).flatMap(([name, bindings]) =>
    (bindings ?? [])
      .filter(({ HostIp = "" }) => targetsOf(HostIp, options).length === 0)
      .map(({ HostIp = "", HostPort = "" }) => {
        const host = HostIp.includes(":") ? `[${HostIp}]` : HostIp;
        return `${host}:${HostPort}->${name}`;
      }),
  );
}

const IPV6_LOOPBACK = 1n;

/**
 * No address of the host means all of them, of the families that the endpoint has. From the host's ::1 there is no way
 * to a container: the kernel routes it over loopback alone (IPv4 has `route_localnet` for that).
 */
function targetsOf(hostIp: string, { ipv4, ipv6, defaultAddress }: PublishOptions): PortRequest["targets"] {
  const unnamed = hostIp === "";
  const address = unnamed ? defaultAddress : hostIp;
  const { family, value } = findAddress(address) ?? {};
  const targets: { hostAddress: string; address: string }[] = [];
  if (family === 4 && ipv4) targets.push({ hostAddress: address, address: ipv4 });
  if (family === 6 && ipv6 && value !== IPV6_LOOPBACK) targets.push({ hostAddress: address, address: ipv6 });
  if (unnamed && address === "0.0.0.0" && ipv6) targets.push({ hostAddress: "::", address: ipv6 });
  return targets;
}

/** Inspect's `Ports`: every exposed port, `null` where nothing leads to it. */
export function toPortMap(container: ContainerRecord, published: readonly PublishedPort[]): PortMap {
  const map: PortMap = {};
  for (const name of portNames(container)) map[name] = null;
  for (const { protocol, port, hostAddress, hostPort } of published) {
    const name = `${port}/${protocol}`;
    const bindings = map[name] ?? [];
    bindings.push({ HostIp: hostAddress, HostPort: String(hostPort) });
    map[name] = bindings;
  }
  return map;
}

/**
 * `--link` on the default bridge, where there is no embedded DNS: what a container is told of its neighbours, in its
 * hosts file and its environment. Pure.
 * @see moby daemon/links/links.go
 */
import type { ContainerLink, ContainerRecord } from "../../core/container.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import { shortId } from "../../core/ids.ts";
import type { HostsEntry } from "./files.ts";
import { type ContainerPort, parseContainerPort } from "./ports.ts";

export interface LinkSpec {
  /** Name or id of the container that is linked to. */
  readonly target: string;
  /** What the container that links calls it. */
  readonly alias: string;
}

/** `name`, `name:alias`, and as inspect of Docker shows it: `/name:/parent/alias`. */
export function parseLink(link: string): LinkSpec {
  const [name = "", alias = name] = link.split(":");
  return { target: name.replace(/^\//, ""), alias: alias.replace(/^.*\//, "") };
}

/**
 * @param find by name or id; undefined: not there
 * @throws InvalidParameterError with Docker's wording
 * @see moby daemon/daemon.go registerLinks
 */
export function resolveLinks(
  links: readonly string[],
  find: (reference: string) => ContainerRecord | undefined,
): ContainerLink[] {
  const get = (reference: string): ContainerRecord => {
    const found = find(reference);
    if (!found)
      throw new InvalidParameterError(
        `could not get container for ${reference}: No such container: ${reference}`,
        { subject: reference },
      );
    const mode = found.hostConfig.NetworkMode ?? "";
    if (mode === "host")
      throw new InvalidParameterError(
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
        { subject: reference },
      );
    // Whose network it has is whom the link leads to.
    return mode.startsWith("container:") ? get(mode.slice("container:".length)) : found;
  };
  return links.map((link) => {
    const { target, alias } = parseLink(link);
    return { alias, target: get(target).id };
  });
}

/** A link whose neighbour runs on the default bridge. */
export interface LiveLink {
  readonly alias: string;
  readonly neighbour: ContainerRecord;
  readonly address: string;
}

export function toLinkHosts({ alias, neighbour, address }: LiveLink): HostsEntry {
  const names = new Set([alias, neighbour.config.Hostname || shortId(neighbour.id), neighbour.name]);
  return { address, names: [...names].join(" ") };
}

/** `DB_NAME`, `DB_PORT`, `DB_PORT_5432_TCP_ADDR`, `DB_ENV_…`. @param parent name of the container that links */
export function toLinkEnvironment(parent: string, { alias, neighbour, address }: LiveLink): string[] {
  const prefix = alias.toUpperCase().replaceAll("-", "_");
  const ports = Object.keys(neighbour.config.ExposedPorts ?? {})
    .map(parseContainerPort)
    .sort(tcpFirst);
  const url = ({ protocol, port }: ContainerPort) => `${protocol}://${address}:${port}`;
  const nameOf = ({ protocol, port }: ContainerPort) => `${prefix}_PORT_${port}_${protocol.toUpperCase()}`;
  return [
    ...ports.slice(0, 1).map((first) => `${prefix}_PORT=${url(first)}`),
    ...ports.flatMap((port) => [
      `${nameOf(port)}=${url(port)}`,
      `${nameOf(port)}_ADDR=${address}`,
      `${nameOf(port)}_PORT=${port.port}`,
      `${nameOf(port)}_PROTO=${port.protocol}`,
    ]),
    ...rangesOf(ports).flatMap(([first, last]) => [
      `${nameOf(first)}_START=${url(first)}`,
      `${nameOf(first)}_PORT_START=${first.port}`,
      `${nameOf(first)}_END=${url(last)}`,
      `${nameOf(first)}_PORT_END=${last.port}`,
    ]),
    `${prefix}_NAME=/${parent}/${alias}`,
    ...(neighbour.config.Env ?? [])
      .filter((entry) => entry.includes("=") && !/^(HOME|PATH)=/.test(entry))
      .map((entry) => `${prefix}_ENV_${entry}`),
  ];
}

function tcpFirst(a: ContainerPort, b: ContainerPort): number {
  if (a.protocol === b.protocol) return a.port - b.port;
  if (a.protocol === "tcp" || b.protocol === "tcp") return a.protocol === "tcp" ? -1 : 1;
  return a.protocol < b.protocol ? -1 : 1;
}

/** Runs of more than one port without a gap. */
function rangesOf(ports: readonly ContainerPort[]): [first: ContainerPort, last: ContainerPort][] {
  const ranges: [ContainerPort, ContainerPort][] = [];
  for (const port of ports) {
    const range = ranges.at(-1);
    if (range && range[1].protocol === port.protocol && range[1].port + 1 === port.port) range[1] = port;
    else ranges.push([port, port]);
  }
  return ranges.filter(([first, last]) => first !== last);
}

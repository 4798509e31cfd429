/** The content of `/etc/hosts` and `/etc/resolv.conf` of a container. Pure. */
import type { NetworkConfig } from "../../core/config.ts";
import type { ContainerRecord } from "../../core/container.ts";
import { findAddress } from "../../core/ipam.ts";
import type { UpstreamServer } from "../../core/name-server.ts";

const EMBEDDED_DNS = "127.0.0.11";
/** What Docker falls back to where the host has only servers that a container cannot reach. */
const FALLBACK_SERVERS = ["8.8.8.8", "8.8.4.4"];

const LOCAL_HOSTS_4 = "127.0.0.1\tlocalhost\n";
const LOCAL_HOSTS = `${LOCAL_HOSTS_4}::1	localhost ip6-localhost ip6-loopback
fe00::	ip6-localnet
ff00::	ip6-mcastprefix
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters
`;

export interface HostsEntry {
  readonly address: string;
  readonly names: string;
}

/** `--add-host` entries: `name:address` or `name=address`, `host-gateway` resolved. */
export function toExtraHosts(container: ContainerRecord, hostGateways: readonly string[]): HostsEntry[] {
  return (container.hostConfig.ExtraHosts ?? []).flatMap((entry) => {
    const at = entry.includes("=") ? entry.indexOf("=") : entry.indexOf(":");
    const given = entry.slice(at + 1).replace(/^\[(.*)\]$/, "$1");
    const addresses = given === "host-gateway" ? hostGateways : [given];
    if (at <= 0 || given === "") return [];
    return addresses.map((address) => ({ address, names: entry.slice(0, at) }));
  });
}

/** A file with these entries after the local ones; `base` replaces the local ones (the host's own file). */
export function toHostsFile(entries: readonly HostsEntry[], base: string = LOCAL_HOSTS): string {
  const head = base === "" || base.endsWith("\n") ? base : `${base}\n`;
  return head + entries.map(({ address, names }) => `${address}\t${names}\n`).join("");
}

/** The same for a container that has IPv6 switched off: no line that leads to it. */
export function toHostsFileWithoutIPv6(entries: readonly HostsEntry[]): string {
  return toHostsFile(
    entries.filter(({ address }) => !address.includes(":")),
    LOCAL_HOSTS_4,
  );
}

/** Its sysctls take IPv6 away from loopback too. Docker looks at loopback, to the same end. */
export function isIPv6Off({ hostConfig }: ContainerRecord): boolean {
  return ["all", "lo"].some((scope) => hostConfig.Sysctls?.[`net.ipv6.conf.${scope}.disable_ipv6`] === "1");
}

/** The container's own names: `host.domain host`, or `host`; the host name may have the domain in it. */
export function ownNames({ config, id }: ContainerRecord): string {
  const hostname = config.Hostname || id.slice(0, 12);
  const full = config.Domainname ? `${hostname}.${config.Domainname}` : hostname;
  const dot = full.indexOf(".");
  return dot > 0 ? `${full} ${full.slice(0, dot)}` : full;
}

export interface ResolverSettings {
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** Reads resolv.conf(5); what it does not know is left out. */
export function parseResolvConf(text: string): ResolverSettings {
  const servers: string[] = [];
  let search: string[] = [];
  const options: string[] = [];
  for (const line of text.split("\n")) {
    const [keyword, ...words] = line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/);
    if (keyword === "nameserver") servers.push(...words.slice(0, 1));
    if (keyword === "search" || keyword === "domain") search = words;
    if (keyword === "options") options.push(...words);
  }
  return { servers, search, options };
}

/** The container's flags before the engine's, and these before the host's file. A search of `.` is none. */
export function effectiveResolver(
  container: ContainerRecord,
  config: Pick<NetworkConfig, "dns" | "dnsOptions" | "dnsSearch">,
  host: ResolverSettings,
): ResolverSettings {
  const { Dns, DnsOptions, DnsSearch } = container.hostConfig;
  const search = firstGiven(DnsSearch, config.dnsSearch, host.search);
  return {
    servers: firstGiven(Dns, config.dns, host.servers),
    search: search.length === 1 && search[0] === "." ? [] : search,
    options: firstGiven(DnsOptions, config.dnsOptions, host.options),
  };
}

function firstGiven(...lists: readonly (readonly string[] | undefined)[]): readonly string[] {
  return lists.find((list) => list !== undefined && list.length > 0) ?? [];
}

function isLoopback(server: string): boolean {
  const address = findAddress(server);
  return address?.family === 4 ? address.value >> 24n === 127n : address?.value === 1n;
}

/** For networks without embedded DNS: servers that a container cannot reach are left out. */
export function toPlainResolvConf(settings: ResolverSettings): string {
  const reachable = settings.servers.filter((server) => !isLoopback(server));
  return toResolvConf({ ...settings, servers: reachable.length > 0 ? reachable : FALLBACK_SERVERS });
}

/** For networks with embedded DNS. */
export function toEmbeddedResolvConf(settings: ResolverSettings): string {
  const hasDots = settings.options.some((option) => option.startsWith("ndots:"));
  return toResolvConf({
    ...settings,
    servers: [EMBEDDED_DNS],
    options: hasDots ? settings.options : [...settings.options, "ndots:0"],
  });
}

/** As they are. */
export function toResolvConf({ servers, search, options }: ResolverSettings): string {
  const lines = [
    "# Generated by the container engine.",
    "",
    ...servers.map((server) => `nameserver ${server}`),
  ];
  if (search.length > 0) lines.push(`search ${search.join(" ")}`);
  if (options.length > 0) lines.push(`options ${options.join(" ")}`);
  return `${lines.join("\n")}\n`;
}

/** The servers that embedded DNS asks; those on the host's loopback, and IPv6 ones where the container has none, from the host. */
export function toUpstreamServers(settings: ResolverSettings, hasIPv6: boolean): UpstreamServer[] {
  const servers = settings.servers.length > 0 ? settings.servers : FALLBACK_SERVERS;
  return servers.flatMap((address) => {
    const parsed = findAddress(address);
    if (!parsed) return [];
    return [{ address, fromHost: isLoopback(address) || (parsed.family === 6 && !hasIPv6) }];
  });
}

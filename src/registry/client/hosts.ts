/** Which hosts are spoken to, and how far each of them is trusted. */
import type { ProxyConfig, RegistryConfig } from "../../core/config.ts";
import { DEFAULT_DOMAIN } from "../../core/references.ts";
import { type HostCapability, type HostEntry, type HostTls, readHostFile } from "./host-files.ts";

/** Docker Hub's registry has another name than its images. */
const HUB = "registry-1.docker.io";

export interface RegistryHost {
  /** `host[:port]`. */
  readonly address: string;
  /** Plain http and unverified certificates are accepted: loopback, and what the configuration lists. */
  readonly insecure: boolean;
  /** A mirror of Docker Hub: credentials of the Hub are not for it. */
  readonly mirror: boolean;
  /** Known scheme, from a mirror's URL. */
  readonly scheme?: "http" | "https";
  readonly proxies?: ProxyConfig | undefined;
  /** In place of `/v2`. */
  readonly root?: string;
  /** Absent: all. */
  readonly capabilities?: ReadonlySet<HostCapability>;
  /** Sent to this host alone. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly tls?: HostTls;
  /** The registry that a mirror stands for, which it is told. */
  readonly namespace?: string;
}

/** The hosts to ask for repositories of a domain, in order. */
export function hostsOf(domain: string, config: RegistryConfig): RegistryHost[] {
  const file = readHostFile(config.hostDirectories ?? [], domain);
  const hosts = configuredHosts(domain, config);
  const own = hosts.at(-1);
  if (!file || !own) return hosts;
  const server = file.server ? fromFile(file.server, own) : own;
  const mirrors = file.mirrors.map((entry) => fromFile(entry, { ...own, mirror: true, namespace: domain }));
  // Whoever lists mirrors in a file has said all about them.
  const before = mirrors.length > 0 ? mirrors : hosts.slice(0, -1);
  return [...before, { ...server, ...(file.tls && !server.tls ? { tls: file.tls } : {}) }];
}

function fromFile(entry: HostEntry, base: RegistryHost): RegistryHost {
  const { address, scheme, root, capabilities, skipVerify, tls, headers } = entry;
  // Plain http that an administrator wrote down is meant.
  const insecure = skipVerify || scheme === "http" || (base.insecure && address === base.address && !tls);
  return { ...base, address, scheme, root, capabilities, headers, insecure, ...(tls ? { tls } : {}) };
}

function configuredHosts(domain: string, config: RegistryConfig): RegistryHost[] {
  const { proxies } = config;
  if (domain !== DEFAULT_DOMAIN)
    return [{ address: domain, insecure: isInsecure(domain, config), mirror: false, proxies }];
  const mirrors = config.mirrors.map((mirror) => {
    const url = new URL(mirror);
    const scheme: "http" | "https" = url.protocol === "http:" ? "http" : "https";
    return { address: url.host, insecure: isInsecure(url.host, config), mirror: true, scheme, proxies };
  });
  return [...mirrors, { address: HUB, insecure: isInsecure(HUB, config), mirror: false, proxies }];
}

/** Loopback always is; the rest by the list of names, addresses and CIDR ranges. Names are not looked up. */
export function isInsecure(address: string, config: RegistryConfig): boolean {
  const host = hostnameOf(address);
  if (host === "localhost" || host === "::1" || inRange(host, "127.0.0.0/8")) return true;
  return config.insecureRegistries.some(
    (entry) => entry === address || entry === host || (entry.includes("/") && inRange(host, entry)),
  );
}

/** `[::1]:5000` → `::1`. */
export function hostnameOf(address: string): string {
  const bracketed = /^\[([^\]]+)\]/.exec(address)?.[1];
  return (bracketed ?? address.replace(/:\d+$/, "")).toLowerCase();
}

export function inRange(host: string, range: string): boolean {
  const [base = "", bits = ""] = range.split("/");
  const address = ipv4Number(host);
  const network = ipv4Number(base);
  if (address === undefined || network === undefined || !/^\d+$/.test(bits)) return false;
  const shift = 32 - Number(bits);
  return shift >= 32 || address >>> shift === network >>> shift;
}

function ipv4Number(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256))
    return undefined;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

/**
 * Whether credentials for a registry may be sent to a token service: the same host, or a host of the same owner. The
 * owner is who registered the domain; what a public suffix stands above (`co.uk`, `github.io`) belongs to strangers.
 * @see https://publicsuffix.org, private suffixes among them
 */
export async function sameOwner(registry: string, service: string): Promise<boolean> {
  const [a, b] = [hostnameOf(registry), hostnameOf(service)];
  if (a === b) return true;
  // Few ever ask: the list is loaded by the first who does.
  const { getDomain } = await import("tldts");
  // Null for addresses, single words and public suffixes themselves.
  const owner = getDomain(a, { allowPrivateDomains: true });
  return owner !== null && owner === getDomain(b, { allowPrivateDomains: true });
}

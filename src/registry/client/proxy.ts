/** Which proxy a request goes through. Pure. @see golang.org/x/net/http/httpproxy, whose rules people write these for */
import { isIP } from "node:net";
import type { ProxyConfig } from "../../core/config.ts";
import { inRange } from "./hosts.ts";

/** The proxy's URL, or undefined for a direct connection. Loopback is always reached directly. */
export function proxyFor(url: URL, proxies: ProxyConfig | undefined): string | undefined {
  const proxy = url.protocol === "https:" ? proxies?.https : proxies?.http;
  if (!proxies || !proxy || isExcepted(url, proxies.none)) return undefined;
  return proxy.includes("://") ? proxy : `http://${proxy}`;
}

function isExcepted(url: URL, none: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  if (host === "localhost" || host === "::1" || inRange(host, "127.0.0.0/8")) return true;
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return none
    .split(",")
    .map((entry) => entry.trim().toLowerCase())
    .some((entry) => entry !== "" && matches(entry, host, port));
}

/** `*`, a host or domain (and all below it), `.domain` (only what is below), an address, a network; each with a port or without. */
function matches(entry: string, host: string, port: string): boolean {
  if (entry === "*") return true;
  if (entry.includes("/")) return inRange(host, entry);
  if (isIP(entry)) return entry === host;
  const [, name = "", wanted] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(entry) ?? [];
  if (name === "" || (wanted !== undefined && wanted !== port)) return false;
  const plain = name.replace(/^\[|\]$/g, "").replace(/^\*/, "");
  return plain.startsWith(".") ? host.endsWith(plain) : host === plain || host.endsWith(`.${plain}`);
}

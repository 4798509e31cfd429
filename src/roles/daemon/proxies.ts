/** Proxies of the daemon's own connections, from its environment. */
import type { ProxyConfig } from "../../core/config.ts";

/**
 * Takes them out of it: what connects is told its proxy, and must not find another one by itself; and nothing of the
 * daemon's environment is a container's business.
 */
export function takeProxies(environment: Record<string, string | undefined>): ProxyConfig {
  const take = (name: string): string => {
    const value = environment[name] || environment[name.toLowerCase()] || "";
    delete environment[name];
    delete environment[name.toLowerCase()];
    return value;
  };
  return { http: take("HTTP_PROXY"), https: take("HTTPS_PROXY"), none: take("NO_PROXY") };
}

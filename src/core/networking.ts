/**
 * Port: what a container needs from networks to start and stop. The networks themselves (records, address pools,
 * drivers, DNS) live in `engine/networks` and `drivers/network-*`.
 */
import type { EndpointSettings, PortMap } from "../api/types.ts";
import type { ContainerRecord } from "./container.ts";

/** A container's network namespace with all its endpoints, up. Disposing releases addresses, ports, DNS, namespace. Idempotent. */
export interface ContainerSandbox extends AsyncDisposable {
  readonly id: string;
  /** The namespace's file for the runtime spec (`/proc/<pid>/ns/net` for `host` and `container:`). */
  readonly namespacePath: string;
  /** Per network name, with addresses, gateway, MAC, DNSNames, as inspect shows them. */
  readonly endpoints: Readonly<Record<string, EndpointSettings>>;
  /** The bindings in force, host ports resolved; `null` for exposed and not published. */
  readonly ports: PortMap;
  /** The content of these files in the container; undefined: leave what the image or the other namespace has. */
  readonly files: { readonly hosts?: string; readonly resolvConf?: string };
}

export interface ContainerNetworking {
  /**
   * Checks at create what can be known then: networks exist, addresses lie in their subnet, the mode fits.
   * Returns the endpoints keyed by network name as they are to be persisted, with NetworkID filled in.
   */
  plan(
    hostConfig: ContainerRecord["hostConfig"],
    requested: Readonly<Record<string, EndpointSettings>>,
  ): Record<string, EndpointSettings>;
  /** Makes the namespace, endpoints and published ports. `joined` is the running container of `container:<id>`. */
  create(
    container: ContainerRecord,
    options: { joined?: { id: string; pid: number }; signal: AbortSignal },
  ): Promise<ContainerSandbox>;
  /** Boot: takes over the sandboxes of containers that still run (DNS sockets, ports), and destroys all others. */
  recover(running: readonly ContainerRecord[]): Promise<Map<string, ContainerSandbox>>;
}

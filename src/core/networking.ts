/**
 * Port: what a container needs from networks to start and stop. The networks themselves (records, address pools,
 * drivers, DNS) live in `engine/networks` and `drivers/network-*`.
 */
import type { EndpointSettings, PortMap } from "../api/types.ts";
import type { ContainerLink, ContainerRecord } from "./container.ts";

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
  /** `NAME=value` of what the container's processes are told of linked neighbours, as it is now. */
  readonly environment: readonly string[];
  /** Inspect's `SandboxKey`: a path by which people enter the namespace. Empty where it belongs to somebody else. */
  readonly key?: string;
}

/** What containers need from networks. */
export interface ContainerSandboxes {
  /**
   * Checks at create what can be known then: addresses lie in their subnet, the mode fits. Returns the endpoints keyed
   * by network name as they are to be persisted, with NetworkID filled in where the network exists (a network that
   * does not is start's error, as in Docker: a 404 from create would make clients pull the image).
   * @throws InvalidParameterError
   */
  plan(
    hostConfig: ContainerRecord["hostConfig"],
    requested: Readonly<Record<string, EndpointSettings>>,
  ): Record<string, EndpointSettings>;
  /**
   * The neighbours that `HostConfig.Links` names. @throws InvalidParameterError with Docker's wording for one that is
   * not there or cannot be linked to
   */
  links(hostConfig: ContainerRecord["hostConfig"]): readonly ContainerLink[];
  /** A link was taken away from a container: it forgets the neighbour's name. */
  unlinked(container: ContainerRecord): Promise<void>;
  /**
   * Makes the namespace, endpoints and published ports. `joined` is the running container of `container:<id>`;
   * `silent` publishes no events, for what is no container to anybody.
   * @throws EngineError "failed to set up container networking: …"; nothing is left then
   */
  create(
    container: ContainerRecord,
    options: { joined?: { id: string; pid: number }; silent?: boolean; signal: AbortSignal },
  ): Promise<ContainerSandbox>;
  /** The container has another name now: its neighbours find it by the new one. */
  renamed?(container: ContainerRecord): void;
  /** Boot: takes over the sandboxes of containers that still run (DNS sockets, ports), and destroys all others. */
  recover(running: readonly ContainerRecord[]): Promise<Map<string, ContainerSandbox>>;
}

/** What networks need from the containers that own endpoints, for `connect` and `disconnect`. */
export interface EndpointOwners {
  /** Does the work while the container neither starts nor stops nor goes. */
  exclusively<T>(id: string, work: () => Promise<T>): Promise<T>;
  /** By id, name or unique prefix. @throws NotFoundError "No such container: …" */
  get(reference: string): ContainerRecord;
  /**
   * Persists one endpoint of a container: as it was asked for, and as it is now (the same while it does not run);
   * undefined takes it out.
   */
  setEndpoint(
    id: string,
    networkName: string,
    endpoint: { requested: EndpointSettings; current: EndpointSettings } | undefined,
  ): Promise<void>;
  /** The files of a running container have new content (`ContainerSandbox.files`). */
  filesChanged(id: string, files: ContainerSandbox["files"]): Promise<void>;
}

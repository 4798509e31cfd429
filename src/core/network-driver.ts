/**
 * Ports below networks: what carries them in the kernel. `engine/networks` decides (names, addresses, ports);
 * drivers do. Everything a driver makes is found again by the engine's instance and the ids in here.
 */
import type { EndpointId, NetworkId } from "./ids.ts";
import type { IpAddress, IpPrefix } from "./ipam.ts";

/** One subnet of a network, complete: what was not asked for has been chosen. */
export interface NetworkSubnet {
  readonly subnet: string;
  /** Asked for by the user: only then may containers ask for addresses in it. */
  readonly requested?: boolean;
  readonly ipRange?: string;
  readonly gateway?: string;
  readonly auxiliaryAddresses?: Readonly<Record<string, string>>;
}

/** A network as it is persisted. */
export interface NetworkRecord {
  readonly id: NetworkId;
  readonly name: string;
  /** RFC 3339 with nanoseconds. */
  readonly created: string;
  readonly driver: string;
  readonly enableIPv4: boolean;
  readonly enableIPv6: boolean;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly ingress: boolean;
  /** Settings for others to be made of, and nothing in the kernel. */
  readonly configOnly?: boolean;
  /** The name of the network that the settings are from. */
  readonly configFrom?: string;
  readonly ipam: {
    readonly driver: string;
    readonly options: Readonly<Record<string, string>> | null;
    readonly subnets: readonly NetworkSubnet[];
    /** Asked for, and of a family that the network does not use: shown, and nothing is taken from them. */
    readonly unusedSubnets?: readonly NetworkSubnet[];
  };
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** A network namespace that this engine made, or took over after a restart. Disposing gives it up. Idempotent. */
export interface NetworkNamespace extends Disposable {
  /** Sandbox id: the container's. */
  readonly id: string;
  /** A path that lives as long as the namespace, on this host. */
  readonly path: string;
  /** A path that is valid in every mount namespace as long as this process holds the namespace. */
  readonly openPath: string;
  /** An open descriptor of this process. */
  readonly descriptor: number;
}

/** Port: namespaces, and what is remembered of a sandbox as long as the host runs (no longer: a reboot ends both). */
export interface NetworkNamespaces {
  /** A new namespace with loopback up. @throws SystemError */
  create(id: string): NetworkNamespace;
  /** After a restart of the daemon: the namespace of that id, or of that process where the file is gone. */
  open(id: string, pid: number): NetworkNamespace | undefined;
  /** The daemon's own network namespace, as the namespace of a container with host networking. */
  readonly hostPath: string;
  /** Remembers facts of a sandbox across SIGKILL of the daemon. */
  save(id: string, facts: SandboxFacts): void;
  load(id: string): SandboxFacts | undefined;
  /** Drops the notes of a sandbox that had no namespace of its own. */
  forget(id: string): void;
  /** Boot: gives up every namespace and note that is not in `owned`. */
  reclaim(owned: ReadonlySet<string>): void;
}

/** What cannot be derived from the container's record: the choices made at start. */
export interface SandboxFacts {
  readonly endpoints: Readonly<Record<string, EndpointFacts>>;
  readonly ports: readonly PublishedPort[];
}

export interface EndpointFacts {
  readonly networkId: NetworkId;
  readonly endpointId: EndpointId;
  /** Name inside of the namespace. */
  readonly interfaceName: string;
  readonly mac: string;
  readonly addresses: readonly string[];
}

export interface EndpointRequest {
  readonly id: EndpointId;
  readonly interfaceName: string;
  readonly mac: string;
  /** With the subnet's length. */
  readonly addresses: readonly IpPrefix[];
  /** Default routes to set; empty for an endpoint that is not the way out. */
  readonly gateways: readonly IpAddress[];
  /** `net.ipv4.conf.<name>.x` → value, applied in the namespace. */
  readonly sysctls: Readonly<Record<string, string>>;
}

/** An endpoint that is up. */
export interface AttachedEndpoint {
  readonly id: EndpointId;
  readonly interfaceName: string;
  readonly namespace: NetworkNamespace;
}

/** A port of the host that leads to a port of an endpoint. */
export interface PublishedPort {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly address: string;
  readonly port: number;
  /** How it is reached besides, or at all. Absent: at the host's port alone. */
  readonly exposure?: PortExposure;
}

/**
 * `direct`: at the container's own address as well, by who is let. `routed`: only there; the host's port is 0 and its
 * address stands for the family.
 */
export type PortExposure = "direct" | "routed";

/** A wish for one: the first host port from `first` to `last` that is free at every target; 0–0 is any. */
export interface PortRequest {
  readonly protocol: PublishedPort["protocol"];
  readonly first: number;
  readonly last: number;
  /** The container's port. */
  readonly port: number;
  /** Which address of the container each address of the host leads to: one, or one of each family. */
  readonly targets: readonly Pick<PublishedPort, "hostAddress" | "address" | "exposure">[];
}

export interface NetworkDriver {
  /** As in `--driver`. */
  readonly name: string;
  /** False for `host` and `null`: their networks have no addresses, and containers no endpoints of their own. */
  readonly addressed: boolean;
  /** At create, before `check`: what the options of a network mean for the rest of it. @throws InvalidParameterError */
  complete?(network: NetworkRecord): NetworkRecord;
  /** At create: refuses options that it does not know how to honour. @throws InvalidParameterError */
  check(network: NetworkRecord): void;
  /** The gateways that the network's link has already, where it was made by somebody else. */
  adopted?(network: NetworkRecord): readonly IpPrefix[];
  /** Makes or repairs the network in the kernel. Idempotent. @throws EngineError; `remove` takes away what was made */
  ensure(network: NetworkRecord): Promise<void>;
  /** Absent is fine. */
  remove(network: NetworkRecord): Promise<void>;
  /** Brings an endpoint up in a namespace. @throws EngineError; what was made goes with the namespace */
  attach(network: NetworkRecord, endpoint: EndpointRequest, namespace: NetworkNamespace): void;
  /** After `attach`: waits for what the host must allow before endpoints are of use. Never rejects. */
  ready?(): Promise<void>;
  /** Takes an endpoint out of a namespace that goes on living. */
  detach(network: NetworkRecord, endpoint: AttachedEndpoint): void;
  /** The endpoint's namespace is being given up: what is in it goes with it, nobody waits. */
  forget(endpointId: EndpointId): void;
  /** Boot: an endpoint of a container that runs on. */
  adopt(network: NetworkRecord, endpointId: EndpointId): void;
  /** Beginning of interface names in containers of this network. */
  interfacePrefix(network: NetworkRecord): string;
  /** Host address of published ports that name none; undefined: the engine's default. */
  bindAddress(network: NetworkRecord): string | undefined;
  /** False: endpoints have addresses of the world outside, and ports of the host do not lead to them. */
  readonly publishes?: boolean;
  /** How published ports of its endpoints are reached. undefined: at the host's port alone. */
  exposure?(network: NetworkRecord, family: 4 | 6): PortExposure | undefined;
  /**
   * Sets the default routes of a namespace: through that interface to `gateways`, in place of those to `former`.
   * @throws SystemError if another one is there: it is somebody else's
   */
  route(
    namespace: NetworkNamespace,
    interfaceName: string,
    change: { readonly gateways: readonly IpAddress[]; readonly former: readonly IpAddress[] },
  ): void;
  /** Boot: takes over the endpoints that are owned, and destroys every other endpoint and network of this engine. */
  recover(networks: readonly NetworkRecord[], endpoints: ReadonlySet<EndpointId>): Promise<void>;
}

/** Port: publishing ports of endpoints on the host. */
export interface PortPublisher {
  /**
   * Reserves the host ports and leads them to the container; all or none.
   * @throws SystemError with Docker's wording when a port is taken
   */
  publish(requests: readonly PortRequest[]): PortLease;
  /** Boot: the same bindings as before. Their host ports are reserved again. */
  recover(bindings: readonly PublishedPort[]): PortLease;
  /** Boot, at its end: takes away what leads to containers that were not recovered. */
  reclaim(): void;
}

/** Ports in force. Disposing ends them at once. Idempotent. */
export interface PortLease extends Disposable {
  readonly ports: readonly PublishedPort[];
}

/** Port: facts of the host that choices depend on. */
export interface HostNetwork {
  /** Destinations of the host's routes, without default routes. */
  routes(): readonly IpPrefix[];
  /** The host's servers: not systemd-resolved's stub where the file behind it can be read. */
  resolvConf(): string;
  hosts(): string;
  /** The subnets that lead to the host's default gateways. */
  uplinkSubnets(): readonly IpPrefix[];
  /** The host speaks IPv6: sockets can listen there. */
  hasIPv6(): boolean;
  /** The host's address as containers see it from a network without a gateway of ours. */
  uplinkAddress(): string | undefined;
}

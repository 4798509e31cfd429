/**
 * Published ports: reserves host ports with sockets of its own, leads them to containers through the firewall (or the
 * relay, where the kernel has no way), and cuts the flows that conntrack still sends the old way. Ports are derived
 * from live leases; nothing is stored.
 */
import { readFileSync } from "node:fs";
import { hasCode } from "../../base/error-codes.ts";
import { log } from "../../base/log.ts";
import { messageOf, SystemError } from "../../core/errors.ts";
import { formatAddress, fromBytes, type IpAddress, parseAddress, toBytes } from "../../core/ipam.ts";
import type { PortLease, PortPublisher, PortRequest, PublishedPort } from "../../core/network-driver.ts";
import { deleteFlowsTo } from "../../linux/conntrack.ts";
import { openServedPort, type PortReservation, reservePort } from "../../linux/port-reservation.ts";
import type { Firewall } from "./firewall.ts";
import { RelayClient } from "./relay/client.ts";

interface Reserved extends Disposable {
  readonly ports: readonly PublishedPort[];
}

export class HostPorts implements PortPublisher, Disposable {
  readonly #firewall: Firewall;
  readonly #reservations = new Set<PortReservation>();
  /** `tcp/8080` → host addresses in use by this engine. */
  readonly #used = new Map<string, Set<string>>();
  readonly #relay: RelayClient;
  #lastEphemeral = 0;

  /** @param execRoot of the engine: where the relay of a former daemon is found */
  constructor(firewall: Firewall, execRoot: string) {
    this.#firewall = firewall;
    this.#relay = new RelayClient(execRoot);
  }

  publish(requests: readonly PortRequest[]): PortLease {
    using undo = new DisposableStack();
    const ports: PublishedPort[] = [];
    for (const request of requests) ports.push(...undo.use(this.#reserve(request)).ports);
    return this.#lease(ports, undo.move());
  }

  recover(bindings: readonly PublishedPort[]): PortLease {
    using undo = new DisposableStack();
    for (const binding of bindings) {
      try {
        undo.use(this.#hold(binding));
      } catch (error) {
        // Somebody took the port while no daemon held it: the container's traffic is still led past them.
        log("warn", "a published port of a running container is in use", { ...binding, error });
      }
    }
    return this.#lease(bindings, undo.move());
  }

  reclaim(): void {
    this.#firewall.reclaim();
    this.#relay.reclaim();
  }

  /** Lets go of the host's ports; what leads to containers stays. */
  [Symbol.dispose](): void {
    for (const reservation of this.#reservations) reservation[Symbol.dispose]();
    this.#relay[Symbol.dispose]();
  }

  #lease(ports: readonly PublishedPort[], reservations: DisposableStack): PortLease {
    // Undone in the reverse order, and to the end whatever fails: traffic ends before the port is free for others.
    using undo = new DisposableStack();
    undo.use(reservations);
    try {
      undo.defer(() => forgetFlows(ports));
      const translated = ports.filter((port) => isTranslated(port));
      this.#firewall.addPorts(translated);
      undo.defer(() => this.#firewall.removePorts(translated));
      forgetFlows(ports);
    } catch (error) {
      throw new SystemError(`failed to publish ports: ${messageOf(error)}`, { cause: error });
    }
    const lease = undo.move();
    return { ports, [Symbol.dispose]: () => lease.dispose() };
  }

  /** The first port of the range that is free at every address of the request. */
  #reserve(request: PortRequest): Reserved {
    let failure: unknown;
    const routed = request.targets.filter(({ exposure }) => exposure === "routed");
    if (routed.length === request.targets.length) return this.#reserveAt(request, 0);
    for (const port of this.#candidates(request)) {
      try {
        const reserved = this.#reserveAt(request, port);
        if (request.first === 0) this.#lastEphemeral = port;
        return reserved;
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  #reserveAt(request: PortRequest, hostPort: number): Reserved {
    using undo = new DisposableStack();
    const ports = request.targets.map((target): PublishedPort => {
      const own = target.exposure === "routed" ? 0 : hostPort;
      const port = { ...target, protocol: request.protocol, hostPort: own, port: request.port };
      undo.use(this.#hold(port));
      return port;
    });
    const held = undo.move();
    return { ports, [Symbol.dispose]: () => held.dispose() };
  }

  *#candidates({ first, last }: PortRequest): Generator<number> {
    if (first > 0) {
      for (let port = first; port <= last; port++) yield port;
      return;
    }
    const [low, high] = ephemeralRange();
    const size = high - low + 1;
    const start =
      this.#lastEphemeral >= low && this.#lastEphemeral < high ? this.#lastEphemeral + 1 - low : 0;
    for (let step = 0; step < size; step++) yield low + ((start + step) % size);
  }

  /** @throws SystemError in Docker's words: two different ones for a port of ours and of somebody else */
  #hold(port: PublishedPort): Disposable {
    const { protocol, hostAddress, hostPort } = port;
    if (port.exposure === "routed") return { [Symbol.dispose]() {} };
    const key = `${protocol}/${hostPort}`;
    const shown = `${hostAddress.includes(":") ? `[${hostAddress}]` : hostAddress}:${hostPort}`;
    const holders = this.#used.get(key) ?? new Set<string>();
    if ([...holders].some((other) => collide(other, hostAddress)))
      throw new SystemError(`Bind for ${shown} failed: port is already allocated`, { subject: shown });
    const reservation = this.#bind(port, shown);
    holders.add(hostAddress);
    this.#used.set(key, holders);
    return {
      [Symbol.dispose]: () => {
        reservation[Symbol.dispose]();
        holders.delete(hostAddress);
        if (holders.size === 0) this.#used.delete(key);
      },
    };
  }

  #bind(port: PublishedPort, shown: string): Disposable {
    const { protocol, hostPort } = port;
    const host = parseAddress(port.hostAddress);
    const request = { protocol, family: host.family, address: toBytes(host), port: hostPort };
    try {
      if (protocol !== "sctp" && isRelayed(port)) return this.#serve(port, { ...request, protocol });
      const reservation = reservePort(request);
      this.#reservations.add(reservation);
      return {
        [Symbol.dispose]: () => {
          reservation[Symbol.dispose]();
          this.#reservations.delete(reservation);
        },
      };
    } catch (error) {
      const reason = hasCode(error, "EADDRINUSE")
        ? "address already in use"
        : hasCode(error, "EADDRNOTAVAIL")
          ? "cannot assign requested address"
          : messageOf(error);
      throw new SystemError(
        `failed to bind host port for ${shown}:${port.address}:${port.port}/${protocol}: ${reason}`,
        { cause: error, subject: shown },
      );
    }
  }

  #serve({ address, port }: PublishedPort, request: Parameters<typeof openServedPort>[0]): Disposable {
    const { protocol, family } = request;
    const key = `${protocol}/${formatAddress(fromBytes(family, request.address))}/${request.port}`;
    const socket = this.#relay.take(key) ?? openServedPort(request);
    this.#relay.serve({ key, protocol, address, port }, socket);
    return { [Symbol.dispose]: () => this.#relay.stop(key) };
  }
}

/** The firewall can lead it: same family, and not to an address that the kernel routes over loopback alone. */
function isTranslated({ hostAddress, address }: PublishedPort): boolean {
  const host = parseAddress(hostAddress);
  return host.family === parseAddress(address).family && !isIPv6Loopback(host);
}

/** Something comes to the host's own socket: all of it, or of all addresses `::1`. */
function isRelayed(port: PublishedPort): boolean {
  const host = parseAddress(port.hostAddress);
  return !isTranslated(port) || (host.family === 6 && host.value === 0n);
}

function isIPv6Loopback({ family, value }: IpAddress): boolean {
  return family === 6 && value === 1n;
}

function collide(a: string, b: string): boolean {
  if (a === b) return true;
  const [first, second] = [parseAddress(a), parseAddress(b)];
  return first.family === second.family && (first.value === 0n || second.value === 0n);
}

/** The kernel's own range, as Docker takes it. */
function ephemeralRange(): [number, number] {
  const [low = 49153, high = 65535] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8")
    .trim()
    .split(/\s+/)
    .map(Number);
  return [low, high];
}

/** UDP has no end of a connection: a flow that began before would go where it went. */
function forgetFlows(ports: readonly PublishedPort[]): void {
  const destinations = ports
    .filter(({ protocol, hostPort }) => protocol === "udp" && hostPort > 0)
    .map(({ hostAddress, hostPort }) => {
      const host = parseAddress(hostAddress);
      const address = host.value === 0n ? "local" : toBytes(host);
      return { family: host.family, address, port: hostPort } as const;
    });
  if (destinations.length > 0) deleteFlowsTo("udp", destinations);
}

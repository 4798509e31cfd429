/**
 * The drivers `macvlan` and `ipvlan`: endpoints are links of their own upon a link of the host, with addresses of the
 * network that is behind it. Nothing is translated and no port of the host leads to them. Owns those links, and the
 * parents that it makes itself (VLANs, links with nothing behind them), which carry `gantry-parent-<instance> <network>`
 * as their alias. Leaves names and addresses to `engine/networks`.
 */
import { hasCode } from "../../base/error-codes.ts";
import { log } from "../../base/log.ts";
import { ConflictError, InvalidParameterError, messageOf, SystemError } from "../../core/errors.ts";
import type { EndpointId, NetworkId } from "../../core/ids.ts";
import type { IpAddress } from "../../core/ipam.ts";
import { toLinkSetup, toRawAddress } from "../../core/link-setup.ts";
import type {
  AttachedEndpoint,
  EndpointRequest,
  NetworkDriver,
  NetworkNamespace,
  NetworkRecord,
} from "../../core/network-driver.ts";
import { configureLink, deleteLinkIn, setDefaultRoutes } from "../../linux/link-setup.ts";
import {
  encodeCreateDummy,
  encodeCreateUpon,
  encodeCreateVethPair,
  encodeSetLink,
  type Link,
  RouteSocket,
} from "../../linux/netlink-route.ts";
import { type ParentedOptions, parseParentedOptions } from "./options.ts";

export class ParentedDriver implements NetworkDriver, Disposable {
  readonly name: "macvlan" | "ipvlan";
  readonly addressed = true;
  readonly publishes = false;
  readonly #instance: string;
  readonly #route = RouteSocket.open();
  readonly #networks = new Map<NetworkId, NetworkRecord>();
  /** Endpoints that live, and the network of each. */
  readonly #endpoints = new Map<EndpointId, NetworkId>();

  /** @param instance of the engine */
  constructor(name: "macvlan" | "ipvlan", instance: string) {
    this.name = name;
    this.#instance = instance;
  }

  /** Without a parent nothing leads out. */
  complete(network: NetworkRecord): NetworkRecord {
    return this.#optionsOf(network).own ? { ...network, internal: true } : network;
  }

  check(network: NetworkRecord): void {
    const { parent, link } = this.#optionsOf(network);
    for (const other of this.#networks.values()) {
      const options = this.#optionsOf(other);
      const alone = [link, options.link].some(({ mode }) => mode === "passthru");
      if (other.id !== network.id && options.parent === parent && alone)
        throw new ConflictError(
          `cannot use parent interface ${parent} for network ${network.name}: network ${other.name} is upon it, and mode passthru shares it with nobody`,
          { subject: parent },
        );
    }
  }

  async ensure(network: NetworkRecord): Promise<void> {
    const options = this.#optionsOf(network);
    const parent = this.#route.findLink(options.parent) ?? this.#makeParent(network, options);
    this.#probe(parent, options);
    this.#networks.set(network.id, network);
  }

  async remove(network: NetworkRecord): Promise<void> {
    this.#networks.delete(network.id);
    const { parent } = this.#optionsOf(network);
    const made = this.#route.findLink(parent)?.alias === this.#aliasOf(network.id);
    if (made) this.#route.deleteLink(parent);
  }

  attach(network: NetworkRecord, endpoint: EndpointRequest, namespace: NetworkNamespace): void {
    const { parent, link } = this.#optionsOf(network);
    const busy = [...this.#endpoints.values()].includes(network.id);
    if (link.mode === "passthru" && busy)
      throw new ConflictError(`network ${network.name} in mode passthru takes one endpoint only`, {
        subject: network.id,
      });
    // Links of passthru and ipvlan have the parent's own.
    const mac = link.kind === "macvlan" && link.mode !== "passthru" ? { mac: endpoint.mac } : {};
    try {
      this.#route.apply(
        `create ${this.name} link upon ${parent}`,
        encodeCreateUpon(this.#route.getLink(parent).index, {
          ...{ ...link, name: endpoint.interfaceName, namespace: namespace.descriptor, ...mac },
        }),
      );
      configureLink(namespace.descriptor, toLinkSetup(endpoint));
    } catch (error) {
      throw new SystemError(
        `failed to create endpoint on network ${network.name}: ${this.#explain(error, parent)}`,
        { cause: error, subject: endpoint.id },
      );
    }
    this.#endpoints.set(endpoint.id, network.id);
  }

  detach(_network: NetworkRecord, { id, interfaceName, namespace }: AttachedEndpoint): void {
    this.#endpoints.delete(id);
    deleteLinkIn(namespace.descriptor, interfaceName);
  }

  forget(endpointId: EndpointId): void {
    this.#endpoints.delete(endpointId);
  }

  adopt(network: NetworkRecord, endpointId: EndpointId): void {
    this.#endpoints.set(endpointId, network.id);
  }

  route(
    namespace: NetworkNamespace,
    interfaceName: string,
    { gateways, former }: { gateways: readonly IpAddress[]; former: readonly IpAddress[] },
  ): void {
    try {
      setDefaultRoutes(namespace.descriptor, interfaceName, {
        gateways: gateways.map(toRawAddress),
        former: former.map(toRawAddress),
      });
    } catch (error) {
      const reason = hasCode(error, "EEXIST") ? "file exists" : messageOf(error);
      throw new SystemError(`failed to set gateway: ${reason}`, { cause: error, subject: namespace.id });
    }
  }

  /** Endpoints live in their namespaces and go with them: parents are all that can be left over. */
  async recover(networks: readonly NetworkRecord[]): Promise<void> {
    const aliases = new Set(networks.map(({ id }) => this.#aliasOf(id)));
    for (const link of this.#route.links())
      if (this.#isOwn(link) && !aliases.has(link.alias)) this.#route.deleteLink(link.name);
    for (const network of networks) {
      try {
        await this.ensure(network);
      } catch (error) {
        log("error", "cannot restore network", { network: network.name, error });
      }
    }
  }

  interfacePrefix(): string {
    return "eth";
  }

  bindAddress(): string | undefined {
    return undefined;
  }

  /** Without containers nothing stays in the kernel: boot makes it anew. */
  [Symbol.dispose](): void {
    if (this.#endpoints.size === 0)
      for (const link of this.#route.links()) if (this.#isOwn(link)) this.#route.deleteLink(link.name);
    this.#route[Symbol.dispose]();
  }

  #makeParent(network: NetworkRecord, { parent, own, vlan }: ParentedOptions): Link {
    if (own) this.#makeIsolated(network, parent);
    else if (vlan) this.#makeVlan(parent, vlan);
    else
      throw new InvalidParameterError(`parent interface ${parent} was not found on the host`, {
        subject: parent,
      });
    const link = this.#route.getLink(parent);
    this.#route.apply(
      `bring ${parent} up`,
      encodeSetLink(link.index, { alias: this.#aliasOf(network.id), up: true }),
    );
    return link;
  }

  /** A kernel without dummy links has cables: one whose other end nobody uses leads nowhere either. */
  #makeIsolated({ id }: NetworkRecord, name: string): void {
    try {
      this.#route.apply(`create link ${name}`, encodeCreateDummy(name));
    } catch (error) {
      if (!hasCode(error, "EOPNOTSUPP", "ENOTSUP")) throw error;
      const other = `dn-${id.slice(0, 12)}`;
      this.#route.apply(`create link ${name}`, encodeCreateVethPair(name, other));
      // Both ends up: only then there is a carrier.
      this.#route.apply(`bring ${other} up`, encodeSetLink(this.#route.getLink(other).index, { up: true }));
    }
  }

  #makeVlan(name: string, { of, id }: NonNullable<ParentedOptions["vlan"]>): void {
    const below = this.#route.findLink(of);
    if (!below)
      throw new InvalidParameterError(`parent interface ${of} of ${name} was not found on the host`, {
        subject: of,
      });
    try {
      this.#route.apply(`create VLAN ${name}`, encodeCreateUpon(below.index, { kind: "vlan", name, id }));
    } catch (error) {
      const reason = hasCode(error, "EOPNOTSUPP", "ENOTSUP")
        ? "this kernel has no VLANs (8021q)"
        : messageOf(error);
      throw new SystemError(`cannot create sub-interface ${name}: ${reason}`, {
        cause: error,
        subject: name,
      });
    }
  }

  /** Tells at create, not at the first start, what the kernel or the parent does not let us do. */
  #probe(parent: Link, { link }: ParentedOptions): void {
    if ([...this.#endpoints.values()].some((id) => this.#networks.has(id))) return;
    const name = `gp${this.#instance.slice(0, 6)}${process.pid % 10_000}`;
    try {
      this.#route.apply(
        `create ${this.name} link upon ${parent.name}`,
        encodeCreateUpon(parent.index, { ...link, name }),
      );
      this.#route.deleteLink(name);
    } catch (error) {
      throw new SystemError(`cannot create ${this.name} network: ${this.#explain(error, parent.name)}`, {
        cause: error,
        subject: parent.name,
      });
    }
  }

  #explain(error: unknown, parent: string): string {
    if (hasCode(error, "EOPNOTSUPP", "ENOTSUP")) return `this kernel has no ${this.name}`;
    if (hasCode(error, "EBUSY", "EINVAL"))
      return `parent interface ${parent} is in use, and not to be shared: by a bridge, by links of another kind, or in mode passthru`;
    if (hasCode(error, "ENODEV")) return `parent interface ${parent} is gone`;
    return messageOf(error);
  }

  #optionsOf(network: NetworkRecord): ParentedOptions {
    return parseParentedOptions(this.name, network);
  }

  #aliasOf(id: NetworkId): string {
    return `gantry-parent-${this.#instance} ${this.name} ${id}`;
  }

  #isOwn({ alias }: Link): boolean {
    return alias.startsWith(`gantry-parent-${this.#instance} ${this.name} `);
  }
}

/** What embedded DNS may tell one container: names of those that it shares a network with, and nothing more. */
import { contains, findAddress, parsePrefix } from "../../core/ipam.ts";
import type { NameScope, UpstreamServer } from "../../core/name-server.ts";
import { addressOf, type EndpointIndex, hasEmbeddedDns, type LiveEndpoint } from "./endpoints.ts";

/** RFC 1035: 255 octets with the lengths of the first label and the root. Networks may be called anything. */
const LONGEST_NAME = 253;

export interface NameScopeOptions {
  /** The container's own endpoints, as they are now. */
  readonly endpoints: () => Iterable<LiveEndpoint>;
  readonly index: EndpointIndex;
  readonly servers: () => readonly UpstreamServer[];
}

export function toNameScope({ endpoints, index, servers }: NameScopeOptions): NameScope {
  let turn = 0;
  const shared = () => [...endpoints()].filter(({ network, driver }) => hasEmbeddedDns(network, driver));
  return {
    addressesOf(name, family) {
      const found = shared().flatMap((own) => neighboursCalled(name, own, index));
      if (found.length === 0) return undefined;
      const addresses = [...new Set(found.flatMap((endpoint) => addressOf(endpoint, family) ?? []))];
      // Several containers of one alias take turns.
      turn++;
      return addresses.map((_, i) => addresses[(i + turn) % addresses.length] ?? "");
    },
    nameOf(address) {
      for (const own of shared()) {
        const owner = index
          .of(own.network.id)
          .find((endpoint) => addressOf(endpoint, 4) === address || addressOf(endpoint, 6) === address);
        if (!owner) continue;
        const name = `${owner.containerName}.${own.network.name}`;
        return name.length <= LONGEST_NAME ? name : undefined;
      }
      return undefined;
    },
    owns(text) {
      const address = findAddress(text);
      return (
        address !== undefined &&
        shared().some(({ network }) =>
          network.ipam.subnets.some(({ subnet }) => contains(parsePrefix(subnet), address)),
        )
      );
    },
    servers() {
      // A container that is on internal networks only has no way out, and gets none through us.
      const internalOnly = [...endpoints()].every(({ network }) => network.internal);
      return internalOnly ? [] : servers();
    },
  };
}

/** `web`, `web.network`, and what this container calls others by `--link`. */
function neighboursCalled(name: string, own: LiveEndpoint, index: EndpointIndex): LiveEndpoint[] {
  const suffix = `.${own.network.name.toLowerCase()}`;
  const names = name.endsWith(suffix) ? [name, name.slice(0, -suffix.length)] : [name];
  const linked = (own.settings.Links ?? []).flatMap((link) => {
    const [target = "", alias = target] = link.split(":");
    return alias.toLowerCase() === name ? [target.replace(/^\//, "").toLowerCase()] : [];
  });
  return index
    .of(own.network.id)
    .filter(({ dnsNames }) =>
      dnsNames.some((known) => names.includes(known.toLowerCase()) || linked.includes(known.toLowerCase())),
    );
}

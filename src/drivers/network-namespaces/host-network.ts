/** What the host's own network looks like, read when asked: it changes without telling. */
import { readFileSync } from "node:fs";
import { formatAddress, fromBytes, type IpPrefix, networkOf } from "../../core/ipam.ts";
import type { HostNetwork } from "../../core/network-driver.ts";
import { RouteSocket } from "../../linux/netlink-route.ts";

const RESOLVED_STUB = "127.0.0.53";
const RESOLVED_FILE = "/run/systemd/resolve/resolv.conf";
const RT_TABLE_LOCAL = 255;

/** What the host itself has: routes, resolver, hosts file, its uplink. */
export function openHostNetwork(): HostNetwork {
  return {
    routes: hostRoutes,
    resolvConf,
    hosts: () => readFileSync("/etc/hosts", "utf8"),
    hasIPv6,
    uplinkSubnets,
    uplinkAddress,
  };
}

function hostRoutes(): IpPrefix[] {
  using route = RouteSocket.open();
  return route
    .routes()
    .flatMap(({ destination, table }) =>
      destination && table !== RT_TABLE_LOCAL
        ? [{ ...fromBytes(destination.family, destination.bytes), length: destination.length }]
        : [],
    );
}

function resolvConf(): string {
  const own = readIfThere("/etc/resolv.conf");
  const servers = [...own.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, server]) => server);
  const stubOnly = servers.length > 0 && servers.every((server) => server === RESOLVED_STUB);
  return stubOnly ? readIfThere(RESOLVED_FILE) || own : own;
}

/** Loopback has `::1` where IPv6 is there and not switched off. */
function hasIPv6(): boolean {
  return /^0{31}1 /m.test(readIfThere("/proc/net/if_inet6"));
}

function uplinkSubnets(): IpPrefix[] {
  using route = RouteSocket.open();
  const uplinks = new Set(route.routes().flatMap(({ destination, index }) => (destination ? [] : [index])));
  return route
    .addresses()
    .filter(({ index }) => uplinks.has(index))
    .map(({ family, bytes, length }) => networkOf({ ...fromBytes(family, bytes), length }))
    .filter((prefix) => !(prefix.family === 6 && prefix.value >> 118n === 0x3fan));
}

function uplinkAddress(): string | undefined {
  using route = RouteSocket.open();
  const uplink = route.routes().find(({ family, destination }) => family === 4 && !destination);
  const address = route.addresses().find(({ family, index }) => family === 4 && index === uplink?.index);
  return address && formatAddress(fromBytes(4, address.bytes));
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // a host without the file has no servers to tell of
  }
}

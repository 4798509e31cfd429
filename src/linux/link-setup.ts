/** A link in a network namespace: its addresses, sysctls and default routes. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { LinuxError } from "./libc.ts";
import { withNamespace } from "./namespaces.ts";
import {
  encodeAddAddress,
  encodeAddRoute,
  encodeDeleteLink,
  encodeDeleteRoute,
  encodeSetLink,
  type RawAddress,
  type RawPrefix,
  RouteSocket,
} from "./netlink-route.ts";

export interface LinkSetup {
  readonly interfaceName: string;
  readonly addresses: readonly RawPrefix[];
  /** `onLink`: within the link's own subnets; others are told to be on the link first. */
  readonly gateways: readonly (RawAddress & { readonly onLink: boolean })[];
  readonly sysctls: Readonly<Record<string, string>>;
}

/** Makes a link usable. @param namespace an open descriptor of it @throws LinuxError */
export function configureLink(namespace: number, setup: LinkSetup): void {
  withNamespace("net", pathOf(namespace), () => configure(setup));
}

function configure({ interfaceName, addresses, gateways, sysctls }: LinkSetup): void {
  using inside = RouteSocket.open();
  const { index } = inside.getLink(interfaceName);
  if (addresses.some(({ family }) => family === 6))
    writeSysctl(`net/ipv6/conf/${interfaceName}/disable_ipv6`, "0");
  for (const [name, value] of Object.entries(sysctls)) setLinkSysctl(name, value);
  inside.apply(
    `configure ${interfaceName}`,
    ...addresses.map((address) => encodeAddAddress(index, address)),
    encodeSetLink(index, { up: true }),
    ...gateways.flatMap(({ onLink, ...gateway }) => [
      ...(onLink ? [] : [toHostRoute(gateway, index)]),
      toDefaultRoute(gateway, index),
    ]),
  );
}

/**
 * Sets default routes through a link, in place of those to `former`.
 * @throws LinuxError EEXIST if there is another one
 */
export function setDefaultRoutes(
  namespace: number,
  interfaceName: string,
  { gateways, former }: { readonly gateways: readonly RawAddress[]; readonly former: readonly RawAddress[] },
): void {
  using inside = withNamespace("net", pathOf(namespace), () => RouteSocket.open());
  const { index } = inside.getLink(interfaceName);
  const isFormer = (gateway: RawAddress) =>
    former.some(({ bytes }) => Buffer.compare(bytes, gateway.bytes) === 0);
  for (const { destination, family, gateway, index: old, metric } of inside.routes()) {
    const replaced = gateways.some((wanted) => wanted.family === family);
    if (!destination && gateway && replaced && isFormer(gateway))
      inside.apply("remove default route", encodeDeleteRoute({ family, gateway, index: old, metric }));
  }
  for (const gateway of gateways) inside.apply("set default route", toDefaultRoute(gateway, index));
}

/** Absent is fine. @throws LinuxError */
export function deleteLinkIn(namespace: number, interfaceName: string): void {
  using inside = withNamespace("net", pathOf(namespace), () => RouteSocket.open());
  const link = inside.findLink(interfaceName);
  if (link) inside.apply(`delete link ${interfaceName}`, encodeDeleteLink(link.index));
}

function toHostRoute(gateway: RawAddress, index: number) {
  const destination = { ...gateway, length: gateway.family === 4 ? 32 : 128 };
  return encodeAddRoute({ family: gateway.family, destination, index });
}

function toDefaultRoute(gateway: RawAddress, index: number) {
  return encodeAddRoute({ family: gateway.family, gateway, index });
}

function setLinkSysctl(name: string, value: string): void {
  if (!/^net\.(ipv4|ipv6|mpls)\.(conf|neigh)\.[A-Za-z0-9_.-]+\.[a-z0-9_]+$/.test(name) || name.includes(".."))
    throw new LinuxError("sysctl", constants.errno.EINVAL, name);
  writeFileSync(`/proc/sys/${name.replaceAll(".", "/")}`, value);
}

/** Absent means a kernel without IPv6: nothing to set then. */
function writeSysctl(path: string, value: string): void {
  const file = `/proc/sys/${path}`;
  if (existsSync(file) && readFileSync(file, "utf8").trim() !== value) writeFileSync(file, value);
}

function pathOf(namespace: number): string {
  return `/proc/self/fd/${namespace}`;
}

/** The options of macvlan and ipvlan networks, parsed. */
import { InvalidParameterError } from "../../core/errors.ts";
import type { NetworkRecord } from "../../core/network-driver.ts";
import { IPVLAN_FLAG, IPVLAN_MODE, MACVLAN_MODE, type ParentedKind } from "../../linux/netlink-route.ts";

export interface ParentedOptions {
  /** The link of the host that the network is upon. */
  readonly parent: string;
  /** Nobody named one: a link with nothing behind it is made, and nothing leads out. */
  readonly own: boolean;
  /** `eth0.10` names a VLAN of another link, made where it is missing. */
  readonly vlan: { readonly of: string; readonly id: number } | undefined;
  /** How endpoints' links are upon it. */
  readonly link: Exclude<ParentedKind, { kind: "vlan" }>;
}

const INTERFACE_NAME = /^[A-Za-z0-9_.@-]{1,15}$/;

/** @throws InvalidParameterError with Docker's wording */
export function parseParentedOptions(
  kind: "macvlan" | "ipvlan",
  { id, options }: Pick<NetworkRecord, "id" | "options">,
): ParentedOptions {
  const parent = options.parent || `dm-${id.slice(0, 12)}`;
  if (!INTERFACE_NAME.test(parent) || parent === "." || parent === "..")
    throw new InvalidParameterError(`invalid parent interface: ${parent}`);
  if (parent === "lo")
    throw new InvalidParameterError(`loopback interface is not a valid ${kind} parent link`);
  const link =
    kind === "macvlan"
      ? { kind, mode: oneOf(kind, "mode", options.macvlan_mode || "bridge", MACVLAN_MODE) }
      : {
          kind,
          mode: oneOf(kind, "mode", options.ipvlan_mode || "l2", IPVLAN_MODE),
          flag: oneOf(kind, "flag", options.ipvlan_flag || "bridge", IPVLAN_FLAG),
        };
  return { parent, own: !options.parent, vlan: parseVlan(parent), link };
}

function oneOf<T extends object>(kind: string, what: string, value: string, known: T): keyof T {
  if (Object.hasOwn(known, value)) return value as keyof T;
  const [first = ""] = kind === "macvlan" ? ["bridge"] : Object.keys(known);
  throw new InvalidParameterError(
    `requested ${kind} ${what} '${value}' is not valid, '${first}' ${what} is the ${kind} driver default`,
  );
}

function parseVlan(parent: string): ParentedOptions["vlan"] {
  const [, of = "", id = ""] = /^(.+)\.(\d{1,4})$/.exec(parent) ?? [];
  const number = Number(id);
  return of !== "" && number >= 1 && number <= 4094 ? { of, id: number } : undefined;
}

/**
 * Whether the host forwards packets, and who is to answer for it. A host that was no router becomes one when the
 * first engine starts: from then on each engine's firewall guards it, which a marker in `/run` tells the others and
 * later runs. The last engine to end with nothing left makes it what it was.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Link } from "../../linux/netlink-route.ts";
import { FOREIGN_BRIDGES, GUEST_LINK_GROUP } from "./firewall.ts";

const IP_FORWARD = "/proc/sys/net/ipv4/ip_forward";
/** Of the host, not of one engine; gone after a reboot, as forwarding is. */
const MARKER = "/run/gantry-forwarding";

function forwardsPackets(): boolean {
  return readFileSync(IP_FORWARD, "utf8").trim() === "1";
}

/** True if engines are to guard a host that is a router for their sake only. To be asked before enabling. */
export function mustGuardForwarding(): boolean {
  if (!forwardsPackets()) writeFileSync(MARKER, "", { mode: 0o600 });
  return existsSync(MARKER);
}

/** The firewall must be in force before. */
export function enableForwarding(): void {
  if (!forwardsPackets()) writeFileSync(IP_FORWARD, "1");
}

/** While an engine has networks: undoes that another one, ending at the same time, took itself for the last. */
export function keepForwarding(): void {
  if (existsSync(MARKER) || forwardsPackets()) return;
  writeFileSync(MARKER, "", { mode: 0o600 });
  enableForwarding();
}

/**
 * This engine has nothing left that needs it. @param links what is there without this engine's
 * @returns true if its guard may go as well
 */
export function yieldForwarding(links: readonly Link[]): boolean {
  if (!existsSync(MARKER)) return true;
  const otherEngine = links.some(({ group }) => group === GUEST_LINK_GROUP);
  if (otherEngine) return true; // it guards on
  const foreign = links.some(
    ({ kind, name }) =>
      kind === "bridge" && FOREIGN_BRIDGES.some((glob) => name.startsWith(glob.slice(0, -1))),
  );
  if (foreign) return false; // somebody relies on forwarding by now, and nobody else would guard the host
  writeFileSync(IP_FORWARD, "0");
  rmSync(MARKER, { force: true });
  return true;
}

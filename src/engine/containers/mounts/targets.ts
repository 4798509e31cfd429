/**
 * Where mounts go in a container's root. Targets are made here, beneath the root by descriptor, and the runtime is
 * given paths without links: whatever an image has in the place of a target, nothing is made or mounted elsewhere
 * (invariant S05), and one that is a link to nowhere leads to what it names. Targets inside of other mounts are the
 * runtime's to make: they are not in the root yet.
 */
import { statfs } from "node:fs/promises";
import { InvalidParameterError, SystemError } from "../../../core/errors.ts";
import type { RootFiles } from "../../../core/rootfs.ts";
import type { RuntimeMount } from "../../../core/runtime-spec.ts";
import { wrongKindOfMount } from "../start-failure.ts";
import type { PreparedMount } from "./prepare.ts";

const PROC_SUPER_MAGIC = 0x9fa0;

/** The runtime mounts its own file systems on these; they are directories, never links. */
const RUNTIMES_OWN = ["/dev", "/proc", "/sys"];

/** What lxcfs emulates. @see runc libcontainer/rootfs_linux.go (checkProcMount) */
const ALLOWED_IN_PROC: ReadonlySet<string> = new Set([
  "/proc/cpuinfo",
  "/proc/diskstats",
  "/proc/meminfo",
  "/proc/stat",
  "/proc/swaps",
  "/proc/uptime",
  "/proc/loadavg",
  "/proc/slabinfo",
  "/proc/sys/kernel/ns_last_pid",
  "/proc/sys/crypto/fips_enabled",
]);

/**
 * The mounts with their final destinations, parents before what lies in them.
 * @throws StartError for a directory on a file or the other way round; SystemError for what would go into /proc
 */
export async function placeMounts(
  mounts: readonly PreparedMount[],
  rootfs: string,
  files: Pick<RootFiles, "makeMountTarget">,
): Promise<RuntimeMount[]> {
  const placed: { readonly asked: string; readonly mount: RuntimeMount }[] = [];
  for (const { target, ...mount } of byDepth(mounts)) {
    const asked = mount.destination;
    const outer = placed.findLast((one) => isBelow(asked, one.asked));
    const destination = outer
      ? outer.mount.destination + asked.slice(outer.asked.length)
      : await makeTarget({ ...mount, target }, rootfs, files);
    await checkNotInProc(mount, destination);
    placed.push({ asked, mount: { ...mount, destination } });
  }
  return byDepth(placed.map(({ mount }) => mount));
}

/** Parents before what lies in them; of one depth in the order in which they came. */
export function byDepth<T extends { readonly destination: string }>(mounts: readonly T[]): T[] {
  const depthOf = ({ destination }: T) => destination.split("/").length;
  return [...mounts].sort((a, b) => depthOf(a) - depthOf(b));
}

async function makeTarget(
  { destination, source = "", target, type }: PreparedMount,
  rootfs: string,
  files: Pick<RootFiles, "makeMountTarget">,
): Promise<string> {
  if (RUNTIMES_OWN.some((own) => destination === own || isBelow(destination, own))) return destination;
  try {
    // runc gives a tmpfs the mode of the directory that is there; a new one is everybody's.
    return await files.makeMountTarget(rootfs, destination, target, type === "tmpfs" ? 0o1777 : undefined);
  } catch (error) {
    throw error instanceof InvalidParameterError ? wrongKindOfMount(source, destination, error) : error;
  }
}

/** runc's check, which crun 1.8.1 does not make: security labels are written through /proc. */
async function checkNotInProc({ source = "", type }: RuntimeMount, destination: string): Promise<void> {
  if (destination === "/proc") {
    if (type === "bind" && (await statfs(source)).type === PROC_SUPER_MAGIC) return;
    throw refused(source, destination, "it is not of type proc");
  }
  if (!isBelow(destination, "/proc") || ALLOWED_IN_PROC.has(destination)) return;
  throw refused(source, destination, "it is inside /proc");
}

function refused(source: string, destination: string, reason: string): SystemError {
  const path = JSON.stringify(destination);
  return new SystemError(
    `error mounting ${JSON.stringify(source)} to rootfs at ${path}: ${path} cannot be mounted because ${reason}`,
    { subject: destination },
  );
}

function isBelow(path: string, directory: string): boolean {
  return path.startsWith(`${directory}/`);
}

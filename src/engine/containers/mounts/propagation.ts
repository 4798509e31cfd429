/**
 * How mounts pass between the host and a container. A bind mount of the data root, or of what holds it, is a slave of
 * the host's unless asked for otherwise: a private copy would keep every container's root busy when it is to go.
 * @see moby daemon/volumes_linux.go, daemon/oci_linux.go
 */
import { readFile, realpath } from "node:fs/promises";
import type { ContainerMount } from "../../../core/container.ts";
import { InvalidParameterError } from "../../../core/errors.ts";
import { DEFAULT_PROPAGATION, type MountSpec } from "./mount-specs.ts";

/**
 * A mount's propagation, where the data root has a say in it.
 * @throws InvalidParameterError in dockerd's words
 */
export function withDataRootPropagation(spec: MountSpec, dataRoot: string): MountSpec {
  if (spec.type !== "bind" || !(isWithin(spec.source, dataRoot) || isWithin(dataRoot, spec.source)))
    return spec;
  if (spec.propagationByDefault) return { ...spec, propagation: "rslave" };
  if (spec.propagation === "rslave" || spec.propagation === "rshared") return spec;
  throw new InvalidParameterError(
    `invalid mount config: must use either propagation mode "rslave" or "rshared" when mount source is within the daemon root, daemon root: ${JSON.stringify(dataRoot)}, bind mount source: ${JSON.stringify(spec.source)}, propagation: ${JSON.stringify(spec.propagation)}`,
    { subject: spec.source },
  );
}

function isWithin(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}

/** Mounts as they can be made now, and what the container's root must let pass. */
export interface PassingMounts {
  readonly mounts: readonly ContainerMount[];
  /** `shared` or `slave` if a mount asked for it. */
  readonly rootfsPropagation: "shared" | "slave" | undefined;
}

/**
 * A bind mount can only be shared with, or slave to, a mount of the host that is itself shared. One that is a slave
 * without having been asked to be is private where that is so.
 * @throws InvalidParameterError in dockerd's words
 */
export async function checkPropagation(mounts: readonly ContainerMount[]): Promise<PassingMounts> {
  const passing = (mount: ContainerMount) => mount.type === "bind" && /shared|slave/.test(mount.propagation);
  if (!mounts.some(passing)) return { mounts, rootfsPropagation: undefined };
  const table = parseMountInfo(await readFile("/proc/self/mountinfo", "utf8"));
  const possible: ContainerMount[] = [];
  for (const mount of mounts) possible.push(passing(mount) ? await withPossible(mount, table) : mount);
  const left = possible.filter(passing);
  const shared = left.some(({ propagation }) => propagation.endsWith("shared"));
  return { mounts: possible, rootfsPropagation: left.length === 0 ? undefined : shared ? "shared" : "slave" };
}

async function withPossible(mount: ContainerMount, table: readonly MountInfo[]): Promise<ContainerMount> {
  const { source, propagation, propagationByDefault } = mount;
  const { mountPoint, optional } = mountOf(await realpath(source), table);
  const shared = optional.some((field) => field.startsWith("shared:"));
  const slave = optional.some((field) => field.startsWith("master:"));
  if (propagation.endsWith("shared") && !shared) {
    throw new InvalidParameterError(
      `path ${source} is mounted on ${mountPoint} but it is not a shared mount`,
    );
  }
  if (propagation.endsWith("slave") && !shared && !slave) {
    if (propagationByDefault) return { ...mount, propagation: DEFAULT_PROPAGATION };
    throw new InvalidParameterError(
      `path ${source} is mounted on ${mountPoint} but it is not a shared or slave mount`,
    );
  }
  return mount;
}

interface MountInfo {
  readonly mountPoint: string;
  readonly optional: readonly string[];
}

/** @see proc_pid_mountinfo(5) */
function parseMountInfo(text: string): MountInfo[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => {
      const fields = line.split(" ");
      const mountPoint = (fields[4] ?? "").replace(/\\([0-7]{3})/g, (_, code: string) =>
        String.fromCharCode(Number.parseInt(code, 8)),
      );
      return { mountPoint, optional: fields.slice(6, fields.indexOf("-", 6)) };
    });
}

function mountOf(path: string, table: readonly MountInfo[]): MountInfo {
  const holds = ({ mountPoint }: MountInfo) =>
    mountPoint === "/" || path === mountPoint || path.startsWith(`${mountPoint}/`);
  // Later lines cover earlier ones at the same place.
  const found = table
    .filter(holds)
    .sort((a, b) => a.mountPoint.length - b.mountPoint.length)
    .at(-1);
  return found ?? { mountPoint: "/", optional: [] };
}

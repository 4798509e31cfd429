/** Where a container's own files lie below the data root. */
import { join } from "node:path/posix";
import type { EnginePaths } from "../../../core/config.ts";

/** Beneath the data root, named by the id. */
export function containerDirectory(paths: EnginePaths, id: string): string {
  return join(paths.dataRoot, "containers", id);
}

/** The files that are mounted over the image's `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf`. */
export function identityFiles(
  paths: EnginePaths,
  id: string,
): { hostname: string; hosts: string; resolvConf: string } {
  const directory = containerDirectory(paths, id);
  return {
    hostname: join(directory, "hostname"),
    hosts: join(directory, "hosts"),
    resolvConf: join(directory, "resolv.conf"),
  };
}

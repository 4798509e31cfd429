/** The view of a container's files, in the helper process: nobody else sees what is mounted for it. */
import { closeSync, fstatSync, openSync } from "node:fs";
import { TREE_ROOT_DESCRIPTOR, type TreeMount } from "../../base/tree-files.ts";
import { ForeignRoot, O } from "../../linux/foreign-root.ts";
import { bindDescriptor, MS, mount } from "../../linux/mounts.ts";
import { enterNewMountNamespace } from "../../linux/namespaces.ts";

const OWNERSHIP = { uid: 0, gid: 0, mode: 0o755 };

/** The root as the processes of a running container have it: its mounts are on the way. */
export function runningRoot(): ForeignRoot {
  return new ForeignRoot(TREE_ROOT_DESCRIPTOR);
}

/** The root of one that does not run, with what would be mounted in it. For the rest of the process. @throws LinuxError */
export function stoppedRoot(rootfs: string, mounts: readonly TreeMount[]): ForeignRoot {
  enterNewMountNamespace();
  // What the host unmounts meanwhile goes here as well; nothing of this goes to the host.
  mount({ source: "none", target: "/", flags: MS.REC | MS.SLAVE });
  const root = new ForeignRoot(rootfs);
  for (const each of mounts) bindInto(root, each);
  return root;
}

function bindInto(root: ForeignRoot, { source, destination, readOnly, recursive }: TreeMount): void {
  const from = openSync(source, O.PATH | O.CLOEXEC);
  try {
    const directory = fstatSync(from).isDirectory();
    const target = directory
      ? root.makeDirectories(destination, OWNERSHIP)
      : root.makeFile(destination, OWNERSHIP);
    try {
      bindDescriptor(from, target, { recursive, readOnly });
    } finally {
      closeSync(target);
    }
  } finally {
    closeSync(from);
  }
}

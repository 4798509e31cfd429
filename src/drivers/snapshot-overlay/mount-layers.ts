/** The mount of an overlay: how its directories are named to the kernel. */
import { closeSync, constants, openSync } from "node:fs";
import { mount } from "../../linux/mounts.ts";

/** mount(2) takes one page of options; longer lists of layers are named by file descriptor. */
const LONGEST_OPTIONS = 4000;
/** Whatever the host's module defaults are: no file of a layer refers to another place. */
const FIXED_OPTIONS = "index=off,metacopy=off,redirect_dir=nofollow";

/** Mounts by path, so that /proc/mounts is readable; by descriptor where paths are too long or have special characters. */
export function mountLayers(overlay: {
  lower: readonly string[];
  upper: string;
  work: string;
  target: string;
}): void {
  const { lower, upper, work, target } = overlay;
  const plain = overlayOptions(lower, upper, work);
  const special = [...lower, upper, work].some((path) => /[:,\\]/.test(path));
  if (plain.length <= LONGEST_OPTIONS && !special) {
    mount({ source: "overlay", target, type: "overlay", data: plain });
    return;
  }
  const opened: number[] = [];
  const byDescriptor = (path: string) => {
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    opened.push(descriptor);
    return `/proc/self/fd/${descriptor}`;
  };
  try {
    const data = overlayOptions(lower.map(byDescriptor), byDescriptor(upper), byDescriptor(work));
    mount({ source: "overlay", target, type: "overlay", data });
  } finally {
    for (const descriptor of opened) closeSync(descriptor);
  }
}

function overlayOptions(lower: readonly string[], upper: string, work: string): string {
  return `lowerdir=${lower.join(":")},upperdir=${upper},workdir=${work},${FIXED_OPTIONS}`;
}

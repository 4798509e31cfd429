/** Files that are there whole or not at all, and directories whose names survive a power loss. */
import { renameSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";

/**
 * Writes `<path>.new` and renames it over the file, readable by the owner alone: readers see the old content or the
 * new, also after the process was killed. Not synchronised: after a power loss it may be torn, so it is for what does
 * not outlive one.
 */
export function replaceFile(path: string, content: string | Uint8Array): void {
  writeFileSync(`${path}.new`, content, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** The names in a directory as they are now will be there after a power loss. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

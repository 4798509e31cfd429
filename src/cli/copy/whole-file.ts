/** Archives into files of this machine and out of them. */
import { createReadStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { checkOutputPath } from "./local-files.ts";

const READ_SIZE = 1 << 20;

/** @param what comes first in the error: `failed to save image` @throws Error if nothing can be written there */
export function checkTarget(path: string, what: string): void {
  try {
    checkOutputPath(path);
  } catch (cause) {
    throw new Error(`${what}: ${(cause as Error).message}`, { cause });
  }
}

/** Nothing of that name is touched before everything is there. */
export async function writeWhole(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = await open(temporary, "wx", 0o600);
  try {
    for await (const bytes of content) await file.write(bytes);
    await file.close();
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** @throws Error if it cannot be opened */
export async function readWhole(path: string): Promise<AsyncIterable<Uint8Array>> {
  const file = await open(path, "r");
  return file.createReadStream({ highWaterMark: READ_SIZE });
}

export function readInput(): AsyncIterable<Uint8Array> {
  return createReadStream("", { fd: 0, highWaterMark: READ_SIZE, autoClose: false });
}

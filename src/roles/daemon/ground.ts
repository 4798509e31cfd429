/**
 * The ground that an engine stands on: its two directories, held by this process alone. The locks are the kernel's:
 * a killed engine leaves none behind. A program that it was just starting holds its files until it is that program:
 * such a moment is waited for, and with it whatever the killed engine had begun.
 */
import { chmodSync, mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { EnginePaths } from "../../core/config.ts";
import { ConflictError } from "../../core/errors.ts";
import { tryLockFile } from "../../linux/file-lock.ts";
import { instanceOf } from "./settings.ts";

/** Far more than a program needs to begin. */
const PATIENCE_MS = 2000;

export interface Ground extends Disposable {
  /** With real paths: one directory by two names is one instance. */
  readonly paths: EnginePaths;
}

/** @throws ConflictError if another engine has one of the directories */
export async function takeGround(wanted: EnginePaths): Promise<Ground> {
  // Whatever the umask: nobody else may look in, and only root may use what is temporary.
  makeDirectory(wanted.dataRoot, 0o710);
  makeDirectory(wanted.execRoot, 0o700);
  const dataRoot = realpathSync(wanted.dataRoot);
  const execRoot = realpathSync(wanted.execRoot);
  makeDirectory(join(dataRoot, "tmp"), 0o700);

  using locks = new DisposableStack();
  locks.use(await lock(dataRoot, "data root"));
  locks.use(await lock(execRoot, "exec root"));
  const held = locks.move();
  return {
    paths: { dataRoot, execRoot, instance: instanceOf(dataRoot) },
    [Symbol.dispose]: () => held.dispose(),
  };
}

async function lock(directory: string, what: string): Promise<Disposable> {
  const deadline = performance.now() + PATIENCE_MS;
  do {
    const held = tryLockFile(join(directory, "lock"));
    if (held) return held;
    await sleep(20);
  } while (performance.now() < deadline);
  throw new ConflictError(`the ${what} ${directory} is in use by another running gantry daemon`, {
    subject: directory,
  });
}

function makeDirectory(path: string, mode: number): void {
  mkdirSync(path, { recursive: true });
  chmodSync(path, mode);
}

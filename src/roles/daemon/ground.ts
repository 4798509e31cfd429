/**
 * The ground that an engine stands on: its two directories, held by this process alone. The locks are the kernel's:
 * a killed engine leaves none behind.
 */
import { chmodSync, mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import type { EnginePaths } from "../../core/config.ts";
import { ConflictError } from "../../core/errors.ts";
import { tryLockFile } from "../../linux/file-lock.ts";
import { instanceOf } from "./settings.ts";

export interface Ground extends Disposable {
  /** With real paths: one directory by two names is one instance. */
  readonly paths: EnginePaths;
}

/** @throws ConflictError if another engine has one of the directories */
export function takeGround(wanted: EnginePaths): Ground {
  // Whatever the umask: nobody else may look in, and only root may use what is temporary.
  makeDirectory(wanted.dataRoot, 0o710);
  makeDirectory(wanted.execRoot, 0o700);
  const dataRoot = realpathSync(wanted.dataRoot);
  const execRoot = realpathSync(wanted.execRoot);
  makeDirectory(join(dataRoot, "tmp"), 0o700);

  using locks = new DisposableStack();
  locks.use(lock(dataRoot, "data root"));
  locks.use(lock(execRoot, "exec root"));
  const held = locks.move();
  return {
    paths: { dataRoot, execRoot, instance: instanceOf(dataRoot) },
    [Symbol.dispose]: () => held.dispose(),
  };
}

function lock(directory: string, what: string): Disposable {
  const held = tryLockFile(join(directory, "lock"));
  if (held) return held;
  throw new ConflictError(`the ${what} ${directory} is in use by another running gantry daemon`, {
    subject: directory,
  });
}

function makeDirectory(path: string, mode: number): void {
  mkdirSync(path, { recursive: true });
  chmodSync(path, mode);
}

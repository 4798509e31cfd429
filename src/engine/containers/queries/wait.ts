/** `docker wait`: until a container ends, ends the next time, or is gone. */
import { isRunning } from "../../../core/container.ts";
import type { Needs } from "../deps.ts";
import type { Ended, WaitCondition } from "../state/running.ts";

type WaitDeps = Needs<"running" | "store">;

/**
 * Begins to wait at once; settles with the exit code, or undefined once `signal` aborted.
 * @throws NotFoundError
 */
export function waitForContainer(
  deps: WaitDeps,
  reference: string,
  { condition, signal }: { condition: WaitCondition; signal: AbortSignal },
): Promise<Ended | undefined> {
  const container = deps.store.get(reference);
  if (condition === "removed") return deps.running.removal(container.id, signal);
  if (condition === "not-running" && !isRunning(container) && !container.starting) {
    const { exitCode, error } = container.state;
    return Promise.resolve({ exitCode, error });
  }
  const end = deps.running.unsettledEnd(container.id);
  if (condition === "not-running" && end) {
    return Promise.resolve({ exitCode: end.exit.exitCode, error: "" });
  }
  return deps.running.nextExit(container.id, signal);
}

/**
 * Taking a container's lock with a bound: whoever asks for something gets an answer, whatever the owner waits for.
 * A start may wait for a runtime that hangs; who wants the container's end calls it off.
 */
import { UnavailableError } from "../../../core/errors.ts";
import type { Needs } from "../deps.ts";

type OwnerDeps = Needs<"locks" | "running">;

/** Longer than a start takes on a busy host. Milliseconds. */
const PATIENCE = 5_000;
/** What undoing a start may take, and more. Milliseconds. */
const DEADLINE = 20_000;

/** For changes of a container. @throws UnavailableError when somebody else does not let go of it */
export function ownContainer(deps: OwnerDeps, id: string, signal?: AbortSignal): Promise<Disposable> {
  return acquireWithin(deps, id, PATIENCE + DEADLINE, signal);
}

/** For the container's end: a start that hangs is called off. @throws UnavailableError */
export async function ownContainerToEnd(deps: OwnerDeps, id: string): Promise<Disposable> {
  try {
    return await acquireWithin(deps, id, PATIENCE);
  } catch {
    deps.running.callOffStart(id);
    return await acquireWithin(deps, id, DEADLINE);
  }
}

async function acquireWithin(
  { locks }: OwnerDeps,
  id: string,
  milliseconds: number,
  signal?: AbortSignal,
): Promise<Disposable> {
  const late = new AbortController();
  const busy = new UnavailableError(
    `container ${id} is busy: another operation on it has not ended within ${milliseconds / 1000} seconds`,
    { subject: id },
  );
  const timer = setTimeout(() => late.abort(busy), milliseconds);
  try {
    return await locks.acquire(id, signal ? AbortSignal.any([late.signal, signal]) : late.signal);
  } finally {
    clearTimeout(timer);
  }
}

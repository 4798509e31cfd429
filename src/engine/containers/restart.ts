/** `docker restart`: stop and start again, during which neither `--rm` nor a restart policy has a say. */
import { NotModifiedError } from "../../core/errors.ts";
import type { ContainerDeps } from "./deps.ts";
import { publish } from "./events.ts";
import { startContainer } from "./start.ts";
import { type StopOptions, stopContainer } from "./stop.ts";

/** A container that does not run is started. @throws as `startContainer`; SystemError if it cannot be killed */
export async function restartContainer(
  deps: ContainerDeps,
  reference: string,
  options: StopOptions,
): Promise<void> {
  const { id } = deps.store.get(reference);
  using _held = deps.running.hold(id);
  await ignoringNotModified(stopContainer(deps, id, options));
  await ignoringNotModified(startContainer(deps, id, { signal: new AbortController().signal }));
  const restarted = deps.store.get(id);
  publish(deps.events, restarted, "restart");
}

/** Somebody else was faster: what was wanted is the case. */
async function ignoringNotModified(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof NotModifiedError)) throw error;
  }
}

/** `POST /containers/{id}/resize`. */
import type { TerminalSize } from "../../../core/runtime.ts";
import type { ContainerDeps } from "../deps.ts";
import { publish } from "../events.ts";
import { getRunning } from "../state/running.ts";

/** @throws ConflictError unless it runs */
export async function resizeContainer(
  deps: ContainerDeps,
  reference: string,
  size: TerminalSize,
): Promise<void> {
  const container = deps.store.get(reference);
  await getRunning(deps, container).task.resize(size);
  publish(deps.events, container, "resize", { height: String(size.height), width: String(size.width) });
}

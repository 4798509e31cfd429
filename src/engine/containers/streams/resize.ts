/** `POST /containers/{id}/resize`. */
import type { TerminalSize } from "../../../core/runtime.ts";
import type { Needs } from "../deps.ts";
import { publish } from "../events.ts";
import { getRunning } from "../state/running.ts";

type ResizeDeps = Needs<"events" | "running" | "store">;

/** @throws ConflictError unless it runs */
export async function resizeContainer(
  deps: ResizeDeps,
  reference: string,
  size: TerminalSize,
): Promise<void> {
  const container = deps.store.get(reference);
  await getRunning(deps, container).task.resize(size);
  publish(deps.events, container, "resize", { height: String(size.height), width: String(size.width) });
}

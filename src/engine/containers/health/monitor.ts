/**
 * Looks after the health of one running container: waits, probes, takes the result, until the container ends. A
 * paused container is left in peace. A change of the status is durable before it is told; results in between are in
 * memory alone, and written with the next change, so that a healthy container costs no write.
 */
import { log } from "../../../base/log.ts";
import { LONGEST_TIMER } from "../../../base/timers.ts";
import type { HealthResult } from "../../../core/container.ts";
import { messageOf } from "../../../core/errors.ts";
import type { Needs } from "../deps.ts";
import { publish } from "../events.ts";
import type { RunningContainer } from "../state/running.ts";
import { runProbe } from "./probe.ts";
import { type HealthRules, healthRulesOf, nextHealth, nextInterval, startingHealth } from "./state.ts";

type HealthDeps = Needs<"events" | "execs" | "running" | "store">;

/** Settles when the container has ended, at once if it has no check. Never rejects. */
export async function watchHealth(deps: HealthDeps, id: string, running: RunningContainer): Promise<void> {
  const container = deps.store.byId(id);
  const rules = container && healthRulesOf(container.config);
  if (!rules) return;
  const ran = (): number => performance.now() - running.startedAtMonotonic;
  while (await waits(intervalOf(deps, id, { rules, ran: ran() }), running)) {
    const current = deps.store.byId(id);
    if (current?.state.status !== "running") continue;
    const ranBefore = ran();
    const result = await runProbe(deps, current, rules);
    if (deps.running.get(id) !== running) return;
    take(deps, id, result, { rules, ran: ranBefore });
  }
}

function intervalOf(deps: Needs<"store">, id: string, at: { rules: HealthRules; ran: number }): number {
  const health = deps.store.byId(id)?.state.health;
  return health ? nextInterval(health, at) : at.rules.interval;
}

/** False as soon as the container has ended. */
async function waits(milliseconds: number, { task }: RunningContainer): Promise<boolean> {
  const { promise: elapsed, resolve } = Promise.withResolvers<true>();
  const timer = setTimeout(() => resolve(true), Math.min(milliseconds, LONGEST_TIMER));
  try {
    return await Promise.race([elapsed, task.exited.then(() => false)]);
  } finally {
    clearTimeout(timer);
  }
}

function take(
  deps: Needs<"events" | "store">,
  id: string,
  result: HealthResult,
  at: { rules: HealthRules; ran: number },
): void {
  const current = deps.store.byId(id);
  // Paused or removed meanwhile: the result says nothing of the container as it is now.
  if (current?.state.status !== "running") return;
  const before = current.state.health ?? startingHealth(current.config, undefined);
  if (!before) return;
  const health = nextHealth(before, result, at);
  const change = { state: { ...current.state, health } };
  if (health.status === before.status) {
    deps.store.note(id, change);
    return;
  }
  try {
    publish(
      deps.events,
      deps.store.update(id, () => change),
      `health_status: ${health.status}`,
    );
  } catch (error) {
    log("error", "a change of health could not be written down", { container: id, error: messageOf(error) });
  }
}

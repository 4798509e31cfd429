/** `docker stats`: what a container uses, each time with what it had used the time before. */
import type { ContainerRecord } from "../../../core/container.ts";
import type { Needs } from "../deps.ts";
import type { Sample, StatsSampler } from "./sampler.ts";

export interface ContainerStats {
  readonly container: ContainerRecord;
  /** Undefined while it does not run. */
  readonly now: Sample | undefined;
  /** Undefined the first time, and where only one was asked for. */
  readonly before: Sample | undefined;
}

export interface StatsOptions {
  readonly stream: boolean;
  /** At once, without anything to compare with. Not with `stream`. */
  readonly oneShot: boolean;
  readonly signal: AbortSignal;
}

type StatsDeps = Needs<"store">;

/** Ends with the container. @throws NotFoundError */
export function containerStats(
  deps: StatsDeps,
  sampler: StatsSampler,
  reference: string,
  options: StatsOptions,
): AsyncGenerator<ContainerStats, void, void> {
  const { id } = deps.store.get(reference);
  return statsOf(deps, sampler, id, options);
}

async function* statsOf(
  { store }: StatsDeps,
  sampler: StatsSampler,
  id: string,
  { stream, oneShot, signal }: StatsOptions,
): AsyncGenerator<ContainerStats, void, void> {
  const first = store.byId(id);
  if (!first) return;
  let before = sampler.sample(id);
  if (!stream && (oneShot || !before)) {
    yield { container: first, now: before, before: undefined };
    return;
  }
  // A stream tells at once what there is; what is asked for once wants something to compare with.
  if (stream) yield { container: first, now: before, before: undefined };
  for await (const now of sampler.watch(id, signal)) {
    const container = store.byId(id);
    if (!container) return;
    yield { container, now, before };
    if (!stream) return;
    before = now;
  }
}

/**
 * What a health check is and how its results add up to a status. Pure.
 * @see moby daemon/health.go for the rules and the defaults
 */
import type { ContainerConfig } from "../../../api/types.ts";
import type { ContainerHealth, HealthResult } from "../../../core/container.ts";

const NANOSECONDS = 1_000_000;
/** How many results are kept. */
const KEPT_RESULTS = 5;

/** Milliseconds, and how many failures in a row are too many. */
export interface HealthRules {
  readonly command: readonly string[];
  /** From the end of one probe to the start of the next, and before the first one. */
  readonly interval: number;
  readonly timeout: number;
  /** So long after the start failures do not count, until the first success. */
  readonly startPeriod: number;
  /** The interval in that time. */
  readonly startInterval: number;
  readonly retries: number;
}

/** Undefined for a container without a check: none, `NONE`, or a kind that nobody knows. */
export function healthRulesOf({ Healthcheck, Shell }: ContainerConfig): HealthRules | undefined {
  const [kind, ...words] = Healthcheck?.Test ?? [];
  const command = kind === "CMD" ? words : kind === "CMD-SHELL" ? [...shellOf(Shell), ...words] : [];
  if (!Healthcheck || command.length === 0) return undefined;
  const { Interval, Timeout, StartPeriod, StartInterval, Retries } = Healthcheck;
  return {
    command,
    interval: toMilliseconds(Interval, 30_000),
    timeout: toMilliseconds(Timeout, 30_000),
    startPeriod: toMilliseconds(StartPeriod, 0),
    startInterval: toMilliseconds(StartInterval, 5_000),
    retries: Retries && Retries > 0 ? Retries : 3,
  };
}

function shellOf(shell: readonly string[] | null | undefined): readonly string[] {
  return shell?.length ? shell : ["/bin/sh", "-c"];
}

function toMilliseconds(nanoseconds: number | undefined, initial: number): number {
  return nanoseconds ? nanoseconds / NANOSECONDS : initial;
}

/** At a start. Results of former runs are kept, as Docker keeps them. */
export function startingHealth(
  config: ContainerConfig,
  before: ContainerHealth | undefined,
): ContainerHealth | undefined {
  if (!healthRulesOf(config)) return undefined;
  return { status: "starting", failingStreak: 0, results: before?.results ?? [] };
}

/** Of a container that is not looked after any more, stopped or paused: `unhealthy`, as Docker says. */
export function unwatchedHealth(health: ContainerHealth | undefined): ContainerHealth | undefined {
  return health && { ...health, status: "unhealthy" };
}

/** @param ran milliseconds from the container's start to the probe's */
export function nextHealth(
  { status, failingStreak, results }: ContainerHealth,
  result: HealthResult,
  { rules, ran }: { rules: HealthRules; ran: number },
): ContainerHealth {
  const kept = [...results, result].slice(-KEPT_RESULTS);
  if (result.exitCode === 0) return { status: "healthy", failingStreak: 0, results: kept };
  const forgiven = status === "starting" && ran < rules.startPeriod;
  const streak = forgiven ? failingStreak : failingStreak + 1;
  const failed = !forgiven && streak >= rules.retries;
  return { status: failed ? "unhealthy" : status, failingStreak: streak, results: kept };
}

/** Milliseconds until the next probe. @param ran milliseconds since the container's start */
export function nextInterval(
  { status }: ContainerHealth,
  { rules, ran }: { rules: HealthRules; ran: number },
): number {
  if (status !== "starting" || ran >= rules.startPeriod) return rules.interval;
  // What is left of the start period may be less: the first probe whose failure counts is not put off.
  return Math.min(rules.startInterval, rules.startPeriod - ran);
}

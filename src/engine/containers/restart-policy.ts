/** Whether and when a container that ended is started again. Pure. @see moby restartmanager */
import type { HostConfig } from "../../api/types.ts";

const FIRST_BACKOFF = 100;
const LONGEST_BACKOFF = 60_000;
/** Having run that long makes the next failure the first one again. */
const STABLE = 10_000;

export interface ExitFacts {
  readonly exitCode: number;
  readonly manuallyStopped: boolean;
  /** Restarts by the policy since it was started by hand. */
  readonly restartCount: number;
  /** Milliseconds. */
  readonly ranFor: number;
  /** Milliseconds waited before this run; 0 if the policy had no part in it. */
  readonly lastBackoff: number;
}

/** Milliseconds to wait before the restart, or undefined to leave it stopped. */
export function restartDelay(
  policy: HostConfig["RestartPolicy"],
  { exitCode, manuallyStopped, restartCount, ranFor, lastBackoff }: ExitFacts,
): number | undefined {
  if (manuallyStopped) return undefined;
  const most = policy?.MaximumRetryCount ?? 0;
  const wanted =
    policy?.Name === "always" ||
    policy?.Name === "unless-stopped" ||
    (policy?.Name === "on-failure" && exitCode !== 0 && (most === 0 || restartCount < most));
  if (!wanted) return undefined;
  if (ranFor >= STABLE || lastBackoff === 0) return FIRST_BACKOFF;
  return Math.min(lastBackoff * 2, LONGEST_BACKOFF);
}

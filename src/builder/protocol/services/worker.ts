/** This host as a worker: there is one. */
import type { Platform } from "../../../core/content.ts";
import type { BuildkitVersion, WorkerRecord } from "../messages/control.ts";
import { toPlatformMessage } from "../ops.ts";
import type { Value } from "../wire/message.ts";

export type WorkerValue = Value<typeof WorkerRecord>;

export interface WorkerFacts {
  readonly id: string;
  readonly hostname: string;
  readonly platforms: readonly Platform[];
  /** Where `host-gateway` leads, if it leads anywhere. */
  readonly hostGateway: string | undefined;
}

/** The version of BuildKit whose protocol this is: clients choose by it what they ask for. */
export const PROTOCOL_VERSION: Value<typeof BuildkitVersion> = {
  package: "github.com/moby/buildkit",
  version: "v0.25.0",
  revision: "",
  dockerfileVersion: "1.19.0",
};

export function toWorkerMessage({ id, hostname, platforms, hostGateway }: WorkerFacts): WorkerValue {
  const labels = new Map([
    ["org.mobyproject.buildkit.worker.executor", "oci"],
    ["org.mobyproject.buildkit.worker.hostname", hostname],
    // No `…worker.snapshotter`: it would tell clients that a build can push, export OCI archives and caches, and make
    // images for several platforms at once. Without it they push afterwards, and say what cannot be done.
    ...(hostGateway === undefined
      ? []
      : [["org.mobyproject.buildkit.worker.moby.host-gateway-ip", hostGateway] as const]),
  ]);
  return {
    id,
    labels,
    platforms: platforms.map(toPlatformMessage),
    gcPolicy: [],
    buildkitVersion: PROTOCOL_VERSION,
  };
}

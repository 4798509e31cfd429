/** Who the engine says that it is: the headers of every reply, and `GET /version`. */
import { API_VERSION, MIN_API_VERSION } from "../api/route.ts";
import type { SystemVersion } from "../api/types.ts";

export interface Identity {
  /** The engine's own version. */
  readonly version: string;
  readonly gitCommit: string;
  /** RFC 3339. */
  readonly buildTime: string;
  readonly experimental: boolean;
  /** `2` makes clients prefer BuildKit; `1` is the classic builder. */
  readonly builderVersion: "1" | "2";
  readonly swarm: "inactive" | "pending" | "error" | "locked" | "active/worker" | "active/manager";
}

export interface HostFacts {
  /** As Go names it: `amd64`. */
  readonly arch: string;
  readonly kernelVersion: string;
  /** What the engine runs on, and the programs it uses: name → version. */
  readonly components: Readonly<Record<string, string>>;
}

/** The body of `GET /version`. */
export function toVersion(identity: Identity, host: HostFacts): SystemVersion {
  const { version, gitCommit, buildTime, experimental } = identity;
  const apiVersion = API_VERSION.join(".");
  const minApiVersion = MIN_API_VERSION.join(".");
  const runtime = `bun${host.components.bun ?? ""}`;
  return {
    Platform: { Name: "Gantry" },
    Components: [
      {
        Name: "Engine",
        Version: version,
        Details: {
          ApiVersion: apiVersion,
          Arch: host.arch,
          BuildTime: buildTime,
          Experimental: String(experimental),
          GitCommit: gitCommit,
          GoVersion: runtime,
          KernelVersion: host.kernelVersion,
          MinAPIVersion: minApiVersion,
          Os: "linux",
        },
      },
      ...Object.entries(host.components)
        .filter(([name]) => name !== "bun")
        .map(([Name, Version]) => ({ Name, Version, Details: {} })),
    ],
    Version: version,
    ApiVersion: apiVersion,
    MinAPIVersion: minApiVersion,
    GitCommit: gitCommit,
    // Clients print it as what the engine was built with.
    GoVersion: runtime,
    Os: "linux",
    Arch: host.arch,
    KernelVersion: host.kernelVersion,
    ...(experimental ? { Experimental: true } : {}),
    BuildTime: buildTime,
  };
}

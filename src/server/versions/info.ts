/** `GET /info` as an API version shows it. Pure. @see moby system_routes.go, getInfo */
import type { SystemInfo } from "../../api/types.ts";
import type { ApiLine } from "./create.ts";

type Commit = NonNullable<SystemInfo["RuncCommit"]>;

export function infoFor(api: ApiLine, info: SystemInfo): object {
  const {
    FirewallBackend,
    Containerd,
    SecurityOptions,
    RegistryConfig,
    DiscoveredDevices,
    Runtimes,
    ...rest
  } = info as SystemInfo & {
    readonly DiscoveredDevices?: unknown;
  };
  return {
    ...rest,
    SecurityOptions: api.atLeast([1, 25]) ? SecurityOptions : (SecurityOptions ?? []).map(nameOfOption),
    Runtimes: api.atLeast([1, 44]) ? Runtimes : withoutStatus(Runtimes ?? {}),
    RegistryConfig: api.atLeast([1, 47])
      ? RegistryConfig
      : {
          ...RegistryConfig,
          AllowNondistributableArtifactsCIDRs: null,
          AllowNondistributableArtifactsHostnames: null,
        },
    ...(api.atLeast([1, 46]) && Containerd && { Containerd }),
    ...(api.atLeast([1, 49])
      ? { FirewallBackend }
      : {
          ContainerdCommit: expected(info.ContainerdCommit),
          RuncCommit: expected(info.RuncCommit),
          InitCommit: expected(info.InitCommit),
        }),
    ...(api.atLeast([1, 50])
      ? DiscoveredDevices !== undefined && { DiscoveredDevices }
      : { BridgeNfIptables: false, BridgeNfIp6tables: false }),
  };
}

/** `name=seccomp,profile=builtin` → `seccomp`. */
function nameOfOption(option: string): string {
  return /(?:^|,)name=([^,]*)/.exec(option)?.[1] ?? option;
}

function withoutStatus(runtimes: NonNullable<SystemInfo["Runtimes"]>): object {
  return Object.fromEntries(
    Object.entries(runtimes).map(([name, { status: _status, ...runtime }]) => [name, runtime]),
  );
}

/** Which commit the daemon was built for: always the one it has. */
function expected(commit: Commit | undefined): object {
  return { ID: commit?.ID ?? "", Expected: commit?.ID ?? "" };
}

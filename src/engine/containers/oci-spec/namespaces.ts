/** Which namespaces a container has of its own, joins, or shares with the host; and the sysctls that go with them. */
import type { HostConfig } from "../../../api/types.ts";
import type { ContainerHost } from "../../../core/container-host.ts";
import { InvalidParameterError } from "../../../core/errors.ts";
import type { RuntimeLinux } from "../../../core/runtime-spec.ts";
import type { JoinedContainers } from "../state/joined.ts";

export interface NamespaceRequest {
  readonly hostConfig: HostConfig;
  readonly joined: JoinedContainers;
  /** The network sandbox's file. */
  readonly networkPath: string;
}

/** Those of its own, and paths of those that it joins. */
export function toNamespaces({
  hostConfig,
  joined,
  networkPath,
}: NamespaceRequest): RuntimeLinux["namespaces"] {
  const { NetworkMode, PidMode, IpcMode, UTSMode, CgroupnsMode } = hostConfig;
  return [
    { type: "mount" },
    ...(NetworkMode === "host" ? [] : [{ type: "network", path: networkPath } as const]),
    ...(UTSMode === "host" ? [] : [{ type: "uts" } as const]),
    ...namespaceOf("pid", PidMode, joined.pid),
    ...namespaceOf("ipc", IpcMode, joined.ipc),
    ...(CgroupnsMode === "private" ? [{ type: "cgroup" } as const] : []),
  ];
}

function namespaceOf(
  type: "pid" | "ipc",
  mode: string | undefined,
  joined: { readonly pid: number } | undefined,
): RuntimeLinux["namespaces"] {
  if (mode === "host") return [];
  return [joined ? { type, path: `/proc/${joined.pid}/ns/${type}` } : { type }];
}

/**
 * As asked for, and Docker's own: any user may ping and bind low ports in a network of the container's own.
 * @throws InvalidParameterError for a sysctl of a namespace that is the host's
 */
export function toSysctls(
  hostConfig: HostConfig,
  domainname: string,
  host: Pick<ContainerHost, "hasSysctl">,
): Record<string, string> {
  const asked = hostConfig.Sysctls ?? {};
  for (const name of Object.keys(asked)) {
    if (hostConfig.NetworkMode === "host" && name.startsWith("net.")) {
      throw new InvalidParameterError(`sysctl '${name}' not allowed in host network namespace`);
    }
    if (hostConfig.IpcMode === "host" && /^(kernel\.(msg|sem|shm)|fs\.mqueue\.)/.test(name)) {
      throw new InvalidParameterError(`sysctl '${name}' not allowed in host ipc namespace`);
    }
  }
  const own: Record<string, string> = {};
  if (!isSharedNetwork(hostConfig.NetworkMode ?? "")) {
    if (host.hasSysctl("net.ipv4.ip_unprivileged_port_start"))
      own["net.ipv4.ip_unprivileged_port_start"] = "0";
    if (host.hasSysctl("net.ipv4.ping_group_range")) own["net.ipv4.ping_group_range"] = "0 2147483647";
  }
  if (domainname !== "" && hostConfig.UTSMode !== "host") own["kernel.domainname"] = domainname;
  return { ...own, ...asked };
}

/** The host's or another container's: their sysctls are not this container's to set. */
function isSharedNetwork(mode: string): boolean {
  return mode === "host" || mode.startsWith("container:");
}

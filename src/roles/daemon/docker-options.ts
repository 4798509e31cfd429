/**
 * Options of dockerd that are no settings of this engine: known, so that a command line or a daemon.json that dockerd
 * takes is taken here. A value that asks for what is so anyway, or for what is off, is accepted without a word; one
 * that has no meaning here is accepted with a warning; one that asks for what cannot be done is an error, since whoever
 * wrote it relies on it. To build such an option: take its row away and put one into `options.ts`.
 * @see moby cmd/dockerd/config.go, config_unix.go; daemon/config/config.go
 */
import { InvalidParameterError } from "../../core/errors.ts";
import { NETWORK_DOCKER_OPTIONS } from "./docker-network-options.ts";
import { type DockerOption, OPTIONS } from "./options.ts";

const NO_CONTAINERD = "there is no containerd: images and containers are the engine's own";
const SWARM = "this engine has no swarm mode";

const rows: readonly DockerOption[] = [
  {
    flag: "allow-nondistributable-artifacts",
    key: "allow-nondistributable-artifacts",
    kind: "list",
    otherwise: "ignored",
    because: "dockerd ignores it as well",
  },
  {
    flag: "api-cors-header",
    key: "api-cors-header",
    kind: "string",
    otherwise: "refused",
    because: "CORS headers were removed from the API: use a reverse proxy",
  },
  {
    flag: "builder",
    key: "builder",
    kind: "map",
    otherwise: "ignored",
    because: "the build cache has no settings here",
  },
  { flag: "containerd", key: "containerd", kind: "string", otherwise: "ignored", because: NO_CONTAINERD },
  {
    flag: "containerd-namespace",
    key: "containerd-namespace",
    kind: "string",
    otherwise: "ignored",
    because: NO_CONTAINERD,
  },
  {
    flag: "containerd-plugins-namespace",
    key: "containerd-plugin-namespace",
    kind: "string",
    otherwise: "ignored",
    because: NO_CONTAINERD,
  },
  {
    flag: "cpu-rt-period",
    key: "cpu-rt-period",
    kind: "int",
    otherwise: "refused",
    because: "the cgroup above all containers gets no real-time limit",
  },
  {
    flag: "cpu-rt-runtime",
    key: "cpu-rt-runtime",
    kind: "int",
    otherwise: "refused",
    because: "the cgroup above all containers gets no real-time limit",
  },
  {
    flag: "cri-containerd",
    key: "cri-containerd",
    kind: "bool",
    otherwise: "refused",
    because: NO_CONTAINERD,
  },
  {
    flag: "deprecated-key-path",
    key: "deprecated-key-path",
    kind: "string",
    otherwise: "ignored",
    because: "dockerd ignores it as well",
  },
  {
    flag: "exec-opt",
    key: "exec-opts",
    kind: "list",
    granted: everyOf("native.cgroupdriver=cgroupfs"),
    otherwise: "refused",
    because: "cgroups are kept without systemd: native.cgroupdriver=cgroupfs is the only one",
  },
  {
    flag: "experimental",
    key: "experimental",
    kind: "bool",
    otherwise: "ignored",
    because: "no feature here is experimental",
  },
  {
    flag: "metrics-addr",
    key: "metrics-addr",
    kind: "string",
    otherwise: "refused",
    because: "there is no metrics endpoint",
  },
  {
    flag: "node-generic-resource",
    key: "node-generic-resources",
    kind: "list",
    otherwise: "ignored",
    because: SWARM,
  },
  {
    flag: "raw-logs",
    key: "raw-logs",
    kind: "bool",
    granted: () => true,
    otherwise: "ignored",
    because: "logs have full timestamps and no colours anyway",
  },
  {
    flag: "restart",
    short: "r",
    kind: "bool",
    granted: (value) => value === true,
    otherwise: "ignored",
    because: "use a restart policy",
  },
  {
    flag: "rootless",
    key: "rootless",
    kind: "bool",
    otherwise: "refused",
    because: "the engine runs as root only",
  },
  {
    flag: "selinux-enabled",
    key: "selinux-enabled",
    kind: "bool",
    otherwise: "refused",
    because: "SELinux labels are not supported",
  },
  {
    flag: "storage-opt",
    key: "storage-opts",
    kind: "list",
    granted: everyOf("overlay2.override_kernel_check=true", "overlay2.override_kernel_check=1"),
    otherwise: "refused",
    because: "the overlay2 storage driver of this engine has no options",
  },
  {
    flag: "swarm-default-advertise-addr",
    key: "swarm-default-advertise-addr",
    kind: "string",
    otherwise: "ignored",
    because: SWARM,
  },
  {
    flag: "swarm-raft-election-tick",
    key: "swarm-raft-election-tick",
    kind: "int",
    otherwise: "ignored",
    because: SWARM,
  },
  {
    flag: "swarm-raft-heartbeat-tick",
    key: "swarm-raft-heartbeat-tick",
    kind: "int",
    otherwise: "ignored",
    because: SWARM,
  },
  {
    flag: "userns-remap",
    key: "userns-remap",
    kind: "string",
    otherwise: "refused",
    because: "containers run in the host's user namespace",
  },
  ...NETWORK_DOCKER_OPTIONS,
];

const settings: ReadonlySet<string> = new Set(OPTIONS.map(({ flag }) => flag));

/** Those that are no settings (yet): an option that is built needs no row. */
export const DOCKER_OPTIONS: readonly DockerOption[] = rows.filter(({ flag }) => !settings.has(flag));

/**
 * @param given an option, from the command line or the file; undefined if it is not given
 * @returns warnings for what is ignored @throws InvalidParameterError naming option and value
 */
export function checkDockerOptions(given: (option: DockerOption) => unknown): string[] {
  const warnings: string[] = [];
  for (const option of DOCKER_OPTIONS) {
    const value = given(option);
    if (isGranted(option, value)) continue;
    const text = `${option.key ?? `--${option.flag}`}=${typeof value === "string" ? value : JSON.stringify(value)}`;
    if (option.otherwise === "refused") {
      throw new InvalidParameterError(`${text} is not supported: ${option.because}`, {
        subject: option.flag,
      });
    }
    warnings.push(`${text} has no effect: ${option.because}`);
  }
  return warnings;
}

function isGranted({ granted }: DockerOption, value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === 0) return true;
  if (typeof value === "object" && Object.keys(value).length === 0) return true;
  return granted ? granted(value) : value === false;
}

function everyOf(...known: readonly string[]): (value: unknown) => boolean {
  return (value) => Array.isArray(value) && value.every((item) => known.includes(String(item)));
}

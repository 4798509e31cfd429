/**
 * What is wrong with a create request, found before anything is made. Pure. The order and the words are dockerd's
 * (moby daemon/container.go, daemon_unix.go, runconfig/hostconfig_unix.go): scripts and SDK tests compare them.
 * Whether mounts, networks and images fit is checked by those who know them.
 */
import { isAbsolute } from "node:path/posix";
import type { ContainerConfig, HostConfig } from "../../../api/types.ts";
import { InvalidParameterError } from "../../../core/errors.ts";
import type { HostFacts } from "../deps.ts";
import { checkCapabilities } from "../oci-spec/capabilities.ts";
import { parseSecurityOptions } from "../oci-spec/security.ts";
import { parsePortRange, parsePortSpec } from "./ports.ts";
import { parseSignal } from "./signals.ts";

const MIB = 1024 * 1024;
const LEAST_MEMORY = 6 * MIB;
/** Docker's durations are nanoseconds. */
const MILLISECOND = 1_000_000;

/** @throws InvalidParameterError */
export function checkConfig(config: ContainerConfig): void {
  if (config.WorkingDir && !isAbsolute(config.WorkingDir)) {
    throw new InvalidParameterError(
      `the working directory '${config.WorkingDir}' is invalid, it needs to be an absolute path`,
    );
  }
  if (config.StopSignal) parseSignal(config.StopSignal);
  for (const entry of config.Env ?? []) {
    if (entry === "" || entry.startsWith("=")) {
      throw new InvalidParameterError(`invalid environment variable: ${entry}`);
    }
  }
  for (const [what, name] of [
    ["hostname", config.Hostname],
    ["domain name", config.Domainname],
  ] as const) {
    // It is written into the container's hosts file.
    if (name && /[\s\p{Cc}#]/u.test(name))
      throw new InvalidParameterError(`invalid ${what} format: ${JSON.stringify(name)}`);
  }
  for (const port of Object.keys(config.ExposedPorts ?? {})) parsePortSpec(port);
  checkHealthcheck(config.Healthcheck);
}

function checkHealthcheck(healthcheck: ContainerConfig["Healthcheck"]): void {
  if (!healthcheck) return;
  for (const field of ["Interval", "Timeout", "StartPeriod", "StartInterval"] as const) {
    const value = healthcheck[field];
    if (value && value < MILLISECOND) {
      throw new InvalidParameterError(`${field} in Healthcheck cannot be less than 1ms`);
    }
  }
  if ((healthcheck.Retries ?? 0) < 0) {
    throw new InvalidParameterError("Retries in Healthcheck cannot be negative");
  }
}

/** The settings of one container for this host. @returns warnings @throws InvalidParameterError */
export function checkHostConfig(
  hostConfig: HostConfig,
  options: { host: HostFacts; runtimes: ReadonlySet<string>; defaultRuntime: string },
): string[] {
  checkRestartPolicy(hostConfig.RestartPolicy);
  if (hostConfig.AutoRemove && isRestarting(hostConfig.RestartPolicy)) {
    throw new InvalidParameterError("can't create 'AutoRemove' container with restart policy");
  }
  for (const entry of hostConfig.ExtraHosts ?? []) checkExtraHost(entry);
  checkPortBindings(hostConfig.PortBindings);
  checkNamespaceModes(hostConfig);
  checkCapabilities(hostConfig);
  parseSecurityOptions(hostConfig.SecurityOpt ?? [], options.host);
  checkRuntime(hostConfig.Runtime, options);
  if ((hostConfig.ShmSize ?? 0) < 0) {
    throw new InvalidParameterError("SHM size can not be less than 0");
  }
  const oomScore = hostConfig.OomScoreAdj ?? 0;
  if (oomScore < -1000 || oomScore > 1000) {
    throw new InvalidParameterError(`Invalid value ${oomScore}, range for oom score adj is [-1000, 1000].`);
  }
  if (hostConfig.Isolation && hostConfig.Isolation !== "default") {
    throw new InvalidParameterError(`invalid isolation '${hostConfig.Isolation}' on linux`);
  }
  if (Object.keys(hostConfig.Annotations ?? {}).includes("")) {
    throw new InvalidParameterError(
      "invalid Annotations: the empty string is not permitted as an annotation key",
    );
  }
  if (Object.keys(hostConfig.StorageOpt ?? {}).length > 0) {
    throw new InvalidParameterError(
      "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
    );
  }
  const warnings = checkResources(hostConfig, options.host);
  if (hostConfig.NetworkMode === "host" && Object.keys(hostConfig.PortBindings ?? {}).length > 0) {
    warnings.push("Published ports are discarded when using host network mode");
  }
  return warnings;
}

function isRestarting(policy: HostConfig["RestartPolicy"]): boolean {
  return policy?.Name !== undefined && policy.Name !== "" && policy.Name !== "no";
}

/** @throws InvalidParameterError */
export function checkRestartPolicy(policy: HostConfig["RestartPolicy"]): void {
  const count = policy?.MaximumRetryCount ?? 0;
  switch (policy?.Name) {
    case undefined:
    case "":
    case "no":
    case "always":
    case "unless-stopped":
      if (count !== 0) {
        throw new InvalidParameterError(
          "invalid restart policy: maximum retry count can only be used with 'on-failure'" +
            (count < 0 ? " and cannot be negative" : ""),
        );
      }
      return;
    case "on-failure":
      if (count < 0) {
        throw new InvalidParameterError("invalid restart policy: maximum retry count cannot be negative");
      }
      return;
    default:
      throw new InvalidParameterError(
        `invalid restart policy: unknown policy '${String(policy?.Name)}'; use one of 'no', 'always', ` +
          "'on-failure', or 'unless-stopped'",
      );
  }
}

function checkExtraHost(entry: string): void {
  const [name = "", address] = splitOnce(entry);
  if (name === "" || address === undefined || address === "") {
    throw new InvalidParameterError(`bad format for add-host: "${entry}"`);
  }
  if (address === "host-gateway") return;
  const bare = /^\[(.*)\]$/.exec(address)?.[1] ?? address;
  if (!isIpAddress(bare)) {
    throw new InvalidParameterError(`invalid IP address in add-host: "${address}"`);
  }
}

function splitOnce(entry: string): [string, string?] {
  const at = entry.search(/[:=]/);
  return at < 0 ? [entry] : [entry.slice(0, at), entry.slice(at + 1)];
}

function isIpAddress(text: string): boolean {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return text.split(".").every((part) => Number(part) <= 255);
  return text.includes(":") && URL.canParse(`http://[${text}]/`);
}

function checkPortBindings(bindings: HostConfig["PortBindings"]): void {
  for (const [port, hostBindings] of Object.entries(bindings ?? {})) {
    parsePortSpec(port);
    for (const { HostPort } of hostBindings ?? []) if (HostPort) parsePortRange(HostPort);
  }
}

function checkNamespaceModes(hostConfig: HostConfig): void {
  const modes: [name: string, mode: string | undefined, plain: readonly string[], joins: boolean][] = [
    ["IPC", hostConfig.IpcMode, ["", "none", "private", "shareable", "host"], true],
    ["PID", hostConfig.PidMode, ["", "host"], true],
    ["UTS", hostConfig.UTSMode, ["", "host"], false],
    ["cgroup namespace", hostConfig.CgroupnsMode, ["", "private", "host"], false],
    ["userns", hostConfig.UsernsMode, ["", "host"], false],
  ];
  for (const [name, mode = "", plain, joins] of modes) {
    if (plain.includes(mode)) continue;
    if (joins && /^container:.+$/.test(mode)) continue;
    throw new InvalidParameterError(`invalid ${name} mode: ${mode}`);
  }
}

function checkRuntime(
  name: string | null | undefined,
  options: { runtimes: ReadonlySet<string>; defaultRuntime: string },
): void {
  if (!name || name === options.defaultRuntime || options.runtimes.has(name)) return;
  throw new InvalidParameterError(`unknown or invalid runtime name: ${name}`);
}

/** What excludes each other between the two halves of the request. @throws InvalidParameterError */
export function checkConflicts(config: ContainerConfig, hostConfig: HostConfig): void {
  const mode = hostConfig.NetworkMode ?? "";
  const conflict = (what: string) => new InvalidParameterError(`conflicting options: ${what}`);
  if (hostConfig.UTSMode === "host" && config.Hostname) throw conflict("hostname and the UTS mode");
  if (mode === "host" && hostConfig.Links?.length) {
    throw conflict("host type networking can't be used with links. This would result in undefined behavior");
  }
  if (mode !== "container" && !mode.startsWith("container:")) return;
  if (!/^container:.+/.test(mode)) {
    throw new InvalidParameterError("invalid network mode: invalid container format container:<name|id>");
  }
  if (config.Hostname) throw conflict("hostname and the network mode");
  if (hostConfig.Links?.length) {
    throw conflict(
      "container type network can't be used with links. This would result in undefined behavior",
    );
  }
  if (hostConfig.Dns?.length) throw conflict("dns and the network mode");
  if (hostConfig.ExtraHosts?.length) throw conflict("custom host-to-IP mapping and the network mode");
  if (Object.keys(hostConfig.PortBindings ?? {}).length > 0 || hostConfig.PublishAllPorts) {
    throw conflict("port publishing and the container type network mode");
  }
  if (Object.keys(config.ExposedPorts ?? {}).length > 0) {
    throw conflict("port exposing and the container type network mode");
  }
}

/** Also for `update`, where memory that is not given keeps its value. @returns warnings @throws InvalidParameterError */
export function checkResources(
  resources: HostConfig,
  host: HostFacts,
  options = { update: false },
): string[] {
  const warnings: string[] = [];
  const refuse = (message: string): never => {
    throw new InvalidParameterError(message);
  };
  const memory = resources.Memory ?? 0;
  const swap = resources.MemorySwap ?? 0;
  const reservation = resources.MemoryReservation ?? 0;
  if (memory !== 0 && memory < LEAST_MEMORY) refuse("Minimum memory limit allowed is 6MB");
  if (memory > 0 && swap !== -1 && !host.swapLimit) {
    warnings.push(
      "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
    );
  }
  if (memory > 0 && swap > 0 && swap < memory) {
    refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
  }
  if (memory === 0 && swap > 0 && !options.update) {
    refuse("You should always set the Memory limit when using Memoryswap limit, see usage");
  }
  const swappiness = resources.MemorySwappiness;
  if (swappiness !== undefined && swappiness !== null && swappiness !== -1) {
    if (swappiness < 0 || swappiness > 100) {
      refuse(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
    }
    if (host.cgroupVersion === 2) {
      warnings.push(
        "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
      );
    }
  }
  if (reservation > 0 && reservation < LEAST_MEMORY) refuse("Minimum memory reservation allowed is 6MB");
  if (memory > 0 && reservation > 0 && memory < reservation) {
    refuse("Minimum memory limit can not be less than memory reservation limit, see usage");
  }
  if (resources.OomKillDisable) {
    if (host.cgroupVersion === 2) {
      warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
    } else if (memory === 0) {
      warnings.push(
        "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
      );
    }
  }
  checkCpu(resources, host, refuse);
  const weight = resources.BlkioWeight ?? 0;
  if (weight > 0 && !host.blockIoWeight) {
    warnings.push(
      "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    );
  } else if (weight > 0 && (weight < 10 || weight > 1000)) {
    refuse("Range of blkio weight is from 10 to 1000");
  }
  if (resources.BlkioWeightDevice?.length && !host.blockIoWeight) {
    warnings.push(
      "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
    );
  }
  if (resources.IOMaximumBandwidth || resources.IOMaximumIOps) {
    refuse("Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps");
  }
  if ((resources.KernelMemoryTCP ?? 0) > 0) {
    warnings.push("Kernel memory TCP limits are deprecated by the kernel. Limitation discarded.");
  }
  if ((resources.CpuPercent ?? 0) > 0) {
    warnings.push("linux does not support CPU percent. Percent discarded.");
  }
  return warnings;
}

function checkCpu(resources: HostConfig, host: HostFacts, refuse: (message: string) => never): void {
  const nano = resources.NanoCpus ?? 0;
  const period = resources.CpuPeriod ?? 0;
  const quota = resources.CpuQuota ?? 0;
  if (nano > 0 && period > 0) {
    refuse("Conflicting options: Nano CPUs and CPU Period cannot both be set");
  }
  if (nano > 0 && quota > 0) refuse("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  if (nano < 0 || nano > host.cpus * 1e9) {
    refuse(`Range of CPUs is from 0.01 to ${host.cpus}.00, as there are only ${host.cpus} CPUs available`);
  }
  if (period !== 0 && (period < 1000 || period > 1_000_000)) {
    refuse("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  }
  if (quota > 0 && quota < 1000) refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)");
  checkRealtime(resources, host, refuse);
  const shares = resources.CpuShares ?? 0;
  if (shares < 0) refuse(`invalid CPU shares (${shares}): value must be a positive integer`);
  checkCpuset(resources.CpusetCpus, { what: "CPUs", field: "cpus", available: `0-${host.cpus - 1}` }, refuse);
  checkCpuset(
    resources.CpusetMems,
    { what: "memory nodes", field: "mems", available: host.memoryNodes },
    refuse,
  );
}

function checkRealtime(
  { CpuRealtimePeriod, CpuRealtimeRuntime }: HostConfig,
  host: HostFacts,
  refuse: (message: string) => never,
): void {
  if (!CpuRealtimePeriod && !CpuRealtimeRuntime) return;
  if (!host.cpuRealtime) refuse("kernel does not support CPU real-time scheduler");
  if (CpuRealtimePeriod && CpuRealtimeRuntime && CpuRealtimeRuntime > CpuRealtimePeriod) {
    refuse("cpu real-time runtime cannot be higher than cpu real-time period");
  }
}

/** @param options.available as the kernel writes it: `0-3,8` */
function checkCpuset(
  text: string | undefined,
  { what, field, available }: { what: string; field: string; available: string },
  refuse: (message: string) => never,
): void {
  if (!text) return;
  const requested = toRanges(text);
  if (!requested) refuse(`Invalid value ${text} for cpuset ${field}`);
  const there = toRanges(available) ?? [];
  const isThere = ([first, last]: Range) => there.some(([least, most]) => least <= first && last <= most);
  if (!requested.every(isThere)) {
    refuse(`Requested ${what} are not available - requested ${text}, available: ${available}`);
  }
}

type Range = readonly [first: number, last: number];

/** Undefined for what is no list of numbers and ranges. */
function toRanges(text: string): Range[] | undefined {
  const ranges = text.split(",").map((part) => {
    const match = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part);
    return [Number(match?.[1]), Number(match?.[2] ?? match?.[1])] as const;
  });
  return ranges.every(([first, last]) => first <= last) ? ranges : undefined;
}

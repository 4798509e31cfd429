/**
 * From flags to the body of a create request: what `docker run` would send. Reads the files that flags name
 * (environments, labels, a seccomp profile) and nothing else.
 */
import { readFileSync } from "node:fs";
import { normalize } from "node:path";
import type { ContainerConfig, EndpointSettings, HostConfig } from "../../api/types.ts";
import { codeOf, hasCode } from "../../base/error-codes.ts";
import { compactJson } from "../actions/inspect.ts";
import { cut } from "../flags/flags.ts";
import { goQuote } from "../values/go-text.ts";
import { isImageId } from "../values/reference.ts";
import { checkMac } from "./checks.ts";
import type { ContainerFlagValues } from "./container-flags.ts";
import { readKeyValueFile, resolveEnvironment, toMap } from "./key-values.ts";
import { parseVolumes } from "./mounts.ts";
import { toEndpoints } from "./networks.ts";
import { parseExpose, parsePublish } from "./ports.ts";

export interface CreateBody extends ContainerConfig {
  HostConfig: HostConfig;
  NetworkingConfig: { EndpointsConfig: Record<string, EndpointSettings> };
}

export interface ContainerRequest {
  readonly flags: ContainerFlagValues;
  /** Whether a flag was given. */
  changed(name: keyof ContainerFlagValues & string): boolean;
  readonly image: string;
  readonly command: readonly string[];
  /** The caller's own environment, for `--env NAME`. */
  lookup(name: string): string | undefined;
}

/** @throws Error in Docker's words for what the flags contradict */
export function toCreateBody(request: ContainerRequest): CreateBody {
  const { flags } = request;
  refuseUnsupported(request);
  if (flags["mac-address"] !== "") checkMac(flags["mac-address"]);
  const endpoints = toEndpoints(flags.network, {
    aliases: flags["network-alias"],
    links: flags.link,
    linkLocalIps: flags["link-local-ip"],
    ipv4: flags.ip,
    ipv6: flags.ip6,
    mac: flags["mac-address"],
  });
  const config = toConfig(request);
  const hostConfig = toHostConfig(request);
  if (flags.rm && hostConfig.RestartPolicy?.Name && hostConfig.RestartPolicy.Name !== "no") {
    throw new Error("conflicting options: cannot specify both --restart and --rm");
  }
  return { ...config, HostConfig: hostConfig, NetworkingConfig: { EndpointsConfig: endpoints } };
}

function refuseUnsupported({ flags, image }: ContainerRequest): void {
  const verified = image.includes("@") || isImageId(image);
  if (!flags["disable-content-trust"] && !verified)
    throw new Error('"--disable-content-trust=false" is not supported');
  if (flags["use-api-socket"])
    throw new Error('"--use-api-socket" is not supported: mount the socket with --volume');
}

function toConfig({ flags, changed, image, command, lookup }: ContainerRequest): ContainerConfig {
  const attachAll = flags.attach.length === 0;
  const attachStdin = flags.attach.includes("stdin") || flags.interactive;
  const environment = [
    ...flags["env-file"].flatMap((path) => readKeyValueFile(path, lookup)),
    ...resolveEnvironment(flags.env, lookup),
  ];
  const labels = [...flags["label-file"].flatMap((path) => readKeyValueFile(path)), ...flags.label];
  const { exposed } = parsePublish(flags.publish);
  for (const spec of flags.expose) for (const port of parseExpose(spec)) exposed[port] ??= {};
  const { volumes } = parseVolumes(flags.volume);
  const healthcheck = toHealthcheck(flags);
  return {
    Hostname: flags.hostname,
    Domainname: flags.domainname,
    User: flags.user,
    AttachStdin: attachStdin,
    AttachStdout: attachAll || flags.attach.includes("stdout"),
    AttachStderr: attachAll || flags.attach.includes("stderr"),
    ExposedPorts: exposed,
    Tty: flags.tty,
    OpenStdin: flags.interactive,
    StdinOnce: flags.interactive && attachStdin,
    Env: environment,
    ...(command.length > 0 && { Cmd: [...command] }),
    ...(healthcheck && { Healthcheck: healthcheck }),
    Image: image,
    Volumes: volumes,
    WorkingDir: flags.workdir,
    // An empty --entrypoint resets the image's.
    ...((flags.entrypoint !== "" || changed("entrypoint")) && { Entrypoint: [flags.entrypoint] }),
    Labels: toMap(labels),
    ...(flags["stop-signal"] !== "" && { StopSignal: flags["stop-signal"] }),
    ...(changed("stop-timeout") && { StopTimeout: flags["stop-timeout"] }),
  };
}

function toHealthcheck(flags: ContainerFlagValues): ContainerConfig["Healthcheck"] {
  const names = ["interval", "timeout", "retries", "start-period", "start-interval"] as const;
  const given = flags["health-cmd"] !== "" || names.some((name) => flags[`health-${name}`] !== 0);
  if (flags["no-healthcheck"]) {
    if (given) throw new Error("--no-healthcheck conflicts with --health-* options");
    return { Test: ["NONE"] };
  }
  if (!given) return undefined;
  for (const name of names) {
    if (flags[`health-${name}`] < 0) throw new Error(`--health-${name} cannot be negative`);
  }
  return {
    ...(flags["health-cmd"] !== "" && { Test: ["CMD-SHELL", flags["health-cmd"]] }),
    ...(flags["health-interval"] && { Interval: flags["health-interval"] }),
    ...(flags["health-timeout"] && { Timeout: flags["health-timeout"] }),
    ...(flags["health-retries"] && { Retries: flags["health-retries"] }),
    ...(flags["health-start-period"] && { StartPeriod: flags["health-start-period"] }),
    ...(flags["health-start-interval"] && { StartInterval: flags["health-start-interval"] }),
  };
}

function toHostConfig({ flags, changed }: ContainerRequest): HostConfig {
  const swappiness = flags["memory-swappiness"];
  if (swappiness !== -1 && (swappiness < 0 || swappiness > 100)) {
    throw new Error(`invalid value: ${swappiness}. Valid memory swappiness range is 0-100`);
  }
  const { binds } = parseVolumes(flags.volume);
  const { bindings } = parsePublish(flags.publish);
  const { devices, requests } = toDevices(flags.device);
  const security = toSecurity(flags["security-opt"]);
  checkModes(flags);
  return {
    Binds: binds,
    ContainerIDFile: flags.cidfile,
    LogConfig: { Type: flags["log-driver"] as "json-file", Config: toLogOptions(flags) },
    NetworkMode: flags.network[0]?.target ?? "default",
    PortBindings: bindings,
    RestartPolicy: parseRestartPolicy(flags.restart),
    AutoRemove: flags.rm,
    VolumeDriver: flags["volume-driver"],
    VolumesFrom: [...flags["volumes-from"]],
    CapAdd: toCapabilities(flags["cap-add"]),
    CapDrop: toCapabilities(flags["cap-drop"]),
    CgroupnsMode: flags.cgroupns as "host",
    Dns: [...flags.dns],
    DnsOptions: [...flags["dns-option"]],
    DnsSearch: [...flags["dns-search"]],
    ExtraHosts: [...flags["add-host"]],
    GroupAdd: [...flags["group-add"]],
    IpcMode: flags.ipc,
    Links: [...flags.link],
    OomScoreAdj: flags["oom-score-adj"],
    PidMode: flags.pid,
    Privileged: flags.privileged,
    PublishAllPorts: flags["publish-all"],
    ReadonlyRootfs: flags["read-only"],
    SecurityOpt: security.options,
    ...(security.unmasked && { MaskedPaths: [], ReadonlyPaths: [] }),
    ...(flags["storage-opt"].length > 0 && { StorageOpt: toStorageOptions(flags["storage-opt"]) }),
    Tmpfs: Object.fromEntries(
      flags.tmpfs.map((spec) => {
        const [path, options = ""] = cut(spec, ":");
        return [path, options];
      }),
    ),
    UTSMode: flags.uts,
    UsernsMode: flags.userns,
    ShmSize: flags["shm-size"],
    Sysctls: { ...flags.sysctl },
    Runtime: flags.runtime,
    Isolation: flags.isolation as "default",
    Mounts: [...flags.mount],
    ...(Object.keys(flags.annotation).length > 0 && { Annotations: { ...flags.annotation } }),
    ...(changed("init") && { Init: flags.init }),
    ...toResources(flags),
    Devices: devices,
    DeviceRequests: [...flags.gpus, ...requests],
  };
}

/** Sorted, each once, under full names: `NET_ADMIN` is CAP_NET_ADMIN. */
function toCapabilities(names: readonly string[]): string[] {
  const full = names.map((name) => {
    const upper = name.trim().toUpperCase();
    return upper === "ALL" || upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  });
  return [...new Set(full)].sort();
}

function toResources(flags: ContainerFlagValues): HostConfig {
  return {
    CpuShares: flags["cpu-shares"],
    Memory: flags.memory,
    NanoCpus: flags.cpus,
    CgroupParent: flags["cgroup-parent"],
    BlkioWeight: flags["blkio-weight"],
    BlkioWeightDevice: [...flags["blkio-weight-device"]],
    BlkioDeviceReadBps: [...flags["device-read-bps"]],
    BlkioDeviceWriteBps: [...flags["device-write-bps"]],
    BlkioDeviceReadIOps: [...flags["device-read-iops"]],
    BlkioDeviceWriteIOps: [...flags["device-write-iops"]],
    CpuPeriod: flags["cpu-period"],
    CpuQuota: flags["cpu-quota"],
    CpuRealtimePeriod: flags["cpu-rt-period"],
    CpuRealtimeRuntime: flags["cpu-rt-runtime"],
    CpusetCpus: flags["cpuset-cpus"],
    CpusetMems: flags["cpuset-mems"],
    DeviceCgroupRules: [...flags["device-cgroup-rule"]],
    MemoryReservation: flags["memory-reservation"],
    MemorySwap: flags["memory-swap"],
    MemorySwappiness: flags["memory-swappiness"],
    OomKillDisable: flags["oom-kill-disable"],
    PidsLimit: flags["pids-limit"],
    Ulimits: [...flags.ulimit].sort((a, b) => (a.Name < b.Name ? -1 : 1)),
    ...(flags["kernel-memory"] !== 0 && { KernelMemory: flags["kernel-memory"] }),
  };
}

function checkModes({ pid, uts, userns, cgroupns }: ContainerFlagValues): void {
  const isContainer = /^container:.+/.test(pid);
  if (pid !== "" && pid !== "host" && !isContainer) throw new Error("--pid: invalid PID mode");
  if (uts !== "" && uts !== "host") throw new Error("--uts: invalid UTS mode");
  if (userns !== "" && userns !== "host") throw new Error("--userns: invalid USER mode");
  if (cgroupns !== "" && cgroupns !== "host" && cgroupns !== "private") {
    throw new Error("--cgroupns: invalid CGROUP mode");
  }
}

/** `on-failure:3`. @throws Error with Docker's words */
export function parseRestartPolicy(text: string): NonNullable<HostConfig["RestartPolicy"]> {
  if (text === "") return { Name: "" };
  const [name, count] = cut(text, ":");
  if (count !== undefined && name === "") {
    throw new Error("invalid restart policy format: no policy provided before colon");
  }
  if (count && !/^[+-]?\d+$/.test(count)) {
    throw new Error("invalid restart policy format: maximum retry count must be an integer");
  }
  return { Name: name as "no", MaximumRetryCount: count ? Number(count) : 0 };
}

function toLogOptions(flags: ContainerFlagValues): Record<string, string> {
  if (flags["log-driver"] === "none" && flags["log-opt"].length > 0) {
    throw new Error("invalid logging opts for driver none");
  }
  return toMap(flags["log-opt"]);
}

function toStorageOptions(options: readonly string[]): Record<string, string> {
  if (options.some((option) => !option.includes("="))) throw new Error("invalid storage option");
  return toMap(options);
}

interface DeviceMapping {
  readonly PathOnHost: string;
  readonly PathInContainer: string;
  readonly CgroupPermissions: string;
}

/** Host devices by path, and CDI devices by their qualified names. */
function toDevices(specs: readonly string[]): {
  devices: DeviceMapping[];
  requests: { Driver: string; DeviceIDs: string[] }[];
} {
  const qualified = specs.filter(isCdiName);
  return {
    devices: specs.filter((spec) => !isCdiName(spec)).map(parseDevice),
    requests: qualified.length > 0 ? [{ Driver: "cdi", DeviceIDs: qualified }] : [],
  };
}

function isCdiName(spec: string): boolean {
  return /^[A-Za-z][\w.-]*\/[A-Za-z][\w-]*=[A-Za-z0-9][\w.:-]*$/.test(spec);
}

function parseDevice(spec: string): DeviceMapping {
  const parts = spec.split(":");
  const [source = "", second, third] = parts;
  if (parts.length > 3 || source === "") throw new Error(`bad format for path: ${spec}`);
  if (third !== undefined && !isDeviceMode(third)) throw new Error(`bad mode specified: ${third}`);
  const secondIsMode = third === undefined && second !== undefined && isDeviceMode(second);
  const target = second === undefined || secondIsMode ? source : second;
  if (!target.startsWith("/")) throw new Error(`${target} is not an absolute path`);
  const clean = third === undefined ? normalize(target) : target;
  return {
    PathOnHost: second === undefined || secondIsMode ? normalize(source) : source,
    PathInContainer: clean,
    CgroupPermissions: third ?? (secondIsMode ? second : undefined) ?? "rwm",
  };
}

function isDeviceMode(text: string): boolean {
  return /^[rwm]{1,3}$/.test(text) && new Set(text).size === text.length;
}

/** `seccomp=FILE` becomes the profile itself; `systempaths=unconfined` is this side's. */
function toSecurity(options: readonly string[]): { options: string[]; unmasked: boolean } {
  const sent: string[] = [];
  let unmasked = false;
  for (const option of options) {
    let [key, value] = cut(option, "=");
    if (value === undefined && key !== "no-new-privileges") [key, value] = cut(option, ":");
    if (!value && key !== "no-new-privileges") throw new Error(`Invalid --security-opt: ${goQuote(option)}`);
    if (option === "systempaths=unconfined") unmasked = true;
    else if (key === "seccomp" && value !== "unconfined" && value !== "builtin") {
      sent.push(`seccomp=${readProfile(value ?? "")}`);
    } else sent.push(option);
  }
  return { options: sent, unmasked };
}

function readProfile(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const missing = hasCode(cause, "ENOENT");
    const reason = missing ? "no such file or directory" : String(codeOf(cause));
    throw new Error(`opening seccomp profile (${path}) failed: open ${path}: ${reason}`, { cause });
  }
  try {
    JSON.parse(text);
    // Compacted as text: numbers of 64 bits would be rounded.
    return compactJson(text);
  } catch (cause) {
    throw new Error(`compacting json for seccomp profile (${path}) failed: ${(cause as Error).message}`, {
      cause,
    });
  }
}

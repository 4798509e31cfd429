/**
 * From a container's record and what was made for this start to the OCI runtime specification. Pure: everything that
 * had to be looked up is in the input.
 */

import { posix } from "node:path";
import type { ContainerRecord } from "../../../core/container.ts";
import type { ContainerHost, SeccompProfile } from "../../../core/container-host.ts";
import { InvalidParameterError } from "../../../core/errors.ts";
import type { RuntimeMount, RuntimeProcess, RuntimeSpec } from "../../../core/runtime-spec.ts";
import type { JoinedContainers } from "../state/joined.ts";
import { chooseCapabilities, toProcessCapabilities } from "./capabilities.ts";
import { toDevices } from "./devices.ts";
import { toEnvironment } from "./environment.ts";
import { INIT_PATH, MASKED_PATHS, READONLY_PATHS, toMounts } from "./filesystems.ts";
import { toNamespaces, toSysctls } from "./namespaces.ts";
import { toBlockIo, toResources, toRlimits } from "./resources.ts";
import { defaultSeccompFilter, type SeccompFilter, toSeccompFilter } from "./seccomp.ts";
import { parseSecurityOptions, type SecurityOptions } from "./security.ts";
import type { ResolvedUser } from "./user.ts";

export interface SpecSources {
  readonly container: ContainerRecord;
  readonly host: ContainerHost;
  /** The mounted root. */
  readonly rootfs: string;
  readonly networkPath: string;
  readonly linkEnvironment: readonly string[];
  /** The user's mounts, ready. */
  readonly mounts: readonly RuntimeMount[];
  readonly rootfsPropagation: string | undefined;
  readonly files: { readonly hostname?: string; readonly hosts?: string; readonly resolvConf?: string };
  readonly joined: JoinedContainers;
  /** Host path of a shared /dev/shm. */
  readonly sharedMemory: string | undefined;
  readonly user: ResolvedUser;
  /** The group of all of this engine's containers, for those without `--cgroup-parent`. */
  readonly cgroupParent: string;
  /** The daemon's, for what the container leaves open. */
  readonly defaults?: {
    readonly cgroupParent?: string | undefined;
    readonly noNewPrivileges?: boolean;
    readonly seccompProfile?: SeccompProfile | "unconfined" | undefined;
  };
  readonly defaultUlimits: readonly { readonly Name: string; readonly Soft: number; readonly Hard: number }[];
  /** `--init` where the container leaves it open. */
  readonly initByDefault: boolean;
}

/** @throws InvalidParameterError, NotFoundError, NotImplementedError for what this host cannot give */
export function toRuntimeSpec(sources: SpecSources): RuntimeSpec {
  const { container, host, rootfs, user, joined } = sources;
  const { config, hostConfig } = container;
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? [], host);
  const defaults = sources.defaults ?? {};
  const capabilities = chooseCapabilities(hostConfig, host.capabilities);
  const devices = toDevices(hostConfig, host);
  const initPath = initOf(sources);
  const open = (hostConfig.Privileged ?? false) || security.systemPathsUnconfined;
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: config.Tty ?? false,
      consoleSize: consoleSize(hostConfig.ConsoleSize),
      user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
      args: [...(initPath === undefined ? [] : [INIT_PATH, "--"]), container.path, ...container.args],
      env: toEnvironment({
        hostname: config.Hostname ?? "",
        tty: config.Tty ?? false,
        linked: sources.linkEnvironment,
        env: config.Env ?? [],
        home: user.home,
      }),
      cwd: config.WorkingDir || "/",
      capabilities: toProcessCapabilities(capabilities, user.uid),
      rlimits: toRlimits(hostConfig.Ulimits ?? [], sources.defaultUlimits, host),
      noNewPrivileges: security.noNewPrivileges ?? defaults.noNewPrivileges ?? false,
      apparmorProfile: security.apparmor,
      oomScoreAdj: hostConfig.OomScoreAdj || undefined,
    },
    root: { path: rootfs, readonly: hostConfig.ReadonlyRootfs ?? false },
    hostname: hostConfig.UTSMode === "host" ? undefined : config.Hostname,
    mounts: toMounts({
      hostConfig,
      userMounts: sources.mounts,
      files: sources.files,
      initPath,
      sharedMemory: hostConfig.IpcMode === "host" ? "/dev/shm" : sources.sharedMemory,
      writableCgroups: security.writableCgroups,
    }),
    annotations: hostConfig.Annotations,
    linux: {
      sysctl: toSysctls(hostConfig, config.Domainname ?? "", host),
      resources: {
        ...toResources(hostConfig, host.cgroupVersion),
        blockIO: toBlockIo(hostConfig, host),
        devices: devices.rules,
      },
      cgroupsPath: `${cgroupParent(hostConfig.CgroupParent || defaults.cgroupParent, sources.cgroupParent)}/${container.id}`,
      namespaces: toNamespaces({ hostConfig, joined, networkPath: sources.networkPath }),
      devices: devices.nodes,
      seccomp: seccompOf(security, hostConfig.Privileged ?? false, {
        capabilities,
        host,
        profile: defaults.seccompProfile,
      }),
      rootfsPropagation: sources.rootfsPropagation,
      maskedPaths: hostConfig.MaskedPaths ?? (open ? [] : [...MASKED_PATHS, ...host.thermalThrottlePaths]),
      readonlyPaths: hostConfig.ReadonlyPaths ?? (open ? [] : READONLY_PATHS),
    },
  };
}

/** What a request says of a process that is added to a running container. */
export interface AddedProcess {
  readonly cmd: readonly string[];
  readonly env: readonly string[];
  /** `user[:group]`; empty is the container's. */
  readonly user: string;
  readonly workingDir: string;
  readonly privileged: boolean;
  readonly tty: boolean;
}

export interface ExecSources {
  readonly container: ContainerRecord;
  readonly host: ContainerHost;
  readonly exec: Omit<AddedProcess, "user">;
  readonly user: ResolvedUser;
  readonly size: { readonly height: number; readonly width: number } | undefined;
  readonly linkEnvironment: readonly string[];
  readonly defaultUlimits: SpecSources["defaultUlimits"];
  /** The daemon's, for what the container leaves open. */
  readonly noNewPrivileges?: boolean;
}

/** One more process in a container: never more than the container has, unless asked for by `--privileged` (S24). */
export function toExecProcess({
  container,
  host,
  exec,
  user,
  size,
  linkEnvironment,
  defaultUlimits,
  noNewPrivileges = false,
}: ExecSources): RuntimeProcess {
  const { config, hostConfig } = container;
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? [], host);
  const capabilities = chooseCapabilities(
    exec.privileged ? { ...hostConfig, Privileged: true } : hostConfig,
    host.capabilities,
  );
  return {
    terminal: exec.tty,
    consoleSize: size && size.height > 0 && size.width > 0 ? size : undefined,
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    args: exec.cmd,
    env: toEnvironment({
      hostname: config.Hostname ?? "",
      tty: exec.tty,
      linked: linkEnvironment,
      env: [...(config.Env ?? []), ...exec.env],
      home: user.home,
    }),
    cwd: exec.workingDir || config.WorkingDir || "/",
    capabilities: toProcessCapabilities(capabilities, user.uid),
    rlimits: toRlimits(hostConfig.Ulimits ?? [], defaultUlimits, host),
    noNewPrivileges: security.noNewPrivileges ?? noNewPrivileges,
    apparmorProfile: exec.privileged ? undefined : security.apparmor,
    oomScoreAdj: hostConfig.OomScoreAdj || undefined,
  };
}

/** A container whose init is not its own (another pid namespace's) has no use for a second one. */
function initOf({ container, host, initByDefault }: SpecSources): string | undefined {
  const { Init, PidMode } = container.hostConfig;
  if (!(Init ?? initByDefault) || (PidMode ?? "") !== "") return undefined;
  if (host.initPath !== undefined) return host.initPath;
  throw new InvalidParameterError(
    "--init needs a static init on the host: install the package tini or catatonit, or set --init-path",
  );
}

function consoleSize(size: readonly number[] | null | undefined): RuntimeProcess["consoleSize"] {
  const [height = 0, width = 0] = size ?? [];
  return height > 0 && width > 0 ? { height, width } : undefined;
}

function cgroupParent(asked: string | undefined, own: string): string {
  if (!asked) return own;
  // Whatever climbs ends at the root of the cgroups.
  const clean = posix.normalize(`/${asked}`).replace(/\/$/, "");
  return clean;
}

function seccompOf(
  { seccomp }: SecurityOptions,
  privileged: boolean,
  {
    capabilities,
    host,
    profile,
  }: {
    capabilities: readonly string[];
    host: ContainerHost;
    profile: SeccompProfile | "unconfined" | undefined;
  },
): SeccompFilter | undefined {
  const subject = { capabilities, architecture: host.architecture };
  const chosen = seccomp === "default" && !privileged ? (profile ?? "builtin") : seccomp;
  if (chosen === "unconfined") return undefined;
  if (typeof chosen === "object") return toSeccompFilter(chosen, subject);
  return privileged ? undefined : defaultSeccompFilter(host.seccompProfile, subject);
}

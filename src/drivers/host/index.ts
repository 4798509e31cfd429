/** Driver of the container host port: reads /proc, /sys and /dev of the host that the daemon runs on. */
import { existsSync, readdirSync, readFileSync, realpathSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { log } from "../../base/log.ts";
import type { ContainerHost, ResourceLimit, SeccompProfile } from "../../core/container-host.ts";
import { InvalidParameterError, messageOf, NotFoundError } from "../../core/errors.ts";
import type { RuntimeDevice } from "../../core/runtime-spec.ts";
import { detectCgroups } from "../../linux/cgroups.ts";

/** By number, from linux/capability.h. */
const CAPABILITIES = (
  "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE " +
  "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN " +
  "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE " +
  "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split(" ");

const PROFILES = ["/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json"];
/** Static ones: in the container there are no libraries for another. */
const INITS = [
  "/usr/libexec/docker/docker-init",
  "/usr/bin/docker-init",
  "/usr/bin/tini-static",
  "/usr/libexec/podman/catatonit",
  "/usr/bin/catatonit",
];
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386", loong64: "loong64" };

/** @param initPath the daemon's `--init-path` */
export function readContainerHost({ initPath }: { initPath?: string }): ContainerHost {
  const { layout, controllers } = detectCgroups();
  const [blkio, cpu] = [controllers.get("blkio"), controllers.get("cpu")];
  return {
    capabilities: heldCapabilities(),
    cgroupVersion: layout === "v2" ? 2 : 1,
    blockIoWeight: layout === "v2" || (blkio !== undefined && existsSync(join(blkio, "blkio.weight"))),
    cpuRealtime: cpu !== undefined && existsSync(join(cpu, "cpu.rt_period_us")),
    memoryNodes: readOrEmpty("/sys/devices/system/node/online").trim() || "0",
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    apparmor: readOrEmpty("/sys/module/apparmor/parameters/enabled").trim() === "Y",
    selinux: existsSync("/sys/fs/selinux/enforce"),
    seccompProfile: readProfile(),
    initPath: initPath ?? INITS.find((path) => existsSync(path)),
    limits: ownLimits(),
    thermalThrottlePaths: thermalThrottlePaths(),
    hasSysctl: (name) => existsSync(`/proc/sys/${name.replaceAll(".", "/")}`),
    devicesAt,
    allDevices: () => devicesBelow("/dev"),
  };
}

/** Effective and bounding: what is in only one of them cannot be handed on. */
function heldCapabilities(): string[] {
  const status = readFileSync("/proc/self/status", "utf8");
  const set = (name: string): bigint =>
    BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, "m").exec(status)?.[1] ?? "0"}`);
  const held = set("CapEff") & set("CapBnd");
  return CAPABILITIES.filter((_, bit) => (held >> BigInt(bit)) & 1n).map((name) => `CAP_${name}`);
}

/** The daemon's `--seccomp-profile`. @throws InvalidParameterError */
export function readSeccompProfile(path: string | undefined): SeccompProfile | "unconfined" | undefined {
  if (path === undefined || path === "unconfined") return path;
  try {
    return JSON.parse(readFileSync(path, "utf8")) as SeccompProfile;
  } catch (error) {
    throw new InvalidParameterError(`opening seccomp profile (${path}) failed: ${messageOf(error)}`, {
      subject: path,
      cause: error,
    });
  }
}

function readProfile(): SeccompProfile | undefined {
  for (const path of PROFILES) {
    const text = readOrEmpty(path);
    if (text === "") continue;
    try {
      return JSON.parse(text) as SeccompProfile;
    } catch (error) {
      log("error", "a seccomp profile cannot be read", { path, error: messageOf(error) });
    }
  }
  log("warn", "no seccomp profile is installed (package golang-github-containers-common)", {});
  return undefined;
}

/** /proc/self/limits by the names of setrlimit(2). */
function ownLimits(): Map<string, ResourceLimit> {
  const names: Readonly<Record<string, string>> = {
    "Max cpu time": "CPU",
    "Max file size": "FSIZE",
    "Max data size": "DATA",
    "Max stack size": "STACK",
    "Max core file size": "CORE",
    "Max resident set": "RSS",
    "Max processes": "NPROC",
    "Max open files": "NOFILE",
    "Max locked memory": "MEMLOCK",
    "Max address space": "AS",
    "Max file locks": "LOCKS",
    "Max pending signals": "SIGPENDING",
    "Max msgqueue size": "MSGQUEUE",
    "Max nice priority": "NICE",
    "Max realtime priority": "RTPRIO",
    "Max realtime timeout": "RTTIME",
  };
  const toNumber = (text = ""): number => (text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text));
  const limits = new Map<string, ResourceLimit>();
  for (const line of readFileSync("/proc/self/limits", "utf8").split("\n")) {
    const [title = "", soft, hard] = line.split(/\s{2,}/);
    const name = names[title];
    if (name) limits.set(`RLIMIT_${name}`, { soft: toNumber(soft), hard: toNumber(hard) });
  }
  return limits;
}

function thermalThrottlePaths(): string[] {
  const directory = "/sys/devices/system/cpu";
  const cpus = existsSync(directory) ? readdirSync(directory).filter((name) => /^cpu\d+$/.test(name)) : [];
  return cpus.map((cpu) => join(directory, cpu, "thermal_throttle")).filter((path) => existsSync(path));
}

function devicesAt(path: string): RuntimeDevice[] {
  let real: string;
  try {
    real = realpathSync(path);
  } catch (error) {
    throw new NotFoundError(
      `error gathering device information while adding custom device "${path}": no such file or directory`,
      { subject: path, cause: error },
    );
  }
  const facts = statSync(real);
  const found = facts.isDirectory() ? devicesBelow(real) : [toDevice(real, facts)].filter((found) => !!found);
  if (found.length === 0) {
    throw new InvalidParameterError(
      `error gathering device information while adding custom device "${path}": not a device node`,
      { subject: path },
    );
  }
  return found;
}

/** Not the container's own terminals, queues and shared memory. @see runc libcontainer/devices (GetDevices) */
const SKIPPED = new Set(["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"]);

function devicesBelow(directory: string): RuntimeDevice[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.has(entry.name) || entry.isSymbolicLink()) return [];
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return devicesBelow(path);
    if (!entry.isCharacterDevice() && !entry.isBlockDevice()) return [];
    const device = toDevice(path, statSync(path));
    return device ? [device] : [];
  });
}

function toDevice(path: string, facts: Stats): RuntimeDevice | undefined {
  const type = facts.isCharacterDevice() ? "c" : facts.isBlockDevice() ? "b" : undefined;
  if (type === undefined) return undefined;
  const { rdev } = facts;
  return {
    type,
    path,
    major: ((rdev >>> 8) & 0xfff) | (Math.floor(rdev / 2 ** 32) & ~0xfff),
    minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00),
    fileMode: facts.mode & 0o7777,
    uid: facts.uid,
    gid: facts.gid,
  };
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/**
 * From a profile with conditions to the filter of one container. Pure.
 *
 * The host's profile is the distribution's, made for Podman, which allows more than Docker does: what Docker refuses
 * is taken out of it (`WITHHELD`). Where no profile is installed, that list alone is refused.
 * @see https://docs.docker.com/engine/security/seccomp/ for the reasons
 */
import type { SeccompCondition, SeccompProfile, SeccompRule } from "../../../core/container-host.ts";

/** System calls by the capability without which they are refused; `never` are refused to all but `unconfined`. */
const WITHHELD: Readonly<Record<string, readonly string[]>> = {
  CAP_SYS_ADMIN: [
    "bpf",
    "fanotify_init",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "lookup_dcookie",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "perf_event_open",
    "quotactl",
    "quotactl_fd",
    "setdomainname",
    "sethostname",
    "setns",
    "umount",
    "umount2",
    "unshare",
  ],
  CAP_SYS_BOOT: ["reboot", "kexec_load", "kexec_file_load"],
  CAP_SYS_MODULE: ["delete_module", "init_module", "finit_module", "create_module"],
  CAP_SYS_PACCT: ["acct"],
  CAP_SYS_TIME: ["settimeofday", "stime", "clock_settime", "clock_settime64"],
  CAP_SYS_RAWIO: ["iopl", "ioperm"],
  CAP_SYS_NICE: ["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node", "move_pages"],
  CAP_SYS_TTY_CONFIG: ["vhangup"],
  CAP_SYSLOG: ["syslog"],
  CAP_DAC_READ_SEARCH: ["open_by_handle_at"],
  never: [
    "add_key",
    "keyctl",
    "request_key",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kcmp",
    "nfsservctl",
    "swapon",
    "swapoff",
    "sysfs",
    "_sysctl",
    "userfaultfd",
    "uselib",
    "ustat",
    "vm86",
    "vm86old",
  ],
};

const ALLOW = "SCMP_ACT_ALLOW";
const EPERM = 1;
const ENOSYS = 38;
const AF_ALG = 38;
const AF_VSOCK = 40;
/** CLONE_NEW* without NEWTIME: mount, cgroup, uts, ipc, user, pid, net. */
const CLONE_NAMESPACES = 0x7e020000;

export interface SeccompSubject {
  /** What is in the container's bounding set. */
  readonly capabilities: readonly string[];
  /** As Docker writes it. */
  readonly architecture: string;
}

/** OCI's `linux.seccomp`. */
export interface SeccompFilter {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly architectures?: readonly string[];
  readonly flags?: readonly string[];
  readonly listenerPath?: string;
  readonly listenerMetadata?: string;
  readonly syscalls: readonly {
    readonly names: readonly string[];
    readonly action: string;
    readonly errnoRet?: number;
    readonly args?: SeccompRule["args"];
  }[];
}

/** A profile as it stands: what a user hands in. */
export function toSeccompFilter(profile: SeccompProfile, subject: SeccompSubject): SeccompFilter {
  const { defaultAction, defaultErrnoRet, flags, listenerPath, listenerMetadata } = profile;
  return {
    defaultAction,
    defaultErrnoRet,
    architectures: architecturesOf(profile, subject.architecture),
    flags,
    listenerPath,
    listenerMetadata,
    syscalls: (profile.syscalls ?? []).filter((rule) => applies(rule, subject)).flatMap(toRule),
  };
}

/** Docker's default confinement, made from the host's profile. */
export function defaultSeccompFilter(
  profile: SeccompProfile | undefined,
  subject: SeccompSubject,
): SeccompFilter {
  const withheld = withheldFrom(subject.capabilities);
  const base = profile ? toSeccompFilter(profile, subject) : ALLOW_ALL;
  const admin = subject.capabilities.includes("CAP_SYS_ADMIN");
  const special = new Set([...withheld, "socket", ...(admin ? [] : ["clone", "clone3"])]);
  const allowed = base.syscalls.flatMap((rule) => {
    if (rule.action !== ALLOW) return [rule];
    const names = rule.names.filter((name) => !special.has(name));
    return names.length > 0 ? [{ ...rule, names }] : [];
  });
  const refusals = [{ names: withheld, action: "SCMP_ACT_ERRNO", errnoRet: EPERM }];
  const clone = admin ? [] : base.defaultAction === ALLOW ? cloneRefusals() : cloneRules();
  return { ...base, syscalls: [...withoutNames(allowed, refusals), ...refusals, ...socketRules(), ...clone] };
}

const ALLOW_ALL: SeccompFilter = { defaultAction: ALLOW, syscalls: [] };

function withheldFrom(capabilities: readonly string[]): string[] {
  return Object.entries(WITHHELD).flatMap(([capability, names]) =>
    capabilities.includes(capability) ? [] : names,
  );
}

function withoutNames<T extends { names: readonly string[] }>(
  rules: readonly T[],
  refusals: readonly { names: readonly string[] }[],
): T[] {
  const named = new Set(refusals.flatMap(({ names }) => names));
  return rules.map((rule) => ({ ...rule, names: rule.names.filter((name) => !named.has(name)) }));
}

/**
 * Sockets of all families but the kernel's crypto and the hypervisor's. Comparisons of one rule are and-ed.
 *
 * 32-bit programs reach every family through `socketcall`, whose arguments are behind a pointer that a filter cannot
 * follow. It stays allowed, as in Docker: refusing it broke such programs, and Docker took it back in favour of LSM
 * rules. @see https://github.com/moby/moby/pull/52547
 */
function socketRules(): SeccompFilter["syscalls"] {
  const family = (value: number, op: string) => ({ index: 0, value, valueTwo: 0, op });
  const allow = (...args: ReturnType<typeof family>[]) => ({ names: ["socket"], action: ALLOW, args });
  // A filter may compare an argument once in a rule: three ranges around the two families.
  return [
    allow(family(AF_ALG, "SCMP_CMP_LT")),
    allow(family(AF_ALG + 1, "SCMP_CMP_EQ")),
    allow(family(AF_VSOCK, "SCMP_CMP_GT")),
    { names: ["socket"], action: "SCMP_ACT_ERRNO", errnoRet: EPERM, args: [family(AF_ALG, "SCMP_CMP_EQ")] },
    { names: ["socket"], action: "SCMP_ACT_ERRNO", errnoRet: EPERM, args: [family(AF_VSOCK, "SCMP_CMP_EQ")] },
  ];
}

/** clone3's flags are behind a pointer that a filter cannot follow: ENOSYS makes libc use clone. */
const NO_CLONE3 = { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS };

/** New processes and threads, no new namespaces. */
function cloneRules(): SeccompFilter["syscalls"] {
  const noNamespaces = { index: 0, value: CLONE_NAMESPACES, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" };
  return [{ names: ["clone"], action: ALLOW, args: [noNamespaces] }, NO_CLONE3];
}

/** The same where everything is allowed that is not named: one rule for each kind of namespace. */
function cloneRefusals(): SeccompFilter["syscalls"] {
  const bits = Array.from({ length: 32 }, (_, bit) => 2 ** bit).filter(
    (bit) => (CLONE_NAMESPACES & bit) !== 0,
  );
  const refuse = (bit: number) => ({
    names: ["clone"],
    action: "SCMP_ACT_ERRNO",
    errnoRet: EPERM,
    args: [{ index: 0, value: bit, valueTwo: bit, op: "SCMP_CMP_MASKED_EQ" }],
  });
  return [...bits.map(refuse), NO_CLONE3];
}

function toRule(rule: SeccompRule): SeccompFilter["syscalls"][number][] {
  const names = rule.name ? [rule.name] : (rule.names ?? []);
  if (names.length === 0) return [];
  const args = rule.args && rule.args.length > 0 ? rule.args : undefined;
  return [{ names, action: rule.action, errnoRet: rule.errnoRet, args }];
}

function applies({ includes, excludes }: SeccompRule, subject: SeccompSubject): boolean {
  return (!includes || holds(includes, subject, "every")) && (!excludes || !holds(excludes, subject, "some"));
}

/** All of `includes` must hold; any of `excludes` excludes. An empty condition includes and does not exclude. */
function holds(
  { caps, arches, minKernel }: SeccompCondition,
  { capabilities, architecture }: SeccompSubject,
  combine: "every" | "some",
): boolean {
  const parts: boolean[] = [];
  if (arches?.length) parts.push(arches.includes(architecture));
  if (caps?.length) parts.push(caps[combine]((name) => capabilities.includes(name)));
  // Every kernel with clone3 and openat2, which the engine needs, is newer than any profile asks for (4.8, 5.x).
  if (minKernel) parts.push(true);
  return parts[combine]((part) => part);
}

const ARCHITECTURES: Readonly<Record<string, string>> = {
  amd64: "SCMP_ARCH_X86_64",
  "386": "SCMP_ARCH_X86",
  arm64: "SCMP_ARCH_AARCH64",
  arm: "SCMP_ARCH_ARM",
  ppc64le: "SCMP_ARCH_PPC64LE",
  s390x: "SCMP_ARCH_S390X",
  riscv64: "SCMP_ARCH_RISCV64",
};

function architecturesOf(profile: SeccompProfile, architecture: string): readonly string[] | undefined {
  if (profile.architectures?.length) return profile.architectures;
  const own = ARCHITECTURES[architecture];
  const entry = profile.archMap?.find((row) => row.architecture === own);
  if (entry) return [entry.architecture, ...(entry.subArchitectures ?? [])];
  return own === undefined ? undefined : [own];
}

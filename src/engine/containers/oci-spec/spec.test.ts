import { describe, expect, test } from "bun:test";
import type { ContainerConfig, HostConfig } from "../../../api/types.ts";
import type { ContainerRecord } from "../../../core/container.ts";
import type { ContainerHost, SeccompProfile } from "../../../core/container-host.ts";
import type { RuntimeSpec } from "../../../core/runtime-spec.ts";
import { DEFAULT_CAPABILITIES } from "./capabilities.ts";
import { defaultSeccompFilter, toSeccompFilter } from "./seccomp.ts";
import { type SpecSources, toExecProcess, toRuntimeSpec } from "./spec.ts";

const profile: SeccompProfile = {
  defaultAction: "SCMP_ACT_ERRNO",
  defaultErrnoRet: 38,
  archMap: [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] }],
  syscalls: [
    { names: ["read", "write", "clone", "clone3", "socket", "keyctl", "mount"], action: "SCMP_ACT_ALLOW" },
    { names: ["bpf"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_SYS_ADMIN"] } },
    { names: ["arch_prctl"], action: "SCMP_ACT_ALLOW", includes: { arches: ["amd64"] } },
    { names: ["s390_pci_mmio_read"], action: "SCMP_ACT_ALLOW", includes: { arches: ["s390x"] } },
    { names: ["chroot"], action: "SCMP_ACT_ERRNO", errnoRet: 1, excludes: { caps: ["CAP_SYS_CHROOT"] } },
  ],
};

const host: ContainerHost = {
  capabilities: [...DEFAULT_CAPABILITIES, "CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_PTRACE"],
  cgroupVersion: 1,
  blockIoWeight: true,
  cpuRealtime: false,
  memoryNodes: "0",
  architecture: "amd64",
  apparmor: false,
  selinux: false,
  seccompProfile: profile,
  initPath: "/usr/bin/tini-static",
  limits: new Map([["RLIMIT_NOFILE", { soft: 1024, hard: 20_000 }]]),
  thermalThrottlePaths: ["/sys/devices/system/cpu/cpu0/thermal_throttle"],
  hasSysctl: () => true,
  devicesAt: (path) => [
    { type: path === "/dev/sda" ? "b" : "c", path, major: 10, minor: 229, fileMode: 0o666 },
  ],
  allDevices: () => [{ type: "c", path: "/dev/kvm", major: 10, minor: 232 }],
};

interface Change {
  readonly config?: ContainerConfig;
  readonly hostConfig?: HostConfig;
  readonly sources?: Partial<SpecSources>;
}

function sourcesOf({ config, hostConfig, sources }: Change): SpecSources {
  const container = {
    id: "c0ffee",
    path: "sh",
    args: ["-c", "true"],
    config: { Hostname: "box", ...config },
    hostConfig: { NetworkMode: "bridge", IpcMode: "private", CgroupnsMode: "host", ...hostConfig },
  } as unknown as ContainerRecord;
  return {
    container,
    host,
    rootfs: "/run/gantry/rootfs/c0ffee",
    networkPath: "/run/gantry/netns/c0ffee",
    linkEnvironment: [],
    mounts: [],
    rootfsPropagation: undefined,
    files: { hostname: "/c/hostname", hosts: "/c/hosts", resolvConf: "/c/resolv.conf" },
    joined: { network: undefined, ipc: undefined, pid: undefined },
    sharedMemory: undefined,
    user: { uid: 0, gid: 0, additionalGids: [0, 10], home: "/root" },
    cgroupParent: "/gantry-1a2b3c4d",
    defaultUlimits: [],
    initByDefault: false,
    ...sources,
  };
}

const specOf = (change: Change = {}): RuntimeSpec => toRuntimeSpec(sourcesOf(change));
const mountAt = (spec: RuntimeSpec, path: string) =>
  spec.mounts.find(({ destination }) => destination === path);
const namespace = (spec: RuntimeSpec, type: string) =>
  spec.linux.namespaces.find((each) => each.type === type);

describe("a container that asks for nothing", () => {
  const spec = specOf();

  test("has Docker's process", () => {
    expect(spec.process).toMatchObject({
      terminal: false,
      user: { uid: 0, gid: 0, additionalGids: [0, 10] },
      args: ["sh", "-c", "true"],
      env: [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOSTNAME=box",
        "HOME=/root",
      ],
      cwd: "/",
      noNewPrivileges: false,
      capabilities: {
        bounding: DEFAULT_CAPABILITIES,
        effective: DEFAULT_CAPABILITIES,
        permitted: DEFAULT_CAPABILITIES,
        inheritable: [],
        ambient: [],
      },
    });
  });

  test("has the 14 capabilities and the masked paths of the rules", () => {
    expect(DEFAULT_CAPABILITIES).toHaveLength(14);
    expect(spec.linux.maskedPaths).toEqual([
      "/proc/asound",
      "/proc/acpi",
      "/proc/interrupts",
      "/proc/kcore",
      "/proc/keys",
      "/proc/latency_stats",
      "/proc/timer_list",
      "/proc/timer_stats",
      "/proc/sched_debug",
      "/proc/scsi",
      "/sys/firmware",
      "/sys/devices/virtual/powercap",
      "/sys/devices/system/cpu/cpu0/thermal_throttle",
    ]);
    expect(spec.linux.readonlyPaths).toEqual([
      "/proc/bus",
      "/proc/fs",
      "/proc/irq",
      "/proc/sys",
      "/proc/sysrq-trigger",
    ]);
  });

  test("labels give no authority: an image's are among them, and runtimes take annotations for orders", () => {
    const labels = {
      "run.oci.hooks.stdout": "/etc/passwd",
      "run.oci.seccomp.plugins": "/plugin",
      "com.docker.network.bridge.name": "eth0",
    };
    expect(toRuntimeSpec(sourcesOf({ config: { Hostname: "box", Labels: labels } }))).toEqual(spec);
  });

  test("has Docker's mounts in Docker's order", () => {
    expect(spec.mounts.map(({ destination }) => destination)).toEqual([
      "/proc",
      "/dev",
      "/dev/pts",
      "/sys",
      "/sys/fs/cgroup",
      "/dev/mqueue",
      "/dev/shm",
      "/etc/resolv.conf",
      "/etc/hostname",
      "/etc/hosts",
    ]);
    expect(mountAt(spec, "/sys/fs/cgroup")?.options).toContain("ro");
    expect(mountAt(spec, "/dev/shm")?.options).toContain("size=67108864");
  });

  test("has namespaces of its own, and joins its network's", () => {
    expect(spec.linux.namespaces).toEqual([
      { type: "mount" },
      { type: "network", path: "/run/gantry/netns/c0ffee" },
      { type: "uts" },
      { type: "pid" },
      { type: "ipc" },
    ]);
  });

  test("lies below the engine's cgroup and may use no devices but the harmless", () => {
    expect(spec.linux.cgroupsPath).toBe("/gantry-1a2b3c4d/c0ffee");
    expect(spec.linux.resources?.devices?.[0]).toEqual({ allow: false, access: "rwm" });
    expect(spec.linux.devices).toEqual([]);
  });
});

describe("capabilities", () => {
  const chosen = (hostConfig: HostConfig) => specOf({ hostConfig }).process.capabilities?.bounding;

  test("are added, dropped and all", () => {
    expect(chosen({ CapAdd: ["net_admin"], CapDrop: ["CAP_CHOWN"] })).toEqual([
      ...DEFAULT_CAPABILITIES.filter((name) => name !== "CAP_CHOWN"),
      "CAP_NET_ADMIN",
    ]);
    expect(chosen({ CapDrop: ["ALL"], CapAdd: ["KILL"] })).toEqual(["CAP_KILL"]);
    expect(chosen({ CapAdd: ["ALL"], CapDrop: ["SYS_ADMIN"] })).not.toContain("CAP_SYS_ADMIN");
  });

  test("privileged gets what the daemon holds, not more", () => {
    expect(chosen({ Privileged: true })).toEqual(host.capabilities);
  });

  test("one that the daemon lacks is an error in Docker's words", () => {
    expect(() => chosen({ CapAdd: ["SYS_RESOURCE"] })).toThrow(
      'capability not supported by your kernel or not available in the current environment: "CAP_SYS_RESOURCE"',
    );
  });

  test("are not in force for another user than root", () => {
    const user = { uid: 5, gid: 5, additionalGids: [5], home: "/" };
    const { capabilities } = specOf({ sources: { user } }).process;
    expect(capabilities?.effective).toEqual([]);
    expect(capabilities?.bounding).toEqual(DEFAULT_CAPABILITIES);
  });
});

describe("options", () => {
  test("privileged opens devices, cgroups and system paths", () => {
    const spec = specOf({ hostConfig: { Privileged: true } });
    expect(mountAt(spec, "/sys/fs/cgroup")?.options).toContain("rw");
    expect(spec.linux.maskedPaths).toEqual([]);
    expect(spec.linux.seccomp).toBeUndefined();
    expect(spec.linux.resources?.devices).toEqual([{ allow: true, access: "rwm" }]);
    expect(spec.linux.devices).toHaveLength(1);
  });

  test("privileged has a device at another path as well", () => {
    const Devices = [
      { PathOnHost: "/dev/kvm", PathInContainer: "/dev/kvm", CgroupPermissions: "rwm" },
      { PathOnHost: "/dev/fuse", PathInContainer: "/dev/other", CgroupPermissions: "r" },
    ];
    const { linux } = specOf({ hostConfig: { Privileged: true, Devices } });
    expect(linux.devices?.map(({ path }) => path)).toEqual(["/dev/kvm", "/dev/other"]);
    expect(linux.resources?.devices).toEqual([{ allow: true, access: "rwm" }]);
  });

  test("limits become cgroup settings", () => {
    const { resources } = specOf({
      hostConfig: {
        Memory: 64e6,
        MemorySwap: -1,
        NanoCpus: 1.5e9,
        CpuShares: 512,
        PidsLimit: 9,
        CpusetCpus: "0",
      },
    }).linux;
    expect(resources).toMatchObject({
      memory: { limit: 64e6, swap: -1 },
      cpu: { period: 100_000, quota: 150_000, shares: 512, cpus: "0" },
      pids: { limit: 9 },
    });
  });

  test("an init goes before the program", () => {
    const spec = specOf({ hostConfig: { Init: true } });
    expect(spec.process.args).toEqual(["/sbin/docker-init", "--", "sh", "-c", "true"]);
    expect(mountAt(spec, "/sbin/docker-init")?.source).toBe("/usr/bin/tini-static");
    expect(specOf({ hostConfig: { Init: true, PidMode: "host" } }).process.args[0]).toBe("sh");
  });

  test("the user's mounts take the place of the engine's", () => {
    const mine = { destination: "/dev/shm", type: "tmpfs", source: "tmpfs", options: ["size=1k"] };
    const spec = specOf({ sources: { mounts: [mine] } });
    expect(spec.mounts.filter(({ destination }) => destination === "/dev/shm")).toEqual([mine]);
    const dev = specOf({ sources: { mounts: [{ destination: "/dev", type: "bind", source: "/dev" }] } });
    expect(mountAt(dev, "/dev/pts")).toBeUndefined();
  });

  test("namespaces are shared as asked for", () => {
    const shared = specOf({
      hostConfig: { NetworkMode: "host", PidMode: "host", UTSMode: "host", IpcMode: "host" },
    });
    expect(shared.linux.namespaces).toEqual([{ type: "mount" }]);
    expect(shared.hostname).toBeUndefined();
    expect(mountAt(shared, "/dev/shm")?.source).toBe("/dev/shm");
    const joined = { network: undefined, ipc: undefined, pid: { id: "x", pid: 77 } };
    const spec = specOf({
      hostConfig: { PidMode: "container:x", CgroupnsMode: "private" },
      sources: { joined },
    });
    expect(namespace(spec, "pid")?.path).toBe("/proc/77/ns/pid");
    expect(namespace(spec, "cgroup")).toBeDefined();
  });

  test("sysctls of the host's own namespaces are refused", () => {
    const hostConfig = { NetworkMode: "host", Sysctls: { "net.ipv4.ip_forward": "1" } };
    expect(() => specOf({ hostConfig })).toThrow("not allowed in host network namespace");
    expect(specOf().linux.sysctl).toEqual({
      "net.ipv4.ip_unprivileged_port_start": "0",
      "net.ipv4.ping_group_range": "0 2147483647",
    });
  });

  test("a default ulimit is lowered to what the host allows; one that was asked for is an error", () => {
    const nofile = { Name: "nofile", Soft: 1_000_000, Hard: 1_000_000 };
    expect(specOf({ sources: { defaultUlimits: [nofile] } }).process.rlimits).toEqual([
      { type: "RLIMIT_NOFILE", soft: 20_000, hard: 20_000 },
    ]);
    expect(() => specOf({ hostConfig: { Ulimits: [nofile] } })).toThrow("ulimit nofile");
  });

  test("devices get a node and a rule", () => {
    const spec = specOf({
      hostConfig: {
        Devices: [{ PathOnHost: "/dev/fuse", PathInContainer: "/dev/mine", CgroupPermissions: "rw" }],
      },
    });
    expect(spec.linux.devices?.[0]).toMatchObject({ path: "/dev/mine", major: 10, minor: 229 });
    expect(spec.linux.resources?.devices?.at(-1)).toEqual({
      allow: true,
      type: "c",
      major: 10,
      minor: 229,
      access: "rw",
    });
    expect(() => specOf({ hostConfig: { DeviceCgroupRules: ["x 1:1 rwm"] } })).toThrow(
      "invalid device cgroup rule",
    );
  });

  test.each([
    ["apparmor=mine", "AppArmor is not supported on this host"],
    ["nonsense", 'invalid --security-opt 2: "nonsense"'],
    ["seccomp={", "Decoding seccomp profile failed"],
    ["label=type:x", "SELinux is not enabled"],
  ])("security option %p is an error rather than ignored", (option, message) => {
    expect(() => specOf({ hostConfig: { SecurityOpt: [option] } })).toThrow(message);
  });

  test("the environment of the request wins, and a bare name removes", () => {
    const env = ["PATH=/bin", "A=b=c", "HOME=/here", "HOSTNAME"];
    expect(specOf({ config: { Env: env, Tty: true } }).process.env).toEqual([
      "PATH=/bin",
      "TERM=xterm",
      "A=b=c",
      "HOME=/here",
    ]);
  });

  test("what links say is there for the container and its execs, and gives way to the request", () => {
    const sources = { linkEnvironment: ["DB_NAME=/web/db", "DB_PORT=tcp://10.0.0.2:5432"] };
    const change = { sources, config: { Env: ["DB_PORT=mine"] } };
    const exec = { cmd: ["true"], env: [], workingDir: "", privileged: false, tty: false };
    const inExec = toExecProcess({ ...sourcesOf(change), exec, size: undefined });
    for (const { env } of [specOf(change).process, inExec]) {
      expect(env).toEqual(expect.arrayContaining(["DB_NAME=/web/db", "DB_PORT=mine"]));
      expect(env).not.toContain("DB_PORT=tcp://10.0.0.2:5432");
    }
  });

  test("a cgroup parent of one's own", () => {
    expect(specOf({ hostConfig: { CgroupParent: "my/group/" } }).linux.cgroupsPath).toBe("/my/group/c0ffee");
  });
});

describe("seccomp", () => {
  const subject = { capabilities: DEFAULT_CAPABILITIES, architecture: "amd64" };
  const allowed = (filter: ReturnType<typeof toSeccompFilter>) =>
    filter.syscalls
      .filter(({ action, args }) => action === "SCMP_ACT_ALLOW" && !args)
      .flatMap(({ names }) => names);

  test("conditions are those of the container", () => {
    const filter = toSeccompFilter(profile, subject);
    expect(filter.architectures).toEqual(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    expect(allowed(filter)).toContain("arch_prctl");
    expect(allowed(filter)).not.toContain("bpf");
    expect(allowed(filter)).not.toContain("s390_pci_mmio_read");
    expect(filter.syscalls.some(({ names }) => names.includes("chroot"))).toBe(false);
    const admin = { ...subject, capabilities: [...DEFAULT_CAPABILITIES, "CAP_SYS_ADMIN"] };
    expect(allowed(toSeccompFilter(profile, admin))).toContain("bpf");
  });

  test("the default withholds what Docker withholds", () => {
    const filter = defaultSeccompFilter(profile, subject);
    expect(allowed(filter)).toEqual(["read", "write", "arch_prctl"]);
    const refused = filter.syscalls.find(({ names }) => names.includes("keyctl"));
    expect(refused).toMatchObject({ action: "SCMP_ACT_ERRNO", errnoRet: 1 });
    expect(filter.syscalls.filter(({ names }) => names.includes("socket")).length).toBeGreaterThan(1);
  });

  test("without a profile the dangerous calls are still refused", () => {
    const filter = defaultSeccompFilter(undefined, subject);
    expect(filter.defaultAction).toBe("SCMP_ACT_ALLOW");
    const refused = filter.syscalls
      .filter(({ action }) => action === "SCMP_ACT_ERRNO")
      .flatMap(({ names }) => names);
    for (const name of ["keyctl", "bpf", "unshare", "mount", "io_uring_setup", "clone3"])
      expect(refused).toContain(name);
  });
});

describe("an exec", () => {
  const exec = { cmd: ["id"], env: ["A=b"], workingDir: "", privileged: false, tty: false };
  const execOf = (change: Change, more: Partial<typeof exec> = {}) =>
    toExecProcess({ ...sourcesOf(change), exec: { ...exec, ...more }, size: undefined });

  test("never has more than its container", () => {
    const change = { hostConfig: { CapDrop: ["ALL"], SecurityOpt: ["no-new-privileges"] } };
    expect(execOf(change)).toMatchObject({
      noNewPrivileges: true,
      capabilities: { bounding: [], effective: [] },
    });
    expect(execOf(change, { privileged: true }).capabilities?.effective).toEqual(host.capabilities);
  });

  test("has the container's environment and directory unless told otherwise", () => {
    const change = { config: { Env: ["A=a", "B=b"], WorkingDir: "/work" } };
    expect(execOf(change).cwd).toBe("/work");
    expect(execOf(change).env).toEqual(expect.arrayContaining(["A=b", "B=b"]));
    expect(execOf(change, { workingDir: "/other" }).cwd).toBe("/other");
  });
});

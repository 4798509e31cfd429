import { describe, expect, test } from "bun:test";
import type { ContainerConfig, HostConfig } from "../../../api/types.ts";
import { checkConfig, checkConflicts, checkHostConfig } from "./checks.ts";

const host = {
  cpus: 2,
  cgroupVersion: 2,
  swapLimit: true,
  blockIoWeight: true,
  cpuRealtime: false,
  memoryNodes: "0-1,4",
  apparmor: false,
  selinux: false,
} as const;
const check = (hostConfig: object, facts: object = {}) =>
  checkHostConfig(hostConfig as HostConfig, {
    host: { ...host, ...facts },
    runtimes: new Set(["crun"]),
    defaultRuntime: "crun",
  });

describe("a create request is refused in dockerd's words when", () => {
  const refused: [string, object, string][] = [
    ["its memory is below 6 MB", { Memory: 5 * 1024 * 1024 }, "Minimum memory limit allowed is 6MB"],
    [
      "its swap is smaller than its memory",
      { Memory: 2e7, MemorySwap: 1e7 },
      "Minimum memoryswap limit should be larger than memory limit, see usage",
    ],
    [
      "swap is limited and memory is not",
      { MemorySwap: 1e7 },
      "You should always set the Memory limit when using Memoryswap limit, see usage",
    ],
    [
      "it wants more cpus than there are",
      { NanoCpus: 3e9 },
      "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
    ],
    [
      "cpus and a period contradict each other",
      { NanoCpus: 1e9, CpuPeriod: 1000 },
      "Conflicting options: Nano CPUs and CPU Period cannot both be set",
    ],
    [
      "it names a cpu that is not there",
      { CpusetCpus: "0-2" },
      "Requested CPUs are not available - requested 0-2, available: 0-1",
    ],
    ["its cpus are no list", { CpusetCpus: "0-x" }, "Invalid value 0-x for cpuset cpus"],
    [
      "it names a memory node that is not there",
      { CpusetMems: "1-2" },
      "Requested memory nodes are not available - requested 1-2, available: 0-1,4",
    ],
    ["its memory nodes are no list", { CpusetMems: "3-1" }, "Invalid value 3-1 for cpuset mems"],
    [
      "its share of the cpu is negative",
      { CpuShares: -1 },
      "invalid CPU shares (-1): value must be a positive integer",
    ],
    [
      "it wants real-time where the kernel gives none",
      { CpuRealtimeRuntime: 1000 },
      "kernel does not support CPU real-time scheduler",
    ],
    ["a security option is unknown", { SecurityOpt: ["x=y"] }, 'invalid --security-opt 2: "x=y"'],
    [
      "it names a profile on a host without AppArmor",
      { SecurityOpt: ["apparmor=mine"] },
      "AppArmor is not supported on this host, but the profile 'mine' was specified",
    ],
    [
      "it would remove itself and restart",
      { AutoRemove: true, RestartPolicy: { Name: "always" } },
      "can't create 'AutoRemove' container with restart policy",
    ],
    [
      "its restart policy is unknown",
      { RestartPolicy: { Name: "sometimes" } },
      "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
    ],
    [
      "a retry count stands without on-failure",
      { RestartPolicy: { Name: "always", MaximumRetryCount: 3 } },
      "invalid restart policy: maximum retry count can only be used with 'on-failure'",
    ],
    [
      "a host port is none",
      { PortBindings: { "80/tcp": [{ HostPort: "99999" }] } },
      'invalid port specification: "99999"',
    ],
    ["a container port is none", { PortBindings: { "80/ipx": [] } }, 'invalid port specification: "80/ipx"'],
    ["its IPC mode is unknown", { IpcMode: "mine" }, "invalid IPC mode: mine"],
    ["its PID mode is unknown", { PidMode: "mine" }, "invalid PID mode: mine"],
    ["its runtime is unknown", { Runtime: "kata" }, "unknown or invalid runtime name: kata"],
    [
      "its OOM score is out of range",
      { OomScoreAdj: 1001 },
      "Invalid value 1001, range for oom score adj is [-1000, 1000]",
    ],
    [
      "it wants a quota that the file system cannot keep",
      { StorageOpt: { size: "1G" } },
      "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
    ],
    ["an extra host has no address", { ExtraHosts: ["db"] }, 'bad format for add-host: "db"'],
    ["an extra host's address is none", { ExtraHosts: ["db:x"] }, 'invalid IP address in add-host: "x"'],
  ];
  for (const [what, hostConfig, message] of refused) {
    test(what, () => expect(() => check(hostConfig)).toThrow(message));
  }

  const config = (fields: object) => () => checkConfig(fields as ContainerConfig);
  test("its working directory is relative", () => {
    expect(config({ WorkingDir: "a" })).toThrow("it needs to be an absolute path");
  });
  test("a variable has no name", () => {
    expect(config({ Env: ["=a"] })).toThrow("invalid environment variable: =a");
  });
  test("its stop signal is unknown", () => {
    expect(config({ StopSignal: "SIGNONE" })).toThrow("invalid signal: SIGNONE");
  });
});

test("what is fine passes without a warning", () => {
  expect(
    check({
      Memory: 6 * 1024 * 1024,
      NanoCpus: 5e8,
      CpusetCpus: "0,1",
      CpusetMems: "0-1,4",
      IpcMode: "container:abc",
      ExtraHosts: ["a:1.2.3.4", "b=::1", "c:[::1]", "d:host-gateway"],
      PortBindings: { "80": null, "8080/tcp": [{ HostPort: "8000-8010" }, { HostPort: "" }] },
      RestartPolicy: { Name: "on-failure", MaximumRetryCount: 2 },
    }),
  ).toEqual([]);
});

test("weights that the kernel does not have are a warning", () => {
  expect(check({ BlkioWeight: 5, BlkioWeightDevice: [{}] }, { blockIoWeight: false })).toEqual([
    "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
  ]);
});

test("publishing in the host's network is a warning", () => {
  expect(check({ NetworkMode: "host", PortBindings: { "80/tcp": [] } })).toEqual([
    "Published ports are discarded when using host network mode",
  ]);
});

test("sharing another container's network excludes what that container decides", () => {
  const conflict = (config: object, hostConfig: object) => () =>
    checkConflicts(config as ContainerConfig, { NetworkMode: "container:x", ...hostConfig } as HostConfig);
  expect(conflict({ Hostname: "a" }, {})).toThrow("conflicting options: hostname and the network mode");
  expect(conflict({}, { Dns: ["1.1.1.1"] })).toThrow("conflicting options: dns and the network mode");
  expect(conflict({}, { PublishAllPorts: true })).toThrow(
    "conflicting options: port publishing and the container type network mode",
  );
  expect(conflict({}, { NetworkMode: "container:" })).toThrow("invalid container format container:<name|id>");
});

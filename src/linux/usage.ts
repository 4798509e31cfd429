/** Reads what a cgroup and a network namespace have used. Safe on what is gone: then the numbers are 0. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Cgroup, CgroupHost } from "./cgroups.ts";

const TICKS_PER_SECOND = 100;
const NANOSECONDS = 1e9;
const PER_TICK = NANOSECONDS / TICKS_PER_SECOND;
/** cgroup v1's largest: pages of 4 KiB up to 2^63. */
const V1_UNLIMITED = 2 ** 62;

export function readUsage(host: CgroupHost, { path }: Pick<Cgroup, "path">) {
  return host.layout === "v2" ? readV2(join(host.unified ?? "", path)) : readV1(host, path);
}

function readV2(directory: string) {
  const file = (name: string): string => readOrEmpty(join(directory, name));
  const cpu = pairs(file("cpu.stat"));
  const microseconds = (name: string): number => (cpu[name] ?? 0) * 1000;
  return {
    cpu: {
      total: microseconds("usage_usec"),
      user: microseconds("user_usec"),
      kernel: microseconds("system_usec"),
      perCpu: undefined,
      periods: cpu.nr_periods ?? 0,
      throttledPeriods: cpu.nr_throttled ?? 0,
      throttledTime: microseconds("throttled_usec"),
    },
    memory: {
      usage: Number(file("memory.current")),
      maxUsage: undefined,
      failures: undefined,
      limit: limitOf(file("memory.max")),
      stats: pairs(file("memory.stat")),
    },
    blockIo: readIoStat(file("io.stat")),
    blockOperations: undefined,
    pids: { current: Number(file("pids.current")), limit: limitOf(file("pids.max")) },
  };
}

function readV1(host: CgroupHost, path: string) {
  const file = (controller: string, name: string): string => {
    const tree = host.controllers.get(controller);
    return tree === undefined ? "" : readOrEmpty(join(tree, path, name));
  };
  const times = pairs(file("cpuacct", "cpuacct.stat"));
  const throttling = pairs(file("cpu", "cpu.stat"));
  const limit = Number(file("memory", "memory.limit_in_bytes"));
  return {
    cpu: {
      total: Number(file("cpuacct", "cpuacct.usage")),
      user: (times.user ?? 0) * PER_TICK,
      kernel: (times.system ?? 0) * PER_TICK,
      perCpu: file("cpuacct", "cpuacct.usage_percpu").trim().split(" ").filter(Boolean).map(Number),
      periods: throttling.nr_periods ?? 0,
      throttledPeriods: throttling.nr_throttled ?? 0,
      throttledTime: throttling.throttled_time ?? 0,
    },
    memory: {
      usage: Number(file("memory", "memory.usage_in_bytes")),
      maxUsage: Number(file("memory", "memory.max_usage_in_bytes")),
      failures: Number(file("memory", "memory.failcnt")),
      limit: limit > 0 && limit < V1_UNLIMITED ? limit : undefined,
      stats: pairs(file("memory", "memory.stat")),
    },
    blockIo: readThrottle(file("blkio", "blkio.throttle.io_service_bytes_recursive")),
    blockOperations: readThrottle(file("blkio", "blkio.throttle.io_serviced_recursive")),
    pids: { current: Number(file("pids", "pids.current")), limit: limitOf(file("pids", "pids.max")) },
  };
}

interface DeviceCount {
  readonly major: number;
  readonly minor: number;
  readonly operation: string;
  readonly value: number;
}

/** `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …` */
function readIoStat(text: string): DeviceCount[] {
  return text.split("\n").flatMap((line) => {
    const [, major, minor] = /^(\d+):(\d+) /.exec(line) ?? [];
    if (major === undefined) return [];
    const count = (name: string): number => Number(new RegExp(` ${name}=(\\d+)`).exec(line)?.[1] ?? 0);
    const device = { major: Number(major), minor: Number(minor) };
    return [
      { ...device, operation: "read", value: count("rbytes") },
      { ...device, operation: "write", value: count("wbytes") },
    ];
  });
}

/** `8:0 Read 4096`, and totals of all devices, which are left out. */
function readThrottle(text: string): DeviceCount[] {
  return [...text.matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map(([, major, minor, operation = "", value]) => ({
    major: Number(major),
    minor: Number(minor),
    operation: operation.toLowerCase(),
    value: Number(value),
  }));
}

/** Of the network namespace of a process. @see proc(5), /proc/pid/net/dev */
export function readInterfaces(pid: number) {
  const found = [...readOrEmpty(`/proc/${pid}/net/dev`).matchAll(/^\s*([^:\s]+):\s*(\d.*)$/gm)].filter(
    ([, name]) => name !== "lo",
  );
  return Object.fromEntries(
    found.map(([, name = "", counters = ""]) => {
      const at = counters.trim().split(/\s+/).map(Number);
      return [
        name,
        {
          receivedBytes: at[0] ?? 0,
          receivedPackets: at[1] ?? 0,
          receiveErrors: at[2] ?? 0,
          receiveDrops: at[3] ?? 0,
          sentBytes: at[8] ?? 0,
          sentPackets: at[9] ?? 0,
          sendErrors: at[10] ?? 0,
          sendDrops: at[11] ?? 0,
        },
      ];
    }),
  );
}

/** Of the host. The first line of /proc/stat has all CPUs: user to softirq and steal are what Docker adds up. */
export function readHostUsage() {
  const text = readFileSync("/proc/stat", "latin1");
  const [, ...ticks] = (text.slice(0, text.indexOf("\n")).match(/\S+/g) ?? []).slice(0, 8);
  const total = ticks.reduce((sum, tick) => sum + Number(tick), 0);
  const memory = /^MemTotal:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "latin1"))?.[1];
  return {
    cpu: total * PER_TICK,
    onlineCpus: text.match(/^cpu\d+ /gm)?.length ?? 1,
    memory: Number(memory ?? 0) * 1024,
  };
}

function limitOf(text: string): number | undefined {
  const value = text.trim();
  return value === "" || value === "max" ? undefined : Number(value);
}

/** Lines of a name and a number. */
function pairs(text: string): Record<string, number> {
  return Object.fromEntries(
    [...text.matchAll(/^(\S+) (\d+)$/gm)].map(([, name = "", value]) => [name, Number(value)]),
  );
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // Gone, or ended while it was read.
    return "";
  }
}

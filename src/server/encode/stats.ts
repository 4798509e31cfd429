/** Statistics in Docker's shape. @see moby api/types/container/stats.go */
import { toRfc3339 } from "../../base/times.ts";
import { ZERO_TIME } from "../../core/container.ts";
import type { BlockIo, NetworkUsage, TaskUsage } from "../../core/usage.ts";
import type { Sample } from "../../engine/containers/stats/sampler.ts";
import type { ContainerStats } from "../../engine/containers/stats/stats.ts";

/** @param networks false for a container in the host's network: those are not its own */
export function toStats(
  { container, now, before }: ContainerStats,
  { networks }: { networks: boolean },
): object {
  const usage = now?.usage;
  return {
    name: `/${container.name}`,
    id: container.id,
    read: now ? toRfc3339(now.at) : ZERO_TIME,
    preread: before ? toRfc3339(before.at) : ZERO_TIME,
    pids_stats: usage ? { current: usage.pids.current, limit: usage.pids.limit } : {},
    blkio_stats: toBlockIo(usage),
    num_procs: 0,
    storage_stats: {},
    cpu_stats: toCpu(now),
    precpu_stats: toCpu(before),
    memory_stats: now ? toMemory(now) : {},
    ...(usage && networks && { networks: mapValues(usage.networks, toNetwork) }),
  };
}

function toCpu(sample: Sample | undefined): object {
  if (!sample) {
    return {
      cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
      throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
    };
  }
  const { cpu } = sample.usage;
  return {
    cpu_usage: {
      total_usage: cpu.total,
      ...(cpu.perCpu && { percpu_usage: cpu.perCpu }),
      usage_in_kernelmode: cpu.kernel,
      usage_in_usermode: cpu.user,
    },
    system_cpu_usage: sample.host.cpu,
    online_cpus: sample.host.onlineCpus,
    throttling_data: {
      periods: cpu.periods,
      throttled_periods: cpu.throttledPeriods,
      throttled_time: cpu.throttledTime,
    },
  };
}

function toMemory({ usage: { memory }, host }: Sample): object {
  return {
    usage: memory.usage,
    max_usage: memory.maxUsage,
    stats: memory.stats,
    failcnt: memory.failures || undefined,
    limit: Math.min(memory.limit ?? host.memory, host.memory),
  };
}

function toBlockIo(usage: TaskUsage | undefined): object {
  const rows = (counts: readonly BlockIo[] | undefined) =>
    counts?.map(({ major, minor, operation, value }) => ({ major, minor, op: operation, value })) ?? null;
  return {
    io_service_bytes_recursive: rows(usage?.blockIo),
    io_serviced_recursive: rows(usage?.blockOperations),
    io_queue_recursive: null,
    io_service_time_recursive: null,
    io_wait_time_recursive: null,
    io_merged_recursive: null,
    io_time_recursive: null,
    sectors_recursive: null,
  };
}

function toNetwork(of: NetworkUsage): object {
  return {
    rx_bytes: of.receivedBytes,
    rx_packets: of.receivedPackets,
    rx_errors: of.receiveErrors,
    rx_dropped: of.receiveDrops,
    tx_bytes: of.sentBytes,
    tx_packets: of.sentPackets,
    tx_errors: of.sendErrors,
    tx_dropped: of.sendDrops,
  };
}

function mapValues<T, R>(of: Readonly<Record<string, T>>, change: (value: T) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(of).map(([key, value]) => [key, change(value)]));
}

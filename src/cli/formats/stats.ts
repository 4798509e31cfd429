/** What a container uses, as a row of `stats`. @see docker/cli command/container/formatter_stats.go, stats_helpers.go */
import type { StatsDocument } from "../../client/containers.ts";
import { TemplateObject } from "../templates/object.ts";
import { bytesSize, humanSize } from "../values/units.ts";

export const statsHeaders: Readonly<Record<string, string>> = {
  Container: "CONTAINER",
  Name: "NAME",
  ID: "CONTAINER ID",
  CPUPerc: "CPU %",
  MemUsage: "MEM USAGE / LIMIT",
  MemPerc: "MEM %",
  NetIO: "NET I/O",
  BlockIO: "BLOCK I/O",
  PIDs: "PIDS",
};

export interface StatsEntry {
  /** As it was asked for. */
  readonly container: string;
  readonly name: string;
  readonly id: string;
  /** Per cent of one CPU. */
  readonly cpu: number;
  /** Bytes. */
  readonly memory: number;
  readonly memoryLimit: number;
  readonly received: number;
  readonly sent: number;
  readonly read: number;
  readonly written: number;
  readonly pids: number;
}

export function toStatsEntry(
  container: string,
  document: StatsDocument,
  before: StatsDocument | undefined,
): StatsEntry {
  const {
    memory_stats: memory = {},
    networks = {},
    blkio_stats: block = {},
    pids_stats: pids = {},
  } = document;
  const interfaces = Object.values(networks);
  const blocks = (operation: string): number =>
    sum(
      (block.io_service_bytes_recursive ?? [])
        .filter(({ op = "" }) => op.toLowerCase() === operation)
        .map(({ value = 0 }) => value),
    );
  return {
    container,
    name: document.name ?? "",
    id: document.id ?? "",
    cpu: cpuPercent(document, before),
    memory: memoryUsed(memory),
    memoryLimit: memory.limit ?? 0,
    received: sum(interfaces.map(({ rx_bytes = 0 }) => rx_bytes)),
    sent: sum(interfaces.map(({ tx_bytes = 0 }) => tx_bytes)),
    read: blocks("read"),
    written: blocks("write"),
    pids: pids.current ?? 0,
  };
}

function cpuPercent(
  { cpu_stats: now, precpu_stats }: StatsDocument,
  before: StatsDocument | undefined,
): number {
  const past = before?.cpu_stats ?? precpu_stats;
  const own = (now?.cpu_usage?.total_usage ?? 0) - (past?.cpu_usage?.total_usage ?? 0);
  const all = (now?.system_cpu_usage ?? 0) - (past?.system_cpu_usage ?? 0);
  const cpus = now?.online_cpus || now?.cpu_usage?.percpu_usage?.length || 0;
  return all > 0 && own > 0 ? (own / all) * cpus * 100 : 0;
}

/** Without the page cache that is given up first: cgroup v1 and v2 call it by different names. */
function memoryUsed({ usage = 0, stats = {} }: NonNullable<StatsDocument["memory_stats"]>): number {
  const cache = stats.total_inactive_file ?? stats.inactive_file ?? 0;
  return cache < usage ? usage - cache : usage;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export function statsRow(entry: StatsEntry, { truncate }: { readonly truncate: boolean }): TemplateObject {
  const percent = (value: number): string => `${value.toFixed(2)}%`;
  const { memory, memoryLimit } = entry;
  return new TemplateObject("*container.statsContext", {
    Container: () => entry.container,
    Name: () => entry.name.replace(/^\//, "") || "--",
    ID: () => (truncate ? entry.id.slice(0, 12) : entry.id),
    CPUPerc: () => percent(entry.cpu),
    MemUsage: () => `${bytesSize(memory)} / ${bytesSize(memoryLimit)}`,
    MemPerc: () => percent(memoryLimit > 0 ? (memory / memoryLimit) * 100 : 0),
    NetIO: () => `${humanSize(entry.received, 3)} / ${humanSize(entry.sent, 3)}`,
    BlockIO: () => `${humanSize(entry.read, 3)} / ${humanSize(entry.written, 3)}`,
    PIDs: () => String(entry.pids),
  });
}

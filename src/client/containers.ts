/** Calls about containers and the processes inside of them. Names and parameters are the Engine API's. */
import { compareVersions } from "../api/route.ts";
import type {
  ContainerCreateResponse,
  ContainerInspectResponse,
  ContainerSummary,
  ContainerWaitResponse,
} from "../api/types.ts";
import { type Engine, type Hijacked, objectSegment, type Reply } from "./engine.ts";
import { EngineProtocolError } from "./errors.ts";
import { encodeFilters, type Filters } from "./filters.ts";

export interface ListContainersOptions {
  readonly all?: boolean;
  /** The newest so many, of all states; none or negative for no limit. */
  readonly limit?: number;
  readonly size?: boolean;
  readonly filters?: Filters;
}

export async function listContainers(
  engine: Engine,
  { all, limit, size, filters }: ListContainersOptions = {},
): Promise<ContainerSummary[]> {
  const query = {
    ...(all && { all }),
    ...(limit !== undefined && limit > 0 && { limit }),
    ...(size && { size }),
    ...encodeFilters(filters),
  };
  const reply = await engine.request({ method: "GET", path: "/containers/json", query });
  return await reply.json();
}

export interface CreateContainerOptions {
  readonly name?: string;
  readonly platform?: string;
  /** Config, with `HostConfig` and `NetworkingConfig`. */
  readonly body: object;
}

export async function createContainer(
  engine: Engine,
  { name, platform, body }: CreateContainerOptions,
): Promise<ContainerCreateResponse> {
  const query = { ...(name && { name }), ...(platform && { platform }) };
  const reply = await engine.request((version) => ({
    method: "POST",
    path: "/containers/create",
    query,
    json: compareVersions(version, [1, 42]) < 0 ? body : withoutKernelMemory(body),
  }));
  return await reply.json();
}

export async function inspectContainer(engine: Engine, id: string): Promise<ContainerInspectResponse> {
  const reply = await engine.request({
    method: "GET",
    path: `/containers/${objectSegment("container", id)}/json`,
  });
  return await reply.json();
}

/** The answer as it came. */
export async function inspectContainerText(engine: Engine, id: string, size = false): Promise<string> {
  const query = size ? { size: true } : {};
  const reply = await engine.request({
    method: "GET",
    path: `/containers/${objectSegment("container", id)}/json`,
    query,
  });
  return await reply.text();
}

/** From API 1.42 on there is no limit of kernel memory. */
function withoutKernelMemory(body: object): object {
  if (!("HostConfig" in body)) return body;
  const { KernelMemory, ...HostConfig } = body.HostConfig as { KernelMemory?: number };
  return { ...body, HostConfig };
}

type Verb = "start" | "stop" | "restart" | "kill" | "pause" | "unpause" | "rename" | "resize";

/** A request to a container that answers without content. */
export async function actOnContainer(
  engine: Engine,
  id: string,
  verb: Verb,
  query: Readonly<Record<string, string | number | undefined>> = {},
): Promise<void> {
  const reply = await engine.request({
    method: "POST",
    path: `/containers/${objectSegment("container", id)}/${verb}`,
    query,
  });
  await reply.discard();
}

export interface RemoveContainerOptions {
  readonly force?: boolean;
  /** Anonymous volumes as well. */
  readonly volumes?: boolean;
  readonly link?: boolean;
}

export async function removeContainer(
  engine: Engine,
  id: string,
  { force, volumes, link }: RemoveContainerOptions = {},
): Promise<void> {
  const query = { ...(volumes && { v: true }), ...(link && { link }), ...(force && { force }) };
  const reply = await engine.request({
    method: "DELETE",
    path: `/containers/${objectSegment("container", id)}`,
    query,
  });
  await reply.discard();
}

export interface PruneReport {
  readonly deleted: readonly string[];
  readonly spaceReclaimed: number;
}

export async function pruneContainers(engine: Engine, filters: Filters): Promise<PruneReport> {
  const reply = await engine.request({
    method: "POST",
    path: "/containers/prune",
    query: encodeFilters(filters),
  });
  const report = await reply.json<{ ContainersDeleted?: string[] | null; SpaceReclaimed?: number }>();
  return { deleted: report.ContainersDeleted ?? [], spaceReclaimed: report.SpaceReclaimed ?? 0 };
}

export type WaitCondition = "not-running" | "next-exit" | "removed";

/** A wait that the engine has accepted; `result` settles when the container is done. */
export interface Waiting {
  readonly result: Promise<ContainerWaitResponse>;
}

/** Resolves as soon as the engine waits: an exit after that cannot be missed. */
export async function waitForContainer(
  engine: Engine,
  id: string,
  options: { condition?: WaitCondition; signal?: AbortSignal } = {},
): Promise<Waiting> {
  const reply = await engine.request({
    method: "POST",
    path: `/containers/${objectSegment("container", id)}/wait`,
    query: { condition: options.condition },
    ...(options.signal && { signal: options.signal }),
  });
  const result = reply.text().then((text) => {
    if (text.trim() === "") throw new EngineProtocolError("the engine ended the wait without a result");
    return JSON.parse(text) as ContainerWaitResponse;
  });
  result.catch(() => {});
  return { result };
}

export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly detachKeys?: string;
}

export async function attachContainer(
  engine: Engine,
  id: string,
  { stdin, stdout, stderr, detachKeys }: AttachOptions,
): Promise<Hijacked> {
  return await engine.hijack({
    method: "POST",
    path: `/containers/${objectSegment("container", id)}/attach`,
    query: {
      stream: true,
      ...(stdin && { stdin }),
      ...(stdout && { stdout }),
      ...(stderr && { stderr }),
      ...(detachKeys && { detachKeys }),
    },
    headers: { "Content-Type": "text/plain" },
  });
}

export interface LogsOptions {
  readonly follow?: boolean;
  readonly timestamps?: boolean;
  readonly details?: boolean;
  /** Unix seconds with nanoseconds: `1700000000.000000000`. */
  readonly since?: string;
  readonly until?: string;
  /** An extension: only lines that match. */
  readonly grep?: string;
  readonly tail?: string;
}

/** Frames, or raw bytes for a container with a terminal. */
export async function containerLogs(engine: Engine, id: string, options: LogsOptions): Promise<Reply> {
  const { follow, timestamps, details, since, until, tail, grep } = options;
  return await engine.request({
    method: "GET",
    path: `/containers/${objectSegment("container", id)}/logs`,
    query: {
      stdout: true,
      stderr: true,
      ...(follow && { follow }),
      ...(timestamps && { timestamps }),
      ...(details && { details }),
      ...(since && { since }),
      ...(until && { until }),
      ...(tail && { tail }),
      ...(grep && { grep }),
    },
  });
}

export interface ProcessList {
  readonly Titles: readonly string[];
  readonly Processes: readonly (readonly string[])[] | null;
}

export async function topContainer(
  engine: Engine,
  id: string,
  psArgs: readonly string[],
): Promise<ProcessList> {
  const query = psArgs.length > 0 ? { ps_args: psArgs.join(" ") } : {};
  const reply = await engine.request({
    method: "GET",
    path: `/containers/${objectSegment("container", id)}/top`,
    query,
  });
  return await reply.json();
}

/** Creates an exec instance. @returns its id */
export async function createExec(engine: Engine, container: string, config: object): Promise<string> {
  const path = `/containers/${objectSegment("container", container)}/exec`;
  const { Id } = await (await engine.request({ method: "POST", path, json: config })).json<{ Id?: string }>();
  if (!Id) throw new EngineProtocolError("exec ID empty");
  return Id;
}

export async function startExecDetached(engine: Engine, id: string, config: object): Promise<void> {
  await (await engine.request({ method: "POST", path: `/exec/${id}/start`, json: config })).discard();
}

export async function startExec(engine: Engine, id: string, config: object): Promise<Hijacked> {
  return await engine.hijack({ method: "POST", path: `/exec/${id}/start`, json: config });
}

export async function resizeExec(engine: Engine, id: string, size: { h: number; w: number }): Promise<void> {
  await (await engine.request({ method: "POST", path: `/exec/${id}/resize`, query: size })).discard();
}

export async function inspectExec(
  engine: Engine,
  id: string,
): Promise<{ ExitCode: number; Running: boolean }> {
  return await (await engine.request({ method: "GET", path: `/exec/${id}/json` })).json();
}

/** What statistics say, as far as clients show it. @see the Engine API's ContainerStatsResponse */
export interface StatsDocument {
  readonly name?: string;
  readonly id?: string;
  readonly cpu_stats?: CpuStats;
  readonly precpu_stats?: CpuStats;
  readonly memory_stats?: {
    readonly usage?: number;
    readonly limit?: number;
    readonly stats?: Readonly<Record<string, number>>;
  };
  readonly networks?: Readonly<Record<string, { readonly rx_bytes?: number; readonly tx_bytes?: number }>>;
  readonly blkio_stats?: {
    readonly io_service_bytes_recursive?: readonly { readonly op?: string; readonly value?: number }[] | null;
  };
  readonly pids_stats?: { readonly current?: number };
}

interface CpuStats {
  readonly cpu_usage?: { readonly total_usage?: number; readonly percpu_usage?: readonly number[] };
  readonly system_cpu_usage?: number;
  readonly online_cpus?: number;
}

/** One document with something to compare with, or one a second. */
export async function containerStats(
  engine: Engine,
  id: string,
  { stream, signal }: { readonly stream: boolean; readonly signal?: AbortSignal },
): Promise<AsyncGenerator<StatsDocument, void, undefined>> {
  const reply = await engine.request({
    method: "GET",
    path: `/containers/${objectSegment("container", id)}/stats`,
    query: { stream: stream ? "1" : "0" },
    ...(signal && { signal }),
  });
  return reply.documents<StatsDocument>();
}

/** @returns warnings */
export async function updateContainer(
  engine: Engine,
  id: string,
  change: object,
): Promise<readonly string[]> {
  const reply = await engine.request({
    method: "POST",
    path: `/containers/${objectSegment("container", id)}/update`,
    json: change,
  });
  const { Warnings } = await reply.json<{ Warnings?: string[] | null }>();
  return Warnings ?? [];
}

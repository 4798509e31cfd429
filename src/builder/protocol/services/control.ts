/** `moby.buildkit.v1.Control`: builds, their progress, what is kept, what was built. */
import { nowNano, toRfc3339 } from "../../../base/times.ts";
import type { BuildService, BuildWork, CacheRecord, ExportRequest } from "../../build.ts";
import { fromDefinitionMessage } from "../definitions.ts";
import { type CallContext, duplex, type Method, type Methods, streaming, unary } from "../grpc/server.ts";
import { toStatus } from "../grpc/status.ts";
import type { Channel, RawBytes } from "../grpc/transport.ts";
import * as messages from "../messages/control.ts";
import { type ClientSessions, sessionFacts } from "../session/sessions.ts";
import type { Value } from "../wire/message.ts";
import type { BuildHistory, HistoryRecord } from "./history.ts";
import type { BuildJob, BuildJobs } from "./jobs.ts";
import { toStatusMessages } from "./status.ts";
import { toTimestamp, toTimestampMaybe } from "./times.ts";
import { PROTOCOL_VERSION, type WorkerValue } from "./worker.ts";

const SERVICE = "/moby.buildkit.v1.Control";
type SolveValue = Value<typeof messages.SolveRequest>;

export interface ControlParts {
  readonly builds: BuildService;
  readonly jobs: BuildJobs;
  readonly sessions: ClientSessions;
  readonly history: BuildHistory;
  readonly worker: () => WorkerValue;
  /** Speaks HTTP/2 as a client over bytes that somebody carries. */
  readonly openChannel: (raw: RawBytes) => Channel;
}

export function controlMethods(parts: ControlParts): Methods {
  const { builds, history, worker } = parts;
  const methods: Record<string, Method> = {
    Solve: unary(messages.SolveRequest, messages.SolveResponse, (request, { signal }) =>
      solve(parts, request, signal),
    ),
    Status: streaming(messages.StatusRequest, messages.StatusResponse, (request, context, send) =>
      status(parts, request.ref, context, send),
    ),
    Session: duplex(messages.BytesMessage, messages.BytesMessage, (requests, context, send) =>
      session(parts, requests, context, send),
    ),
    ListWorkers: unary(messages.ListWorkersRequest, messages.ListWorkersResponse, () => ({
      record: [worker()],
    })),
    Info: unary(messages.InfoRequest, messages.InfoResponse, () => ({ buildkitVersion: PROTOCOL_VERSION })),
    DiskUsage: unary(messages.DiskUsageRequest, messages.DiskUsageResponse, async (_, { signal }) => ({
      record: (await builds.cacheRecords(signal)).map(toUsageRecord),
    })),
    Prune: streaming(messages.PruneRequest, messages.UsageRecord, async (request, { signal }, send) => {
      const { filter: filters, ...limits } = request;
      await builds.pruneCache({ ...limits, filters, signal }, (record) => send(toUsageRecord(record)));
    }),
    ListenBuildHistory: streaming(
      messages.BuildHistoryRequest,
      messages.BuildHistoryEvent,
      async (request, context, send) => {
        context.sendHeader([currentTime()]);
        for await (const event of history.events({ ...request, signal: context.signal })) await send(event);
      },
    ),
    UpdateBuildHistory: unary(
      messages.UpdateBuildHistoryRequest,
      messages.UpdateBuildHistoryResponse,
      (request) => {
        // There is nothing left to finalize: records are complete when they are told.
        if (!request.finalize) history.update(request.ref, request);
        return {};
      },
    ),
  };
  return Object.fromEntries(Object.entries(methods).map(([name, method]) => [`${SERVICE}/${name}`, method]));
}

/** Clients compare clocks by it. */
function currentTime(): readonly [string, string] {
  return ["buildkit-current-timestamp", toRfc3339(nowNano())];
}

async function solve(
  { builds, jobs, history }: ControlParts,
  request: SolveValue,
  signal: AbortSignal,
): Promise<Value<typeof messages.SolveResponse>> {
  const inputs = new Map(
    [...request.frontendInputs].map(([name, value]) => [name, fromDefinitionMessage(value)]),
  );
  const job = jobs.start(request.ref, request.session, inputs);
  const record = recordOf(request);
  if (!request.internal) history.put(record);
  try {
    const { exporterResponse } = await builds.build({
      ref: request.ref,
      sessionId: request.session,
      work: workOf(request, job, signal),
      exporters: exportersOf(request),
      cacheExports: (request.cache?.exports ?? []).map(toEntry),
      cacheImports: (request.cache?.imports ?? []).map(toEntry),
      entitlements: new Set(request.entitlements),
      progress: (fact) => job.progress.add(fact),
      signal,
    });
    jobs.finish(job);
    if (!request.internal) history.put(completed(record, job, { exporterResponse }));
    return { exporterResponse };
  } catch (error) {
    jobs.finish(job);
    if (!request.internal) history.put(completed(record, job, { error: toStatus(error) }));
    throw error;
  }
}

function workOf(request: SolveValue, job: BuildJob, signal: AbortSignal): BuildWork {
  const { frontend, frontendAttrs: options, definition } = request;
  if (frontend !== "") return { by: "frontend", frontend, options, inputs: job.inputs };
  if (definition && definition.def.length > 0) {
    return { by: "definition", definition: fromDefinitionMessage(definition) };
  }
  return { by: "client", solve: (gateway) => job.solveByClient(gateway, signal) };
}

/** Newer clients fill in both forms; the list counts then. */
function exportersOf({ exporters, exporter, exporterAttrs }: SolveValue): ExportRequest[] {
  if (exporters.length > 0) return exporters.map(toEntry);
  return exporter === "" ? [] : [toEntry({ type: exporter, attrs: exporterAttrs })];
}

function toEntry({ type, attrs }: Value<typeof messages.TypedEntry>): ExportRequest {
  return { type, attrs: Object.fromEntries(attrs) };
}

/** Ends when the build is over: clients wait for that. */
async function status(
  { jobs }: ControlParts,
  ref: string,
  context: CallContext,
  send: (message: Partial<Value<typeof messages.StatusResponse>>) => Promise<void>,
): Promise<void> {
  context.sendHeader([currentTime()]);
  const job = await jobs.forStatus(ref, context.signal);
  for await (const facts of job.progress.read(context.signal)) {
    for (const message of toStatusMessages(facts)) await send(message);
  }
}

/** A session within a call: its bytes are HTTP/2, with the client as the server. */
async function session(
  { sessions, openChannel }: ControlParts,
  requests: AsyncIterable<Value<typeof messages.BytesMessage>>,
  context: CallContext,
  send: (message: Partial<Value<typeof messages.BytesMessage>>) => Promise<void>,
): Promise<void> {
  const facts = sessionFacts(context.metadata);
  context.sendHeader([]);
  const over = Promise.withResolvers<void>();
  context.signal.addEventListener("abort", () => over.resolve(), { once: true });
  async function* input(): AsyncGenerator<Uint8Array, void, void> {
    try {
      for await (const { data } of requests) yield data;
    } finally {
      over.resolve();
    }
  }
  const channel = openChannel({
    input: input(),
    write: (data) => send({ data }),
    end: () => Promise.resolve(),
    closed: over.promise,
    [Symbol.dispose]: () => over.resolve(),
  });
  await sessions.hold(channel, facts);
}

function toUsageRecord(record: CacheRecord): Value<typeof messages.UsageRecord> {
  const { type, createdAt, lastUsedAt, ...rest } = record;
  return {
    ...rest,
    recordType: type,
    createdAt: toTimestamp(createdAt),
    lastUsedAt: toTimestampMaybe(lastUsedAt),
  };
}

function recordOf(request: SolveValue): HistoryRecord {
  return {
    ...messages.BuildHistoryRecord.empty(),
    ref: request.ref,
    frontend: request.frontend,
    frontendAttrs: request.frontendAttrs,
    exporters: request.exporters,
    createdAt: toTimestamp(nowNano()),
  };
}

function completed(
  record: HistoryRecord,
  job: BuildJob,
  end: Partial<Pick<HistoryRecord, "exporterResponse" | "error">>,
): HistoryRecord {
  const { total, completed: done, cached, warnings } = job.progress.counts;
  return {
    ...record,
    ...end,
    completedAt: toTimestamp(nowNano()),
    numTotalSteps: total,
    numCompletedSteps: done,
    numCachedSteps: cached,
    numWarnings: warnings,
  };
}

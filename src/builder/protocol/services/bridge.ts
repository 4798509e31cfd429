/**
 * `moby.buildkit.v1.frontend.LLBBridge`: what a client, or a frontend in a container, may ask of a build while it makes
 * the graph itself. Which build is meant is told by the metadata of each call.
 */
import { InvalidParameterError, NotImplementedError } from "../../../core/errors.ts";
import type { Digest } from "../../../core/ids.ts";
import type { FrontendResult, ResolveMode } from "../../frontend.ts";
import {
  fromDefinitionMessage,
  fromRangeMessage,
  fromSourceInfoMessage,
  toDefinitionMessage,
} from "../definitions.ts";
import { type CallContext, duplex, type Method, type Methods, unary } from "../grpc/server.ts";
import { fromStatus } from "../grpc/status.ts";
import * as messages from "../messages/gateway.ts";
import { fromPlatformMessage } from "../ops.ts";
import { toStatMessage } from "../session/stats.ts";
import type { Value } from "../wire/message.ts";
import { frontendCapabilities, llbCapabilities } from "./capabilities.ts";
import type { BuildJob, BuildJobs } from "./jobs.ts";
import { toTimestampMaybe } from "./times.ts";
import type { WorkerValue } from "./worker.ts";

const SERVICE = "/moby.buildkit.v1.frontend.LLBBridge";
const BUILD_ID = "buildkit-controlapi-buildid";

/** @param worker what `Ping` says of this host */
export function bridgeMethods(jobs: BuildJobs, worker: () => WorkerValue): Methods {
  const jobOf = (context: CallContext) => {
    const ref = context.metadata.get(BUILD_ID)?.[0];
    if (ref === undefined) throw new InvalidParameterError(`no ${BUILD_ID} found in context`);
    return jobs.forBridge(ref, context.signal);
  };
  return methodsOf(jobOf, worker);
}

/** The bridge of one build: for a frontend that runs in a container of its own. */
export function bridgeMethodsOf(job: BuildJob, worker: () => WorkerValue): Methods {
  return methodsOf(() => Promise.resolve(job), worker);
}

function methodsOf(jobOf: (context: CallContext) => Promise<BuildJob>, worker: () => WorkerValue): Methods {
  const withJob =
    <A, B>(handle: (request: A, job: BuildJob, signal: AbortSignal) => Promise<Partial<B>> | Partial<B>) =>
    async (request: A, context: CallContext) =>
      handle(request, await jobOf(context), context.signal);
  const methods: Record<string, Method> = {
    Ping: unary(messages.PingRequest, messages.PongResponse, () => ({
      frontendApiCaps: frontendCapabilities,
      llbCaps: llbCapabilities,
      workers: [worker()],
    })),
    Solve: unary(messages.SolveRequest, messages.SolveResponse, withJob(solve)),
    Return: unary(messages.ReturnRequest, messages.ReturnResponse, withJob(returnResult)),
    ResolveImageConfig: unary(
      messages.ResolveImageConfigRequest,
      messages.ResolveImageConfigResponse,
      withJob(resolveImageConfig),
    ),
    ResolveSourceMeta: unary(
      messages.ResolveSourceMetaRequest,
      messages.ResolveSourceMetaResponse,
      withJob(resolveSourceMeta),
    ),
    ReadFile: unary(messages.ReadFileRequest, messages.ReadFileResponse, withJob(readFile)),
    ReadDir: unary(messages.ReadDirRequest, messages.ReadDirResponse, withJob(readDir)),
    StatFile: unary(messages.StatFileRequest, messages.StatFileResponse, withJob(statFile)),
    Evaluate: unary(messages.EvaluateRequest, messages.EvaluateResponse, withJob(evaluate)),
    Inputs: unary(
      messages.InputsRequest,
      messages.InputsResponse,
      withJob((_, job) => ({
        definitions: new Map(
          [...job.inputs].map(([name, definition]) => [name, toDefinitionMessage(definition)]),
        ),
      })),
    ),
    Warn: unary(messages.WarnRequest, messages.WarnResponse, withJob(warn)),
    NewContainer: unary(messages.NewContainerRequest, messages.NewContainerResponse, noContainers),
    ReleaseContainer: unary(
      messages.ReleaseContainerRequest,
      messages.ReleaseContainerResponse,
      noContainers,
    ),
    ExecProcess: duplex(messages.ExecMessage, messages.ExecMessage, noContainers),
  };
  return Object.fromEntries(Object.entries(methods).map(([name, method]) => [`${SERVICE}/${name}`, method]));
}

/** Said by the capabilities as well: `gateway.exec` is not among them. */
function noContainers(): never {
  throw new NotImplementedError("containers of the gateway are not implemented (capability gateway.exec)");
}

async function solve(
  request: Value<typeof messages.SolveRequest>,
  job: BuildJob,
  signal: AbortSignal,
): Promise<Partial<Value<typeof messages.SolveResponse>>> {
  const gateway = await job.gateway();
  const cacheImports = request.cacheImports.map(({ type, attrs }) => ({
    type,
    attrs: Object.fromEntries(attrs),
  }));
  let result: FrontendResult;
  if (request.frontend === "") {
    const definition = fromDefinitionMessage(
      request.definition ?? { def: [], metadata: new Map(), source: undefined },
    );
    const ref = await gateway.solve({ definition, evaluate: request.evaluate, cacheImports, signal });
    result = { refs: new Map([["", ref]]), metadata: new Map(), attestations: new Map() };
  } else {
    const inputs = [...request.frontendInputs].map(
      ([name, value]) => [name, fromDefinitionMessage(value)] as const,
    );
    result = await gateway.solveWithFrontend(request.frontend, {
      options: request.frontendOpt,
      inputs: new Map(inputs.length > 0 ? inputs : job.inputs),
      cacheImports,
      signal,
    });
    if (request.evaluate) {
      await Promise.all([...result.refs.values()].map((ref) => ref?.evaluate(signal)));
    }
  }
  const value = job.references.toMessage(result);
  // Clients from before results take one id.
  return request.allowResultReturn ? { result: value } : { ref: value.ref?.id ?? "" };
}

function returnResult(request: Value<typeof messages.ReturnRequest>, job: BuildJob): Record<string, never> {
  const { error, result } = request;
  if (error) job.fail(fromStatus(error));
  else if (result) job.return(job.references.fromMessage(result));
  else throw new InvalidParameterError("return with neither a result nor an error");
  return {};
}

async function resolveImageConfig(
  request: Value<typeof messages.ResolveImageConfigRequest>,
  job: BuildJob,
  signal: AbortSignal,
): Promise<Value<typeof messages.ResolveImageConfigResponse>> {
  const gateway = await job.gateway();
  const { platform, sessionId, storeId } = request;
  const { reference, digest, config } = await gateway.resolveImageConfig(request.ref, {
    platform: platform && fromPlatformMessage(platform),
    resolveMode: resolveModeOf(request.resolveMode),
    logName: request.logName,
    ...(request.resolverType === "oci-layout" ? { ociLayout: { sessionId, storeId } } : {}),
    signal,
  });
  return { ref: reference, digest, config };
}

async function resolveSourceMeta(
  request: Value<typeof messages.ResolveSourceMetaRequest>,
  job: BuildJob,
  signal: AbortSignal,
): Promise<Value<typeof messages.ResolveSourceMetaResponse>> {
  const { source, platform, git } = request;
  if (!source) throw new InvalidParameterError("no source to resolve");
  const gateway = await job.gateway();
  const meta = await gateway.resolveSourceMeta(
    { identifier: source.identifier, attrs: Object.fromEntries(source.attrs) },
    {
      platform: platform && fromPlatformMessage(platform),
      resolveMode: resolveModeOf(request.resolveMode),
      logName: request.logName,
      ...(git ? { git } : {}),
      signal,
    },
  );
  const none = new Uint8Array();
  return {
    source: { identifier: meta.identifier, attrs: new Map(Object.entries(meta.attrs)) },
    image: meta.image && {
      digest: meta.image.digest,
      config: request.image?.noConfig ? none : meta.image.config,
    },
    git: meta.git && {
      ...meta.git,
      commitObject: meta.git.commitObject ?? none,
      tagObject: meta.git.tagObject ?? none,
    },
    http: meta.http && {
      checksum: meta.http.checksum,
      filename: meta.http.filename,
      lastModified: toTimestampMaybe(
        meta.http.lastModified === undefined ? undefined : BigInt(meta.http.lastModified) * 1_000_000n,
      ),
    },
  };
}

function resolveModeOf(text: string): ResolveMode {
  return text === "pull" || text === "local" ? text : "default";
}

async function readFile(
  request: Value<typeof messages.ReadFileRequest>,
  job: BuildJob,
  signal: AbortSignal,
): Promise<Value<typeof messages.ReadFileResponse>> {
  const { range } = request;
  const options = { ...(range ? { range } : {}), signal };
  return { data: await job.references.get(request.ref).readFile(request.path, options) };
}

async function readDir(
  { ref, path, includePattern }: Value<typeof messages.ReadDirRequest>,
  job: BuildJob,
  signal: AbortSignal,
): Promise<Value<typeof messages.ReadDirResponse>> {
  const options = { ...(includePattern === "" ? {} : { includePattern }), signal };
  return { entries: (await job.references.get(ref).readDir(path, options)).map(toStatMessage) };
}

async function statFile(
  { ref, path }: Value<typeof messages.StatFileRequest>,
  job: BuildJob,
  signal: AbortSignal,
): Promise<Value<typeof messages.StatFileResponse>> {
  return { stat: toStatMessage(await job.references.get(ref).stat(path, { signal })) };
}

async function evaluate(
  { ref }: Value<typeof messages.EvaluateRequest>,
  job: BuildJob,
  signal: AbortSignal,
): Promise<Record<string, never>> {
  if (ref !== "") await job.references.get(ref).evaluate(signal);
  return {};
}

async function warn(
  request: Value<typeof messages.WarnRequest>,
  job: BuildJob,
): Promise<Record<string, never>> {
  const gateway = await job.gateway();
  const decoder = new TextDecoder();
  gateway.warn({
    vertex: request.digest === "" ? undefined : (request.digest as Digest),
    level: request.level,
    short: decoder.decode(request.short),
    detail: request.detail.map((line) => decoder.decode(line)),
    url: request.url,
    source: request.info && fromSourceInfoMessage(request.info),
    ranges: request.ranges.map(fromRangeMessage),
  });
  return {};
}

/**
 * `POST /build?version=2`: BuildKit for clients that have its session but not its API (docker CLI 20.10, dockerode). The
 * request is one build of the Dockerfile frontend; the reply is the trace of its progress.
 *
 * @see https://github.com/moby/moby/blob/v28.5.2/daemon/internal/builder-next/builder.go
 */
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import {
  ConflictError,
  EngineError,
  InvalidParameterError,
  messageOf,
  UnavailableError,
} from "../../../core/errors.ts";
import { canonicalString, parseReference, withDefaultTag } from "../../../core/references.ts";
import type { BuildService, ExportRequest } from "../../build.ts";
import { formatWholePlatform, normalizePlatform, parsePlatform } from "../../platforms.ts";
import { StatusResponse } from "../messages/control.ts";
import type { ClientSessions } from "../session/sessions.ts";
import { BuildJob } from "./jobs.ts";
import { toStatusMessages } from "./status.ts";

export interface ApiBuildRequest {
  readonly sessionId: string;
  /** The client's name for the build; `upload-request:ID` brings the context of another one. */
  readonly buildId: string;
  /** `client-session`, `upload-request`, an address; empty: the body is the context. */
  readonly remote: string;
  readonly body: AsyncIterable<Uint8Array>;
  readonly dockerfile: string;
  readonly target: string;
  readonly tags: readonly string[];
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly labels: ReadonlyMap<string, string>;
  readonly cacheFrom: readonly string[];
  readonly noCache: boolean;
  readonly pull: boolean;
  readonly platform: string;
  readonly networkMode: string;
  /** `HOST:IP` */
  readonly extraHosts: readonly string[];
  /** Bytes. */
  readonly shmSize: number;
  readonly ulimits: readonly { readonly Name: string; readonly Soft: number; readonly Hard: number }[];
  readonly outputs: readonly ExportRequest[];
  readonly signal: AbortSignal;
}

export type ApiBuildMessage =
  | { readonly id: "moby.buildkit.trace"; readonly aux: string }
  | { readonly id: "moby.image.id"; readonly aux: { readonly ID: string } };

type Send = (message: ApiBuildMessage) => Promise<void>;

const UPLOAD = "upload-request";
/** How long a build and the request that brings its context wait for each other. */
const PATIENCE = 5_000;

export class ApiBuilds {
  readonly #builds: BuildService;
  readonly #sessions: ClientSessions;
  readonly #running = new Map<string, AbortController>();
  /** Builds that wait for their context to come in a request of its own. */
  readonly #uploads = new Map<string, PromiseWithResolvers<AsyncIterable<Uint8Array>>>();

  constructor(builds: BuildService, sessions: ClientSessions) {
    this.#builds = builds;
    this.#sessions = sessions;
  }

  /** @throws InvalidParameterError before anything runs; whatever stopped the build */
  async build(request: ApiBuildRequest, send: Send): Promise<void> {
    if (request.buildId.startsWith(`${UPLOAD}:`)) {
      await this.#bringContext(request.buildId.slice(UPLOAD.length + 1), request);
      return;
    }
    const exporters = exportersOf(request);
    const options = optionsOf(request);
    using resources = new DisposableStack();
    const cancelled = new AbortController();
    if (request.buildId !== "") {
      this.#running.set(request.buildId, cancelled);
      resources.defer(() => this.#running.delete(request.buildId));
    }
    const signal = AbortSignal.any([request.signal, cancelled.signal]);
    const body = request.remote === UPLOAD ? await this.#awaitContext(request.buildId, signal) : request.body;
    if (request.remote === "" || request.remote === UPLOAD) {
      options.set("context", resources.use(this.#sessions.offer(body)).url);
    } else if (request.remote !== "client-session") {
      options.set("context", request.remote);
    }
    await this.#run(request, { options, exporters, signal, send });
  }

  /** Cancels a build by its client's name for it; whether there is one. */
  cancel(buildId: string): boolean {
    const running = this.#running.get(buildId);
    running?.abort(new Error("context canceled"));
    return running !== undefined;
  }

  async #run(
    request: ApiBuildRequest,
    {
      options,
      exporters,
      signal,
      send,
    }: {
      readonly options: ReadonlyMap<string, string>;
      readonly exporters: readonly ExportRequest[];
      readonly signal: AbortSignal;
      readonly send: Send;
    },
  ): Promise<void> {
    const job = new BuildJob(randomBytes(13).toString("hex"), request.sessionId, new Map());
    const told = tellProgress(job, send);
    told.catch(() => {}); // A client that is gone is told nothing; the build ends by its signal.
    try {
      const { exporterResponse } = await this.#builds.build({
        ref: job.ref,
        sessionId: request.sessionId,
        work: { by: "frontend", frontend: "dockerfile.v0", options, inputs: new Map() },
        exporters,
        cacheExports: inlineCache(request) ? [{ type: "inline", attrs: {} }] : [],
        cacheImports: [],
        entitlements: new Set(request.networkMode === "host" ? ["network.host"] : []),
        progress: (fact) => job.progress.add(fact),
        signal,
      });
      job.end();
      await told;
      const id = exporterResponse.get("containerimage.digest");
      const makesImage = exporters.some(({ type }) => type === "moby" || type === "image");
      if (makesImage && id !== undefined) await send({ id: "moby.image.id", aux: { ID: id } });
    } catch (error) {
      job.end();
      await told.catch(() => {});
      signal.throwIfAborted();
      // What stops a build is what was asked for, unless it says otherwise: it is told, and is no fault of the daemon.
      throw error instanceof EngineError
        ? error
        : new InvalidParameterError(messageOf(error), { cause: error });
    }
  }

  async #awaitContext(buildId: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const upload = Promise.withResolvers<AsyncIterable<Uint8Array>>();
    if (this.#uploads.has(buildId)) throw new ConflictError(`upload for build ${buildId} is awaited already`);
    this.#uploads.set(buildId, upload);
    const late = delay(PATIENCE, undefined, { signal }).then(() => {
      throw new UnavailableError("timeout waiting for upload");
    });
    try {
      return await Promise.race([upload.promise, late]);
    } finally {
      late.catch(() => {});
      this.#uploads.delete(buildId);
    }
  }

  /** Hands its body to the build that waits for it, and ends when that was read. */
  async #bringContext(buildId: string, { body, signal }: ApiBuildRequest): Promise<void> {
    const deadline = Date.now() + PATIENCE;
    let upload = this.#uploads.get(buildId);
    while (!upload) {
      if (Date.now() > deadline) throw new InvalidParameterError(`no build ${buildId} waits for an upload`);
      await delay(20, undefined, { signal });
      upload = this.#uploads.get(buildId);
    }
    const read = Promise.withResolvers<void>();
    async function* passed(): AsyncGenerator<Uint8Array, void, void> {
      try {
        yield* body;
      } finally {
        read.resolve();
      }
    }
    const stop = () => read.resolve();
    signal.addEventListener("abort", stop, { once: true });
    upload.resolve(passed());
    await read.promise;
    signal.removeEventListener("abort", stop);
  }
}

async function tellProgress(job: BuildJob, send: Send): Promise<void> {
  for await (const facts of job.progress.read(new AbortController().signal)) {
    for (const message of toStatusMessages(facts)) {
      const aux = Buffer.from(StatusResponse.encode(message)).toString("base64");
      await send({ id: "moby.buildkit.trace", aux });
    }
  }
}

function exportersOf({ outputs, tags }: ApiBuildRequest): ExportRequest[] {
  if (outputs.length > 1) throw new InvalidParameterError("multiple outputs not supported");
  const [output = { type: "moby", attrs: {} }] = outputs;
  if (output.type === "cacheonly") return [];
  if (output.type !== "moby" && output.type !== "image") return [output];
  const names = tags.map((tag) => canonicalString(withDefaultTag(parseReference(tag))));
  const name = [output.attrs.name, ...names].filter(Boolean).join(",");
  return [{ type: output.type, attrs: { ...output.attrs, ...(name === "" ? {} : { name }) } }];
}

function optionsOf(request: ApiBuildRequest): Map<string, string> {
  const { dockerfile, target, cacheFrom, noCache, pull, platform, shmSize, ulimits, extraHosts } = request;
  const options = new Map<string, string>();
  const set = (name: string, value: string) => void (value !== "" && options.set(name, value));
  set("target", target);
  set("filename", dockerfile === "." ? "" : dockerfile);
  set("cache-from", cacheFrom.join(","));
  for (const [name, value] of request.buildArgs) options.set(`build-arg:${name}`, value);
  for (const [name, value] of request.labels) options.set(`label:${name}`, value);
  if (noCache) options.set("no-cache", "");
  options.set("image-resolve-mode", pull ? "pull" : "default");
  set("platform", platform === "" ? "" : formatWholePlatform(normalizePlatform(parsePlatform(platform))));
  set("force-network-mode", request.networkMode === "default" ? "" : request.networkMode);
  set("shm-size", shmSize > 0 ? String(shmSize) : "");
  set("ulimit", ulimits.map(({ Name, Soft, Hard }) => `${Name}=${Soft}:${Hard}`).join(","));
  set("add-hosts", extraHosts.map(hostOption).join(","));
  return options;
}

/** `HOST:IP` as `HOST=IP`; an address may hold colons. */
function hostOption(text: string): string {
  const at = text.search(/[:=]/);
  if (at < 0) throw new InvalidParameterError(`invalid host ${text}`);
  return `${text.slice(0, at)}=${text.slice(at + 1)}`;
}

function inlineCache({ buildArgs }: ApiBuildRequest): boolean {
  return ["1", "t", "T", "true", "TRUE", "True"].includes(buildArgs.get("BUILDKIT_INLINE_CACHE") ?? "");
}

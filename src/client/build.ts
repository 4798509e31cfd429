/** Builds through `POST /build`, by the engine's BuildKit (`version=2`) with the context in the request's body. */

import { type BuildStatus, decodeBuildStatus } from "./build-status.ts";
import type { Engine, QueryValue } from "./engine.ts";
import { EngineStreamError } from "./errors.ts";

export interface BuildRequest {
  /** A tar archive, or a Dockerfile alone; undefined where `remote` names the context. */
  readonly context: AsyncIterable<Uint8Array> | undefined;
  /** Address of a context that the engine fetches itself. */
  readonly remote: string;
  readonly dockerfile: string;
  readonly tags: readonly string[];
  /** A value that is null is taken from the engine's own. */
  readonly buildArgs: Readonly<Record<string, string | null>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly target: string;
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
  readonly credentials: Readonly<Record<string, object>>;
}

export type BuildMessage =
  | { readonly kind: "status"; readonly status: BuildStatus }
  | { readonly kind: "image"; readonly id: string };

interface StreamMessage {
  readonly id?: string;
  readonly aux?: string | { readonly ID?: string };
  readonly error?: string;
  readonly errorDetail?: { readonly message?: string; readonly code?: number };
}

/** @throws EngineStreamError with the words of what stopped the build */
export async function* buildImage(
  engine: Engine,
  request: BuildRequest,
): AsyncGenerator<BuildMessage, void, undefined> {
  const reply = await engine.request({
    method: "POST",
    path: "/build",
    query: toQuery(request),
    ...(request.context && { bytes: request.context }),
    contentType: "application/x-tar",
    headers: { "X-Registry-Config": Buffer.from(JSON.stringify(request.credentials)).toString("base64url") },
  });
  for await (const message of reply.documents<StreamMessage>()) {
    const failure = message.errorDetail?.message ?? message.error;
    if (failure !== undefined)
      throw new EngineStreamError(`ERROR: failed to solve: ${failure}`, message.errorDetail?.code);
    if (message.id === "moby.buildkit.trace" && typeof message.aux === "string") {
      yield { kind: "status", status: decodeBuildStatus(Buffer.from(message.aux, "base64")) };
    } else if (message.id === "moby.image.id" && typeof message.aux === "object") {
      yield { kind: "image", id: message.aux.ID ?? "" };
    }
  }
}

function toQuery(request: BuildRequest): Readonly<Record<string, QueryValue>> {
  return {
    version: "2",
    t: request.tags,
    dockerfile: request.dockerfile,
    remote: request.remote || undefined,
    buildargs: JSON.stringify(request.buildArgs),
    labels: JSON.stringify(request.labels),
    target: request.target || undefined,
    cachefrom: JSON.stringify(request.cacheFrom),
    nocache: request.noCache ? "1" : undefined,
    pull: request.pull ? "1" : undefined,
    platform: request.platform || undefined,
    networkmode: request.networkMode || undefined,
    extrahosts: request.extraHosts,
    shmsize: request.shmSize > 0 ? request.shmSize : undefined,
    ulimits: request.ulimits.length > 0 ? JSON.stringify(request.ulimits) : undefined,
  };
}

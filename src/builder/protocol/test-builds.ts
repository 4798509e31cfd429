/**
 * For tests of the protocol: a builder that solves nothing. Frontends run for real, directories come from the client's
 * real session, what would be built is only told.
 */

import { nowNano } from "../../base/times.ts";
import { digestOf } from "../../core/digests.ts";
import { NotFoundError } from "../../core/errors.ts";
import type { Digest } from "../../core/ids.ts";
import type { BuildRequest, BuildService } from "../build.ts";
import { dockerfileFrontend } from "../dockerfile/frontend.ts";
import type { Frontend, FrontendResult, Gateway, MaybeReference, Reference } from "../frontend.ts";
import type { Definition } from "../graph/definition.ts";
import type { OpMetadata } from "../graph/ops.ts";
import type { Sessions } from "../session.ts";

const frontends: Readonly<Record<string, Frontend>> = { [dockerfileFrontend.name]: dockerfileFrontend };

export interface ToldBuild {
  readonly request: BuildRequest;
  readonly result: FrontendResult;
}

export class TellingBuilds implements BuildService {
  readonly platforms = [{ os: "linux", architecture: "amd64" }];
  readonly told: ToldBuild[] = [];
  readonly #sessions: Sessions;

  constructor(sessions: Sessions) {
    this.#sessions = sessions;
  }

  async build(request: BuildRequest) {
    const gateway = new TellingGateway(request, this.#sessions);
    const result = await this.#solve(request, gateway);
    for (const [key, ref] of result.refs) await tellSteps(request, key, ref);
    this.told.push({ request, result });
    const digest = digestOf(request.ref);
    return { exporterResponse: new Map([["containerimage.digest", digest]]) };
  }

  async cacheRecords() {
    return [
      {
        id: "record",
        parents: [],
        mutable: false,
        inUse: false,
        shared: false,
        size: 1234,
        createdAt: 1_700_000_000_000_000_000n,
        lastUsedAt: undefined,
        usageCount: 2,
        description: "a record",
        type: "regular" as const,
      },
    ];
  }

  async pruneCache(_: unknown, removed: Parameters<BuildService["pruneCache"]>[1]): Promise<void> {
    for (const record of await this.cacheRecords()) await removed(record);
  }

  #solve({ work, signal }: BuildRequest, gateway: Gateway): Promise<FrontendResult> {
    if (work.by === "client") return work.solve(gateway);
    if (work.by === "definition") {
      return gateway
        .solve({ definition: work.definition, signal })
        .then((ref) => ({ refs: new Map([["", ref]]), metadata: new Map(), attestations: new Map() }));
    }
    return gateway.solveWithFrontend(work.frontend, { ...work, signal });
  }
}

class TellingGateway implements Gateway {
  readonly sessionId: string;
  readonly platforms = [{ os: "linux", architecture: "amd64" }];
  readonly entitlements: ReadonlySet<string>;
  readonly #request: BuildRequest;
  readonly #sessions: Sessions;

  constructor(request: BuildRequest, sessions: Sessions) {
    this.#request = request;
    this.#sessions = sessions;
    this.sessionId = request.sessionId;
    this.entitlements = request.entitlements;
  }

  resolveImageConfig(reference: string): ReturnType<Gateway["resolveImageConfig"]> {
    return Promise.reject(new NotFoundError(`${reference}: not found`));
  }

  resolveSourceMeta(
    source: Parameters<Gateway["resolveSourceMeta"]>[0],
  ): ReturnType<Gateway["resolveSourceMeta"]> {
    return Promise.resolve(source);
  }

  async solve({ definition }: Parameters<Gateway["solve"]>[0]): Promise<MaybeReference> {
    if (!definition.result) return undefined;
    return this.#reference(definition);
  }

  solveWithFrontend(...[name, request]: Parameters<Gateway["solveWithFrontend"]>): Promise<FrontendResult> {
    const frontend = frontends[name];
    if (!frontend) return Promise.reject(new NotFoundError(`frontend ${name} not found`));
    return frontend.solve(request, this);
  }

  warn(warning: Parameters<Gateway["warn"]>[0]): void {
    this.#request.progress({ type: "warning", warning });
  }

  step<T>(_: string, work: (log: (text: string) => void) => Promise<T>): Promise<T> {
    return work(() => {});
  }

  #reference(definition: Definition): Reference {
    const missing = (path: string) => new NotFoundError(`open ${path}: no such file or directory`);
    return {
      id: `ref-${definition.result?.digest}`,
      definition,
      evaluate: () => tellSteps(this.#request, "", this.#reference(definition)),
      readFile: async (path, { signal }) => {
        for (const { op } of definition.ops.values()) {
          if (op.type !== "source" || !op.identifier.startsWith("local://")) continue;
          const bytes = await this.#readLocal(op.identifier.slice("local://".length), op.attrs, path, signal);
          if (bytes) return bytes;
        }
        throw missing(path);
      },
      readDir: (path) => Promise.reject(missing(path)),
      stat: (path) => Promise.reject(missing(path)),
    };
  }

  async #readLocal(
    directory: string,
    attrs: Readonly<Record<string, string>>,
    path: string,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const session = await this.#sessions.get(attrs["local.session"] ?? this.sessionId, { signal });
    const list = (name: string) => JSON.parse(attrs[name] ?? "[]") as string[];
    await using transfer = await session.openDirectory(directory, {
      includePatterns: list("local.includepattern"),
      excludePatterns: list("local.excludepatterns"),
      followPaths: list("local.followpaths"),
      signal,
    });
    let index = 0;
    let found: number | undefined;
    for await (const batch of transfer.entries) {
      for (const stat of batch) {
        if (stat.path === path) found = index;
        index++;
      }
    }
    const pieces: Uint8Array[] = [];
    if (found !== undefined) {
      transfer.request(found);
      for await (const { bytes, end } of transfer.data) {
        pieces.push(bytes);
        if (end) break;
      }
    }
    await transfer.finish();
    return found === undefined ? undefined : Buffer.concat(pieces);
  }
}

/** Tells every step as done, with a line of output each. */
async function tellSteps(request: BuildRequest, _: string, ref: MaybeReference): Promise<void> {
  if (!ref) return;
  for (const [digest, op] of ref.definition.ops) {
    const name = nameOf(ref.definition.metadata.get(digest), digest);
    const started = nowNano();
    const vertex = {
      digest,
      inputs: op.inputs.map((input) => input.digest),
      name,
      cached: false,
      started,
      completed: undefined,
      error: "",
    };
    request.progress({ type: "vertex", vertex });
    const bytes = new TextEncoder().encode(`did ${name}\n`);
    request.progress({ type: "log", log: { vertex: digest, timestamp: nowNano(), stream: "stdout", bytes } });
    request.progress({ type: "vertex", vertex: { ...vertex, completed: nowNano() } });
  }
}

function nameOf(metadata: OpMetadata | undefined, digest: Digest): string {
  return metadata?.description["llb.customname"] ?? digest;
}

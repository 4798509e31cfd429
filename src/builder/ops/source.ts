/** SourceOp: what builds begin with. */
import type { Platform } from "../../core/content.ts";
import { InvalidParameterError, NotImplementedError } from "../../core/errors.ts";
import { formatPlatform } from "../../core/manifests.ts";
import { hashOf } from "../cache/store.ts";
import type { SourceOp } from "../graph/ops.ts";
import type { SolverDeps } from "../solve/deps.ts";
import type { Operation } from "../solve/operation.ts";
import type { Downloads } from "./downloads.ts";
import type { ImageSources } from "./image-sources.ts";
import type { LocalSources } from "./local-sources.ts";

export interface SourceDeps {
  readonly solver: SolverDeps;
  readonly locals: LocalSources;
  readonly images: ImageSources;
  readonly downloads: Downloads;
}

export function sourceOperation(deps: SourceDeps, op: SourceOp, platform: Platform | undefined): Operation {
  const [, scheme = "", rest = ""] = /^([a-z+-]+):\/\/(.*)$/s.exec(op.identifier) ?? [];
  switch (scheme) {
    case "docker-image":
      return imageOperation(deps, op, rest, platform);
    case "local":
      return localOperation(deps, op, rest);
    case "http":
    case "https":
      return httpOperation(deps.downloads, op);
    case "":
      throw new InvalidParameterError(`failed to parse source identifier ${JSON.stringify(op.identifier)}`);
    default:
      throw new NotImplementedError(`sources of the kind ${scheme}:// are not implemented`);
  }
}

function imageOperation(
  { images }: SourceDeps,
  { attrs }: SourceOp,
  reference: string,
  platform: Platform | undefined,
): Operation {
  const mode = attrs["image.resolvemode"] ?? "default";
  const wanted = platform && formatPlatform(platform);
  return {
    selectors: [],
    outputs: 1,
    description: `pulled from ${reference}`,
    async cacheKey({ sessionId, signal }) {
      const image = await images.resolve(reference, { platform: wanted, mode, sessionId, signal });
      return `image:${hashOf(image.layers.at(-1)?.chainId ?? "scratch")}`;
    },
    async run({ sessionId, signal }) {
      const image = await images.resolve(reference, { platform: wanted, mode, sessionId, signal });
      return [{ kind: "layers", layers: image.layers }];
    },
  };
}

function localOperation({ locals }: SourceDeps, { attrs }: SourceOp, name: string): Operation {
  return {
    selectors: [],
    outputs: 1,
    description: `local source for ${name}`,
    cacheKey: async () => undefined,
    async run({ sessionId, signal, cleanup }, _inputs, report) {
      const root = await locals.receive(
        {
          name,
          sessionId: attrs["local.session"] || sessionId,
          sharedKeyHint: attrs["local.sharedkeyhint"] ?? name,
          includePatterns: listOf(attrs, "local.includepattern"),
          excludePatterns: listOf(attrs, "local.excludepatterns"),
          followPaths: listOf(attrs, "local.followpaths"),
        },
        { signal, cleanup, report },
      );
      return [{ kind: "directory", root }];
    },
  };
}

function httpOperation(downloads: Downloads, { identifier, attrs }: SourceOp): Operation {
  const request = {
    url: identifier,
    filename: attrs["http.filename"] ?? "",
    checksum: attrs["http.checksum"] ?? "",
    mode: attrs["http.perm"] ? Number(attrs["http.perm"]) : 0o600,
    uid: Number(attrs["http.uid"] ?? 0),
    gid: Number(attrs["http.gid"] ?? 0),
  };
  return {
    selectors: [],
    outputs: 1,
    description: identifier,
    async cacheKey(context) {
      const { digest, filename, mtime } = await downloads.fetch(request, context);
      return `http:${hashOf(filename, String(request.mode), `${request.uid}:${request.gid}`, digest, String(mtime))}`;
    },
    async run(context) {
      const { root } = await downloads.fetch(request, context);
      return [{ kind: "directory", root }];
    },
  };
}

/** @throws InvalidParameterError */
function listOf(attrs: SourceOp["attrs"], name: string): string[] {
  const text = attrs[name];
  if (!text) return [];
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list) && list.every((one) => typeof one === "string")) return list;
  } catch {
    // said below
  }
  throw new InvalidParameterError(`invalid ${name}: not a JSON list of strings`);
}

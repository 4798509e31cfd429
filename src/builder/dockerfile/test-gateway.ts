/** For tests: a gateway that answers from memory, and a build through it. */
import { digestOf } from "../../core/digests.ts";
import { NotFoundError } from "../../core/errors.ts";
import type { BuildWarning, FrontendResult, Gateway, Reference, SourceMeta } from "../frontend.ts";
import type { Definition } from "../graph/definition.ts";
import type { Op } from "../graph/ops.ts";
import type { ImageDocument } from "./convert/image.ts";
import { dockerfileFrontend } from "./frontend.ts";

export interface World {
  /** Files by the directory of the client's that they are in: `dockerfile/Dockerfile`. */
  readonly files?: Readonly<Record<string, string>>;
  /** Configurations by canonical reference. */
  readonly images?: Readonly<Record<string, object>>;
  readonly options?: Readonly<Record<string, string>>;
  readonly inputs?: ReadonlyMap<string, Definition>;
  readonly meta?: (identifier: string) => Partial<SourceMeta>;
}

export interface Built {
  readonly result: FrontendResult;
  readonly warnings: string[];
  readonly forwarded: ReadonlyMap<string, string>[];
  /** Names of images whose configuration was asked for. */
  readonly resolved: string[];
  /** Of the last definition: ops from the first to the last, with the name that clients show. */
  readonly steps: { readonly name: string; readonly op: Op }[];
  readonly config: ImageDocument;
}

/** @param dockerfile the file's text */
export async function buildWith(dockerfile: string, world: World = {}): Promise<Built> {
  const files: Record<string, string> = { "dockerfile/Dockerfile": dockerfile, ...world.files };
  const warnings: BuildWarning[] = [];
  const forwarded: ReadonlyMap<string, string>[] = [];
  const resolved: string[] = [];
  const gateway: Gateway = {
    sessionId: "session",
    platforms: [{ os: "linux", architecture: "amd64" }],
    entitlements: new Set(),
    resolveImageConfig(reference) {
      resolved.push(reference);
      const config = world.images?.[reference];
      if (!config) return Promise.reject(new NotFoundError(`${reference}: not found`));
      const bytes = new TextEncoder().encode(JSON.stringify(config));
      return Promise.resolve({ reference, digest: digestOf(reference), config: bytes });
    },
    resolveSourceMeta: (source) => Promise.resolve({ ...source, ...world.meta?.(source.identifier) }),
    solve: ({ definition }) =>
      Promise.resolve(definition.result ? referenceTo(definition, files) : undefined),
    solveWithFrontend(_, request) {
      forwarded.push(request.options);
      return Promise.resolve({ refs: new Map(), metadata: new Map(), attestations: new Map() });
    },
    warn: (warning) => warnings.push(warning),
    step: (_, work) => work(() => {}),
  };
  const result = await dockerfileFrontend.solve(
    {
      options: new Map(Object.entries(world.options ?? {})),
      inputs: world.inputs ?? new Map(),
      signal: new AbortController().signal,
    },
    gateway,
  );
  const config = result.metadata.get("containerimage.config");
  return {
    result,
    warnings: warnings.map((warning) => warning.short),
    forwarded,
    resolved,
    steps: stepsOf([...result.refs.values()][0]?.definition),
    config: JSON.parse(config ? new TextDecoder().decode(config) : "{}") as ImageDocument,
  };
}

export function textOf(result: FrontendResult, name: string): string {
  return new TextDecoder().decode(result.metadata.get(name));
}

function stepsOf(definition: Definition | undefined): Built["steps"] {
  return [...(definition?.ops ?? [])].map(([digest, op]) => ({
    name: definition?.metadata.get(digest)?.description["llb.customname"] ?? "",
    op,
  }));
}

/** Reads files of the local directories that a definition names. */
function referenceTo(definition: Definition, files: Readonly<Record<string, string>>): Reference {
  const directories = [...definition.ops.values()].flatMap(({ op }) =>
    op.type === "source" && op.identifier.startsWith("local://")
      ? [op.identifier.slice("local://".length)]
      : [],
  );
  const notFound = (path: string) => new NotFoundError(`open ${path}: no such file or directory`);
  return {
    id: "ref",
    definition,
    evaluate: () => Promise.resolve(),
    readFile(path) {
      const text = directories
        .map((directory) => files[`${directory}/${path}`])
        .find((found) => found !== undefined);
      return text === undefined
        ? Promise.reject(notFound(path))
        : Promise.resolve(new TextEncoder().encode(text));
    },
    readDir: (path) => Promise.reject(notFound(path)),
    stat: (path) => Promise.reject(notFound(path)),
  };
}

/** The gateway of one build: what frontends and clients solve through, and references to what they solved. */
import { randomBytes } from "node:crypto";
import { matchesGlob } from "../../base/patterns.ts";
import type { Platform } from "../../core/content.ts";
import { InvalidParameterError, NotFoundError, NotImplementedError } from "../../core/errors.ts";
import { formatPlatform } from "../../core/manifests.ts";
import { checkAttestations } from "../export/options.ts";
import type {
  BuildWarning,
  FileStat,
  Frontend,
  FrontendResult,
  Gateway,
  MaybeReference,
  Reference,
  ResolvedImageConfig,
  ResolveImageOptions,
  ResolveSourceOptions,
  SolveRequest,
  SourceMeta,
} from "../frontend.ts";
import type { Definition } from "../graph/definition.ts";
import type { ImageSources } from "../ops/image-sources.ts";
import { openReadable, type ReadableTree } from "../ops/trees.ts";
import { warnOfCacheImports } from "./caches.ts";
import type { SolverDeps } from "./deps.ts";
import type { Output } from "./output.ts";
import type { BuildProgress } from "./progress-log.ts";
import type { BuildRun } from "./run.ts";

const LARGEST_FILE = 16 << 20;

export interface GatewayParts {
  readonly deps: SolverDeps;
  readonly run: BuildRun;
  readonly progress: BuildProgress;
  readonly images: ImageSources;
  readonly frontends: ReadonlyMap<string, Frontend>;
  readonly sessionId: string;
  readonly platforms: readonly Platform[];
  readonly entitlements: ReadonlySet<string>;
  readonly signal: AbortSignal;
  readonly cleanup: AsyncDisposableStack;
}

export class BuildGateway implements Gateway {
  readonly #parts: GatewayParts;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
  }

  get sessionId(): string {
    return this.#parts.sessionId;
  }

  get platforms(): readonly Platform[] {
    return this.#parts.platforms;
  }

  get entitlements(): ReadonlySet<string> {
    return this.#parts.entitlements;
  }

  async resolveImageConfig(reference: string, options: ResolveImageOptions): Promise<ResolvedImageConfig> {
    if (options.ociLayout) throw new NotImplementedError("images of an OCI layout are not implemented");
    const { progress, images, sessionId } = this.#parts;
    const platform = options.platform && formatPlatform(options.platform);
    const id = `resolve ${reference} ${platform ?? ""} ${options.resolveMode}`;
    const image = await progress.step(options.logName, id, () =>
      images.resolve(reference, { platform, mode: options.resolveMode, sessionId, signal: options.signal }),
    );
    return {
      reference,
      digest: image.id,
      config: new TextEncoder().encode(JSON.stringify(image.config)),
    };
  }

  async resolveSourceMeta(
    source: { readonly identifier: string; readonly attrs: Readonly<Record<string, string>> },
    options: ResolveSourceOptions,
  ): Promise<SourceMeta> {
    const [, scheme, rest = ""] = /^([a-z+-]+):\/\/(.*)$/s.exec(source.identifier) ?? [];
    if (scheme === "docker-image") {
      const { digest, config } = await this.resolveImageConfig(rest, options);
      return { ...source, image: { digest, config } };
    }
    if (scheme === "local") return source;
    throw new NotImplementedError(`sources of the kind ${scheme ?? ""}:// are not implemented`);
  }

  async solve({ definition, evaluate, cacheImports = [], signal }: SolveRequest): Promise<MaybeReference> {
    const { result } = definition;
    if (!result) return undefined;
    checkDefinition(definition);
    warnOfCacheImports(cacheImports, this.#parts.progress);
    this.#parts.run.load(definition);
    const reference = new SolvedReference(this.#parts, definition);
    signal.throwIfAborted();
    if (evaluate) await reference.evaluate();
    return reference;
  }

  async solveWithFrontend(
    name: string,
    request: Parameters<Gateway["solveWithFrontend"]>[1],
  ): Promise<FrontendResult> {
    checkAttestations(request.options);
    warnOfCacheImports(request.cacheImports ?? [], this.#parts.progress);
    const frontend = this.#parts.frontends.get(name);
    if (!frontend) throw new NotImplementedError(`frontend ${name} not found`);
    return await frontend.solve(request, this);
  }

  warn(warning: BuildWarning): void {
    this.#parts.progress.sink({ type: "warning", warning });
  }

  async step<T>(name: string, work: (log: (text: string) => void) => Promise<T>): Promise<T> {
    const encoder = new TextEncoder();
    return await this.#parts.progress.step(name, `step ${name}`, (report) =>
      work((text) => report.log("stdout", encoder.encode(text))),
    );
  }
}

/** Every input must be there, with as many outputs as are used (S09). @throws InvalidParameterError */
export function checkDefinition({ ops, result }: Definition): void {
  for (const [digest, { inputs }] of ops) {
    for (const input of inputs) {
      if (!ops.has(input.digest))
        throw new InvalidParameterError(`invalid missing input digest ${input.digest} of ${digest}`);
      if (!Number.isInteger(input.index) || input.index < 0) {
        throw new InvalidParameterError(`invalid input index ${input.index} of ${digest}`);
      }
    }
  }
  if (result && !ops.has(result.digest))
    throw new InvalidParameterError(`invalid missing vertex ${result.digest}`);
}

/** What exporters need of a reference of ours. */
export interface ExportableReference extends Reference {
  output(): Promise<Output>;
}

class SolvedReference implements ExportableReference {
  readonly id = randomBytes(12).toString("hex");
  readonly definition: Definition;
  readonly #parts: GatewayParts;
  #output: Promise<Output> | undefined;
  #tree: Promise<ReadableTree> | undefined;

  constructor(parts: GatewayParts, definition: Definition) {
    this.#parts = parts;
    this.definition = definition;
  }

  output(): Promise<Output> {
    const { result } = this.definition;
    if (!result) throw new InvalidParameterError("a definition without a result");
    this.#output ??= this.#parts.run.output(this.definition, result);
    return this.#output;
  }

  async evaluate(): Promise<void> {
    await this.output();
  }

  /** Mounted until the build is over. */
  async #root(): Promise<string> {
    this.#tree ??= this.output()
      .then((output) => openReadable(this.#parts.deps, output))
      .then((tree) => this.#parts.cleanup.use(tree));
    return (await this.#tree).root;
  }

  async readFile(
    path: string,
    { range }: { range?: { offset: number; length: number }; signal: AbortSignal },
  ): Promise<Uint8Array> {
    const bytes = await this.#parts.deps.roots.readFile(await this.#root(), path, LARGEST_FILE);
    if (bytes === undefined)
      throw new NotFoundError(`open ${path}: no such file or directory`, { subject: path });
    if (!range) return bytes;
    const end = range.length > 0 ? range.offset + range.length : bytes.length;
    return bytes.subarray(range.offset, end);
  }

  async readDir(path: string, { includePattern }: { includePattern?: string }): Promise<readonly FileStat[]> {
    const entries = await this.#parts.deps.roots.readDirectory(await this.#root(), path);
    if (!entries) throw new NotFoundError(`open ${path}: no such file or directory`, { subject: path });
    const named = entries.filter(({ name }) => !includePattern || matchesGlob(includePattern, name));
    return named.map(({ name, ...entry }) => toStat(name, entry));
  }

  async stat(path: string): Promise<FileStat> {
    const entry = await this.#parts.deps.roots.describe(await this.#root(), path);
    if (!entry) throw new NotFoundError(`lstat ${path}: no such file or directory`, { subject: path });
    return toStat(path.split("/").filter(Boolean).at(-1) ?? "/", entry);
  }
}

function toStat(path: string, entry: Omit<FileStat, "path" | "xattrs">): FileStat {
  return { ...entry, path, xattrs: new Map() };
}

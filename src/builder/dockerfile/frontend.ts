/**
 * The Dockerfile frontend: from the options of a build to references and image configurations, one for each platform.
 *
 * @see https://github.com/moby/buildkit/blob/master/frontend/dockerfile/builder/build.go
 */
import type { Platform } from "../../core/content.ts";
import { parseReference } from "../../core/references.ts";
import { SourceError, UnsupportedCapabilityError, UnsupportedRequestError } from "../errors.ts";
import type { Frontend, FrontendRequest, FrontendResult, Gateway, MaybeReference } from "../frontend.ts";
import type { SourceInfo } from "../graph/definition.ts";
import { formatWholePlatform, normalizePlatform } from "../platforms.ts";
import { type Converted, type ConvertOptions, convert } from "./convert/convert.ts";
import { encodeImage } from "./convert/image.ts";
import { toDefinition } from "./convert/output.ts";
import { parseStages } from "./instructions/parse.ts";
import { type LintWarning, noLint, shortWarning, type WarningSink } from "./lint/linter.ts";
import { detectSyntax } from "./parser/directives.ts";
import { parseDockerfile } from "./parser/parse.ts";
import {
  type Answer,
  DESCRIBE,
  describeAnswer,
  LINT,
  lintAnswer,
  OUTLINE,
  outlineAnswer,
  TARGETS,
  targetsAnswer,
} from "./requests/requests.ts";
import { wrapped } from "./source/errors.ts";
import { findLocated, type SourceRange } from "./source/ranges.ts";
import { BuildContexts, type Entrypoint } from "./ui/context.ts";
import { type BuildOptions, readOptions } from "./ui/options.ts";

export const DOCKERFILE_FRONTEND = "dockerfile.v0";
const GATEWAY_FRONTEND = "gateway.v0";
const SYNTAX_ARG = "build-arg:BUILDKIT_SYNTAX";

const CAPABILITIES: ReadonlySet<string> = new Set([
  "moby.buildkit.frontend.inputs",
  "moby.buildkit.frontend.subrequests",
  "moby.buildkit.frontend.contexts",
  "moby.buildkit.frontend.gitquerystring",
]);

export const dockerfileFrontend: Frontend = {
  name: DOCKERFILE_FRONTEND,
  async solve(request, gateway) {
    const missing = missingCapability(request.options.get("frontend.caps") ?? "");
    if (missing && !missing.mayForward) throw new UnsupportedCapabilityError(missing.name);
    const options = readOptions(request.options);
    const contexts = new BuildContexts(gateway, request, options);
    const entrypoint = await contexts.readEntrypoint("Dockerfile");
    const forwarded = await forward(entrypoint, request, gateway);
    if (forwarded) return forwarded;
    if (missing) throw new UnsupportedCapabilityError(missing.name);
    const build = new Build(request, gateway, options, contexts, entrypoint);
    const answer = await build.answer(request.options.get("requestid"));
    if (answer) return answerResult(answer);
    return inSource(entrypoint.info, () => build.run());
  },
};

/** What a client needs and we do not know; `+forward`: a frontend that the file names may know it. */
function missingCapability(list: string): { name: string; mayForward: boolean } | undefined {
  if (list === "") return undefined;
  const unknown = list
    .split(",")
    .map((entry) => ({ name: entry.split("+", 1)[0] ?? "", mayForward: entry.includes("+forward") }))
    .filter(({ name }) => !CAPABILITIES.has(name));
  return unknown.find((entry) => !entry.mayForward) ?? unknown[0];
}

/** Lets the frontend do it that the build or the file names, unless that is this one. */
async function forward(
  entrypoint: Entrypoint,
  request: FrontendRequest,
  gateway: Gateway,
): Promise<FrontendResult | undefined> {
  if (request.options.has("cmdline")) return undefined;
  const given = request.options.get(SYNTAX_ARG)?.trim();
  const choice =
    given === undefined
      ? detectSyntax(entrypoint.text)
      : { image: given.split(" ", 1)[0] ?? "", cmdline: given, location: undefined };
  if (!choice || isOurs(choice.image)) return undefined;
  const options = new Map([...request.options, ["cmdline", choice.cmdline], ["source", choice.image]]);
  try {
    return await gateway.solveWithFrontend(GATEWAY_FRONTEND, { ...request, options });
  } catch (error) {
    request.signal.throwIfAborted();
    if (SourceError.in(error)) throw error;
    if (choice.location) throw new SourceError(error, entrypoint.info, choice.location);
    throw wrapped(`failed with ${SYNTAX_ARG} = ${choice.cmdline}`, error);
  }
}

const OUR_PATHS = new Set(["docker/dockerfile", "docker/dockerfile-upstream"]);

/** Docker's own frontend, in any version, is this one: nothing is pulled for it. */
export function isOurs(image: string): boolean {
  if (image === DOCKERFILE_FRONTEND) return true;
  try {
    const { domain, path } = parseReference(image);
    return domain === "docker.io" && OUR_PATHS.has(path);
  } catch {
    return false;
  }
}

class Build {
  readonly #request: FrontendRequest;
  readonly #gateway: Gateway;
  readonly #options: BuildOptions;
  readonly #contexts: BuildContexts;
  readonly #entrypoint: Entrypoint;

  constructor(
    request: FrontendRequest,
    gateway: Gateway,
    options: BuildOptions,
    contexts: BuildContexts,
    entrypoint: Entrypoint,
  ) {
    this.#request = request;
    this.#gateway = gateway;
    this.#options = options;
    this.#contexts = contexts;
    this.#entrypoint = entrypoint;
  }

  /** Answers a question, if one was asked. @throws UnsupportedRequestError */
  async answer(question: string | undefined): Promise<Answer | undefined> {
    const { text, info } = this.#entrypoint;
    const [platform] = this.#options.targetPlatforms;
    switch (question) {
      case undefined:
        return undefined;
      case DESCRIBE:
        return describeAnswer();
      case TARGETS:
        return targetsAnswer(parseStages(parseDockerfile(text).nodes, noLint).stages, info);
      case OUTLINE: {
        const { target } = await convert(this.#conversion(platform, undefined));
        return outlineAnswer(target, info);
      }
      case LINT:
        return this.#lint(platform);
      default:
        throw new UnsupportedRequestError(question);
    }
  }

  /** Without a target all stages are looked at, also those that the last one does not need. */
  async #lint(platform: Platform | undefined): Promise<Answer> {
    const warnings: LintWarning[] = [];
    const conversion = this.#conversion(platform, (warning) => warnings.push(warning));
    let failure: unknown;
    try {
      await convert({ ...conversion, allStages: this.#options.target === "" });
    } catch (error) {
      this.#request.signal.throwIfAborted();
      failure = error;
    }
    return lintAnswer(warnings, this.#entrypoint.info, failure);
  }

  /** All platforms side by side; only the first one's warnings are told, since all have the same. */
  async run(): Promise<FrontendResult> {
    const { targetPlatforms } = this.#options;
    const targets: readonly (Platform | undefined)[] =
      targetPlatforms.length === 0 ? [undefined] : targetPlatforms;
    const results = await Promise.all(
      targets.map((platform, index) => this.#buildOne(platform, index === 0)),
    );
    return this.#result(results);
  }

  async #buildOne(platform: Platform | undefined, warns: boolean): Promise<PlatformResult> {
    const converted = await convert(
      this.#conversion(platform, warns ? (warning) => this.#warn(warning) : undefined),
    );
    const ref = await this.#gateway.solve({
      definition: toDefinition(converted.output, this.#entrypoint.info),
      cacheImports: this.#options.cacheImports,
      signal: this.#request.signal,
    });
    const shown = normalizePlatform(platform ?? this.#nativePlatform());
    return { id: formatWholePlatform(shown), platform: shown, ref, converted };
  }

  #result(results: readonly PlatformResult[]): FrontendResult {
    const { multiPlatform } = this.#options;
    const refs = new Map<string, MaybeReference>();
    const metadata = new Map<string, Uint8Array>();
    const encode = (text: string) => new TextEncoder().encode(text);
    for (const { id, ref, converted } of results) {
      const key = (name: string) => (multiPlatform ? `${name}/${id}` : name);
      refs.set(multiPlatform ? id : "", ref);
      metadata.set(key("containerimage.config"), encodeImage(converted.image));
      if (converted.baseImage) {
        metadata.set(key("containerimage.base.config"), encodeImage(converted.baseImage));
      }
      if (converted.epoch !== undefined)
        metadata.set(key("source.date.epoch"), encode(String(converted.epoch)));
    }
    const Platforms = results.map(({ id, platform }) => ({ ID: id, Platform: platform }));
    metadata.set("refs.platforms", encode(JSON.stringify({ Platforms })));
    return { refs, metadata, attestations: new Map() };
  }

  #conversion(targetPlatform: Platform | undefined, warn: WarningSink | undefined): ConvertOptions {
    return {
      options: this.#options,
      gateway: this.#gateway,
      request: this.#request,
      contexts: this.#contexts,
      entrypoint: this.#entrypoint,
      targetPlatform,
      buildPlatforms: [this.#nativePlatform()],
      warn,
    };
  }

  #warn(warning: LintWarning): void {
    this.#gateway.warn({
      vertex: this.#entrypoint.info.definition?.result?.digest,
      level: 1,
      short: shortWarning(warning),
      detail: [warning.description],
      url: warning.url,
      source: this.#entrypoint.info,
      ranges: warning.location,
    });
  }

  #nativePlatform(): Platform {
    const [native] = this.#gateway.platforms;
    if (!native) throw new Error("the gateway names no platform");
    return normalizePlatform(native);
  }
}

interface PlatformResult {
  readonly id: string;
  readonly platform: Platform;
  readonly ref: MaybeReference;
  readonly converted: Converted;
}

function answerResult(answer: Answer): FrontendResult {
  const encoder = new TextEncoder();
  const metadata = new Map([...answer].map(([name, text]) => [name, encoder.encode(text)]));
  return { refs: new Map([["", undefined]]), metadata, attestations: new Map() };
}

/** Ties what went wrong to the file, so that clients can show the lines. */
async function inSource<T>(info: SourceInfo, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const located = findLocated(error);
    if (!located) throw error;
    throw located.locations.reduce<unknown>(
      (inner, ranges: readonly SourceRange[]) => new SourceError(inner, info, ranges),
      error,
    );
  }
}

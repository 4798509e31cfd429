/**
 * The classic builder: `POST /build` as clients without BuildKit use it. A Dockerfile is run from top to bottom, each step
 * makes an image, and those images are the cache.
 */
import type { BaseImage } from "../../core/build-images.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import { type Digest, randomId, shortId } from "../../core/ids.ts";
import { parseInstruction, parseStages } from "../dockerfile/instructions/parse.ts";
import type { Stage } from "../dockerfile/instructions/types.ts";
import { noLint } from "../dockerfile/lint/linter.ts";
import { parseDockerfile } from "../dockerfile/parser/parse.ts";
import { environmentFrom } from "../dockerfile/shell/environment.ts";
import { expand, type ShellSyntax } from "../dockerfile/shell/expand.ts";
import { BuildArguments } from "./build-args.ts";
import { StepCache } from "./cache.ts";
import { openContext } from "./context.ts";
import type { ClassicDeps } from "./deps.ts";
import type { BuildMessage, ClassicBuildOptions } from "./options.ts";
import { ClassicOutput } from "./output.ts";
import { initialConfig } from "./run-config.ts";
import { idOf, moveTo, type StageState } from "./state.ts";
import { runStep, type StepEnvironment } from "./steps.ts";

export { StepFailedError } from "./steps.ts";

export interface ClassicBuildRequest {
  readonly options: ClassicBuildOptions;
  readonly source: { readonly archive: AsyncIterable<Uint8Array> } | { readonly dockerfile: string };
  readonly send: (message: BuildMessage) => void;
  readonly signal: AbortSignal;
}

/** Builds, and names the result. @throws EngineError, DockerfileError, StepFailedError */
export async function buildClassic(deps: ClassicDeps, request: ClassicBuildRequest): Promise<Digest> {
  const { options, signal } = request;
  const names = options.tags.map((tag) => deps.images.checkName(tag));
  const output = new ClassicOutput(request.send);
  await using context = await openContext(deps, request.source, { dockerfile: options.dockerfile, signal });
  const id = await new ClassicBuild(deps, { options, output, context: context.root, signal }).run(
    context.dockerfile,
  );
  output.text(`Successfully built ${shortId(id)}\n`);
  for (const name of names) {
    deps.images.tag(id, name);
    output.text(`Successfully tagged ${name}\n`);
  }
  return id;
}

interface BuildParts {
  readonly options: ClassicBuildOptions;
  readonly output: ClassicOutput;
  readonly context: string;
  readonly signal: AbortSignal;
}

class ClassicBuild {
  readonly #deps: ClassicDeps;
  readonly #parts: BuildParts;
  readonly #args: BuildArguments;
  readonly #cache: StepCache;
  readonly #stages: { readonly name: string; readonly image: BaseImage | undefined }[] = [];
  readonly #trees = new Map<Digest, string>();
  readonly #cleanup = new AsyncDisposableStack();
  readonly #held = new DisposableStack();
  #step = 0;
  #count = 0;

  constructor(deps: ClassicDeps, parts: BuildParts) {
    this.#deps = deps;
    this.#parts = parts;
    this.#args = new BuildArguments(parts.options.buildArgs);
    this.#cache = new StepCache(deps.images, {
      noCache: parts.options.noCache,
      from: parts.options.cacheFrom,
    });
  }

  async run(dockerfile: string): Promise<Digest> {
    try {
      return await this.#run(dockerfile);
    } finally {
      await this.#cleanup.disposeAsync();
      this.#held.dispose();
    }
  }

  async #run(text: string): Promise<Digest> {
    const { nodes, escape: letter } = parseDockerfile(text);
    const syntax: ShellSyntax = { escape: letter };
    const parsed = parseStages(nodes, noLint);
    const stages = this.#wanted(parsed.stages);
    const instructions = stages.reduce((sum, stage) => sum + stage.instructions.length, 0);
    this.#count = parsed.globalArgs.length + stages.length + instructions;
    for (const instruction of parsed.globalArgs) {
      this.#announce(instruction.code);
      for (const { key, value } of instruction.args) {
        const known = environmentFrom(this.#args.allowed());
        this.#args.addGlobal(key, value === undefined ? undefined : expand(value, known, syntax).text);
      }
    }
    let last: Digest | "" = "";
    for (const stage of stages) last = await this.#stage(stage, syntax);
    const unused = this.#args.unused();
    if (unused.length > 0) {
      this.#parts.output.text(`[Warning] One or more build-args [${unused.join(" ")}] were not consumed\n`);
    }
    if (last === "") throw new InvalidParameterError("No image was generated. Is your Dockerfile empty?");
    return last;
  }

  /** Up to the target, with the request's labels in the last one. */
  #wanted(stages: readonly Stage[]): Stage[] {
    const { target, labels } = this.#parts.options;
    const index = target === "" ? stages.length - 1 : findStage(stages, target);
    if (index < 0) throw new InvalidParameterError(`target stage "${target}" could not be found`);
    const wanted = stages.slice(0, index + 1);
    const last = wanted.at(-1);
    if (!last || labels.size === 0) return wanted;
    const added = [...labels]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => ({
        kind: "label" as const,
        name: "LABEL",
        code: `LABEL ${key}=${value}`,
        location: [],
        comments: [],
        pairs: [{ key: literal(key), value: literal(value), legacy: false }],
      }));
    return [...wanted.slice(0, -1), { ...last, instructions: [...last.instructions, ...added] }];
  }

  #announce(code: string): void {
    this.#parts.output.step(++this.#step, this.#count, code);
  }

  async #stage(stage: Stage, syntax: ShellSyntax): Promise<Digest | ""> {
    const { output, signal } = this.#parts;
    this.#announce(stage.code);
    const base = await this.#base(stage, syntax);
    const state = this.#begin(base);
    const env: StepEnvironment = {
      ...{ deps: this.#deps, options: this.#parts.options, output, cache: this.#cache, syntax, signal },
      context: this.#parts.context,
      treeOf: (from) => this.#treeOf(from),
    };
    const triggers = state.config.OnBuild ?? [];
    if (triggers.length > 0) await this.#trigger(env, state, triggers);
    output.arrow(shortId(idOf(state)));
    for (const instruction of stage.instructions) {
      signal.throwIfAborted();
      this.#announce(instruction.code);
      await runStep(env, state, instruction);
      output.arrow(shortId(idOf(state)));
    }
    if (idOf(state) !== "") output.image(idOf(state));
    this.#stages.push({ name: stage.name, image: state.image });
    return idOf(state);
  }

  async #trigger(env: StepEnvironment, state: StageState, triggers: readonly string[]): Promise<void> {
    env.output.text(`# Executing ${triggers.length} build trigger${triggers.length > 1 ? "s" : ""}\n`);
    state.config = { ...state.config, OnBuild: null };
    for (const trigger of triggers) {
      const [node, ...more] = parseDockerfile(trigger).nodes;
      if (!node || more.length > 0)
        throw new InvalidParameterError("onbuild trigger should be a single expression");
      await runStep(env, state, parseInstruction(node));
    }
  }

  #begin(base: BaseImage | undefined): StageState {
    const state: StageState = {
      image: undefined,
      config: initialConfig(base?.config),
      maintainer: "",
      commandSet: false,
      args: this.#args.forStage(),
      platform: base
        ? {
            os: base.config.os,
            architecture: base.config.architecture,
            ...(base.config.variant ? { variant: base.config.variant } : {}),
          }
        : hostPlatform(),
      cacheMissed: false,
      held: this.#held,
    };
    if (base) moveTo(this.#deps, state, base);
    return state;
  }

  /** Undefined: `scratch`. */
  async #base(stage: Stage, syntax: ShellSyntax): Promise<BaseImage | undefined> {
    const known = environmentFrom(this.#args.global());
    const name = expand(stage.base, known, syntax).text;
    if (name === "") throw new InvalidParameterError(`base name (${stage.base}) should not be blank`);
    const earlier = this.#stages.find((built) => built.name !== "" && built.name === name.toLowerCase());
    if (earlier) return earlier.image;
    if (name === "scratch") return undefined;
    const platform = expand(stage.platform, known, syntax).text || this.#parts.options.platform;
    return await this.#image(name, platform);
  }

  async #image(name: string, platform: string | undefined): Promise<BaseImage> {
    const { options, output, signal } = this.#parts;
    const found = options.pull ? undefined : this.#deps.images.find(name, platform);
    if (found) return found;
    return await this.#deps.images.pull(name, {
      platform,
      credentials: options.credentials,
      onProgress: (message) => output.message(message),
      signal,
    });
  }

  /** The file system of a stage, by name or number, or of an image; mounted until the build ends. */
  async #treeOf(from: string): Promise<string> {
    const number = /^\d+$/.test(from) ? Number(from) : -1;
    const stage = this.#stages.find(
      ({ name }, index) => index === number || (name !== "" && name === from.toLowerCase()),
    );
    if (number >= this.#stages.length) {
      throw new InvalidParameterError(`invalid from flag value ${from}: refers to current build stage`);
    }
    const image = stage ? stage.image : await this.#image(from, this.#parts.options.platform);
    if (!image) throw new InvalidParameterError(`invalid from flag value ${from}: the stage has no files`);
    const known = this.#trees.get(image.id);
    if (known !== undefined) return known;
    this.#held.use(this.#deps.images.hold(image.id));
    const key = randomId<string>();
    this.#cleanup.defer(() => this.#deps.snapshots.remove(key));
    await this.#deps.snapshots.prepare(
      key,
      image.layers.map(({ chainId }) => chainId),
    );
    const root = this.#cleanup.use(await this.#deps.snapshots.mount(key));
    this.#trees.set(image.id, root.path);
    return root.path;
  }
}

/** By name, or by number. */
function findStage(stages: readonly Stage[], target: string): number {
  const named = stages.findLastIndex(({ name }) => name !== "" && name === target.toLowerCase());
  if (named >= 0) return named;
  const number = /^\d+$/.test(target) ? Number(target) : -1;
  return number < stages.length ? number : -1;
}

/** A word that means itself. */
function literal(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function hostPlatform(): { os: string; architecture: string } {
  return { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch };
}

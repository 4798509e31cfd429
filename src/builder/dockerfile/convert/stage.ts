/**
 * A stage while it is being converted: what it has built so far, what it needs, and the image configuration that grows
 * with it. Values (`Runtime`, `ImageDocument`) are replaced, never shared, so that a stage that starts from another one
 * takes over its state as it is.
 */
import type { Platform } from "../../../core/content.ts";
import type { Argument, Instruction, Stage } from "../instructions/types.ts";
import { type Environment, environmentFrom } from "../shell/environment.ts";
import type { SourceRange } from "../source/ranges.ts";
import type { NamedContext } from "../ui/named-context.ts";
import { cloneImage, type ImageDocument } from "./image.ts";
import { emptyOutline, type OutlineRecord } from "./outline-record.ts";
import type { Output } from "./output.ts";

/** An instruction, and the stages or images that it takes something from: one for COPY, one for each mount of RUN. */
export interface PlannedInstruction {
  readonly instruction: Instruction;
  readonly sources: readonly StageBuild[];
  /** From a trigger of the base. */
  readonly onBuild: boolean;
}

/** What RUN starts with: the stage's own variables, those of its base included. */
export interface Runtime {
  readonly variables: ReadonlyMap<string, string>;
  readonly directory: string;
  readonly user: string;
}

/** Where an instruction that counts only once was seen. */
export interface SeenOnce {
  cmd?: readonly SourceRange[];
  entrypoint?: readonly SourceRange[];
  healthcheck?: readonly SourceRange[];
}

export class StageBuild {
  readonly stage: Stage;
  /** The stage that it starts from, if it does. */
  base: StageBuild | undefined;
  /** The image that it starts from, with variables expanded and, once resolved, its digest. */
  baseName: string;
  /** What clients show; empty if there is no other stage. */
  shownName: string;
  platform: Platform | undefined;
  /** Stands in for the whole stage. */
  namedContext: NamedContext | undefined;

  output: Output = undefined;
  image: ImageDocument = { architecture: "", os: "", config: {}, rootfs: { type: "layers", diff_ids: [] } };
  /** As it was when the stage started; undefined for scratch. */
  baseImage: ImageDocument | undefined;
  runtime: Runtime = { variables: new Map(), directory: "/", user: "" };

  instructions: PlannedInstruction[] = [];
  /** Stages that it copies or mounts from, and by which instruction. */
  readonly needs = new Map<StageBuild, Instruction>();
  buildArgs: Argument[] = [];
  /** Paths that it needs of the main context. */
  readonly contextPaths = new Set<string>();
  /** Paths of itself that anybody needs; shared with the stage that it starts from. */
  neededPaths = new Set<string>();

  ignoreCache = false;
  /** Made up for `--from=IMAGE`: no stage of the file. */
  readonly unregistered: boolean;
  /** Done: what it gives can be taken. */
  dispatched = false;
  /** Its base image was looked at. */
  resolved = false;
  triggersTaken = false;
  /** A WORKDIR of the file's own was seen. */
  workdirSeen = false;
  seen: SeenOnce = {};

  /** How many steps clients will see of it, and how many were named. */
  stepTotal = 0;
  stepIndex = 0;
  currentIsOnBuild = false;
  outline: OutlineRecord = emptyOutline();
  scanStage = false;
  scanContext = false;

  constructor(stage: Stage, options: { unregistered?: boolean } = {}) {
    this.stage = stage;
    this.baseName = stage.base;
    this.shownName = stage.name;
    this.unregistered = options.unregistered ?? false;
  }

  /** Takes over what the stage that it starts from has come to. */
  inherit(): void {
    const { base } = this;
    if (!base) return;
    this.output = base.output;
    this.platform = base.platform;
    this.image = cloneImage(base.image);
    delete this.image.config.OnBuild;
    this.baseImage = base.baseImage;
    this.runtime = base.runtime;
    this.neededPaths = base.neededPaths;
    this.workdirSeen = base.workdirSeen;
    this.buildArgs = [...this.buildArgs, ...base.buildArgs];
  }

  get environment(): Environment {
    return environmentFrom(this.runtime.variables);
  }

  /** The last one set is the last in order. */
  setVariable(name: string, value: string): void {
    const variables = new Map(this.runtime.variables);
    variables.delete(name);
    variables.set(name, value);
    this.runtime = { ...this.runtime, variables };
  }
}

/** All stages of a file, by order and by name, and those made up for images that are copied from. */
export class StageList {
  readonly all: StageBuild[] = [];
  readonly #byName = new Map<string, StageBuild>();

  add(build: StageBuild): void {
    this.all.push(build);
    const base = this.#byName.get(build.baseName);
    if (base) {
      build.base = base;
      build.outline = structuredClone(base.outline);
    }
    if (build.stage.name !== "") this.#byName.set(build.stage.name.toLowerCase(), build);
  }

  named(name: string): StageBuild | undefined {
    return this.#byName.get(name.toLowerCase());
  }

  at(index: number): StageBuild | undefined {
    return this.all[index];
  }

  get last(): StageBuild | undefined {
    return this.all.at(-1);
  }

  names(): string[] {
    return this.all.map((build) => build.shownName).filter((name) => name !== "");
  }
}

/** A stage and all that it starts from or takes something from. */
export function reachableFrom(target: StageBuild): Set<StageBuild> {
  const reached = new Set<StageBuild>();
  const pending = [target];
  for (let build = pending.pop(); build; build = pending.pop()) {
    if (reached.has(build)) continue;
    reached.add(build);
    if (build.base) pending.push(build.base);
    pending.push(...build.needs.keys());
  }
  return reached;
}

/**
 * The steps of a classic build, one after another; each makes an image, or finds the one that it would make.
 * @see moby builder/dockerfile/dispatchers.go
 */
import { posix } from "node:path";
import type { BuiltLayer } from "../../core/build-images.ts";
import { InvalidParameterError, messageOf, NotFoundError } from "../../core/errors.ts";
import { randomId, shortId } from "../../core/ids.ts";
import type { CommandLine, Instruction } from "../dockerfile/instructions/types.ts";
import { environmentOf } from "../dockerfile/shell/environment.ts";
import { expand, expandWords, type ShellSyntax } from "../dockerfile/shell/expand.ts";
import type { StepCache } from "./cache.ts";
import { type CopyRequest, hashSources, toActions } from "./copying.ts";
import type { ClassicDeps } from "./deps.ts";
import { quotedHealth, quotedList } from "./go-words.ts";
import type { ClassicBuildOptions } from "./options.ts";
import type { ClassicOutput } from "./output.ts";
import { type RunConfig, shellOf, withComment, withCommentText, withVariables } from "./run-config.ts";
import { commitStep, layersOf, moveTo, type StageState } from "./state.ts";

export interface StepEnvironment {
  readonly deps: ClassicDeps;
  readonly options: ClassicBuildOptions;
  readonly output: ClassicOutput;
  readonly cache: StepCache;
  readonly syntax: ShellSyntax;
  readonly context: string;
  readonly signal: AbortSignal;
  /** The tree that `--from` names; disposed with the build. */
  readonly treeOf: (from: string) => Promise<string>;
}

/** A program of a step failed: the client ends with its exit code. */
export class StepFailedError extends Error {
  override readonly name = "StepFailedError";
  readonly exitCode: number;
  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

const NEEDS_BUILDKIT =
  "requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled";

/** @throws EngineError, StepFailedError, DockerfileError */
export async function runStep(
  env: StepEnvironment,
  state: StageState,
  instruction: Instruction,
): Promise<void> {
  const word = (text: string): string => expand(text, variablesOf(state), env.syntax).text;
  switch (instruction.kind) {
    case "env": {
      const pairs = instruction.pairs.map(({ key, value }) => [word(key), word(value)] as const);
      state.config = { ...state.config, Env: withVariables(state.config.Env ?? [], pairs) };
      return await note(env, state, `ENV ${pairs.map(([key, value]) => `${key}=${value}`).join(" ")}`);
    }
    case "label": {
      const pairs = instruction.pairs.map(({ key, value }) => [word(key), word(value)] as const);
      state.config = { ...state.config, Labels: { ...state.config.Labels, ...Object.fromEntries(pairs) } };
      return await note(env, state, `LABEL ${pairs.map(([key, value]) => `${key}=${value}`).join(" ")}`);
    }
    case "maintainer":
      state.maintainer = instruction.maintainer;
      return await note(env, state, `MAINTAINER ${instruction.maintainer}`);
    case "arg": {
      const args = instruction.args.map(({ key, value }) => ({
        key,
        value: value === undefined ? undefined : word(value),
      }));
      for (const { key, value } of args) state.args.add(key, value);
      const shown = args.map(({ key, value }) => (value === undefined ? key : `${key}=${value}`));
      return await note(env, state, `ARG ${shown.join(" ")}`);
    }
    case "user": {
      const user = word(instruction.user);
      state.config = { ...state.config, User: user };
      return await note(env, state, `USER ${user}`);
    }
    case "stopsignal": {
      const signal = word(instruction.signal);
      state.config = { ...state.config, StopSignal: signal };
      return await note(env, state, `STOPSIGNAL ${signal}`);
    }
    case "shell":
      state.config = { ...state.config, Shell: instruction.shell };
      return await note(env, state, `SHELL [${instruction.shell.join(" ")}]`);
    case "cmd": {
      const command = commandOf(state.config, instruction.command);
      state.config = { ...state.config, Cmd: command };
      state.commandSet = instruction.command.words.length > 0;
      return await note(env, state, `CMD ${quotedList(command)}`);
    }
    case "entrypoint": {
      const entrypoint = commandOf(state.config, instruction.command);
      state.config = {
        ...state.config,
        Entrypoint: entrypoint,
        ...(state.commandSet ? {} : { Cmd: null }),
      };
      return await note(env, state, `ENTRYPOINT ${quotedList(entrypoint)}`);
    }
    case "healthcheck": {
      const { test, interval, timeout, startPeriod, startInterval, retries } = instruction.health;
      const health = {
        Test: test,
        ...(interval ? { Interval: interval } : {}),
        ...(timeout ? { Timeout: timeout } : {}),
        ...(startPeriod ? { StartPeriod: startPeriod } : {}),
        ...(startInterval ? { StartInterval: startInterval } : {}),
        ...(retries ? { Retries: retries } : {}),
      };
      state.config = { ...state.config, Healthcheck: health };
      return await note(env, state, `HEALTHCHECK ${quotedHealth(health)}`);
    }
    case "expose": {
      const ports = instruction.ports
        .flatMap((port) => expandWords(port, variablesOf(state), env.syntax))
        .flatMap(portsOf);
      const added = Object.fromEntries(ports.map((port) => [port, {}]));
      state.config = { ...state.config, ExposedPorts: { ...state.config.ExposedPorts, ...added } };
      return await note(env, state, `EXPOSE ${ports.sort().join(" ")}`);
    }
    case "volume": {
      const volumes = instruction.volumes.map(word);
      const blank = volumes.some((volume) => volume.trim() === "");
      if (blank) throw new InvalidParameterError("VOLUME specified can not be an empty string");
      const added = Object.fromEntries(volumes.map((volume) => [volume, {}]));
      state.config = { ...state.config, Volumes: { ...state.config.Volumes, ...added } };
      return await note(env, state, `VOLUME [${volumes.join(" ")}]`);
    }
    case "onbuild":
      state.config = { ...state.config, OnBuild: [...(state.config.OnBuild ?? []), instruction.expression] };
      return await note(env, state, `ONBUILD ${instruction.expression}`);
    case "workdir":
      return await changeDirectory(env, state, word(instruction.path));
    case "run":
      refuseRunFlags(instruction);
      return await runProgram(env, state, instruction.command);
    case "copy":
    case "add":
      return await copyFiles(env, state, instruction, word);
  }
}

/** ENV and the arguments that are allowed here. */
export function variablesOf({ config, args }: StageState) {
  return environmentOf([...(config.Env ?? []), ...args.beside(config.Env ?? [])]);
}

function commandOf(config: RunConfig, { words, shell }: CommandLine): readonly string[] {
  return shell ? [...shellOf(config), words.join(" ")] : words;
}

/** `80`, `80/udp`, `8000-8002` as Docker keeps them. */
function portsOf(port: string): string[] {
  const [, first = "", last, protocol = "tcp"] = /^(\d+)(?:-(\d+))?(?:\/(\w+))?$/.exec(port) ?? [];
  if (first === "") throw new InvalidParameterError(`invalid containerPort: ${port}`);
  const from = Number(first);
  const to = Number(last ?? first);
  if (to < from || to > 65_535) throw new InvalidParameterError(`invalid range format for --expose: ${port}`);
  return Array.from({ length: to - from + 1 }, (_, index) => `${from + index}/${protocol.toLowerCase()}`);
}

/** A step that changes the configuration alone. */
async function note(env: StepEnvironment, state: StageState, comment: string): Promise<void> {
  const containerConfig = withComment(state.config, comment);
  if (await probe(env, state, containerConfig)) return;
  const container = announce(env);
  await commitStep(env.deps, state, { containerConfig, container });
  retire(env, container);
}

/** True if an image was found that the step would have made: the stage goes on from it. */
async function probe(env: StepEnvironment, state: StageState, config: RunConfig): Promise<boolean> {
  if (state.cacheMissed) return false;
  const found = await env.cache.find({ parent: state.image, config, platform: state.platform });
  if (!found) {
    state.cacheMissed = true;
    return false;
  }
  env.output.arrow("Using cache");
  moveTo(env.deps, state, found);
  return true;
}

function announce({ output }: StepEnvironment): string {
  const id = randomId<string>();
  output.arrow(`Running in ${shortId(id)}`);
  return id;
}

function retire({ options, output }: StepEnvironment, container: string): void {
  if (options.remove) output.arrow(`Removed intermediate container ${shortId(container)}`);
}

async function changeDirectory(env: StepEnvironment, state: StageState, path: string): Promise<void> {
  if (path === "") throw new InvalidParameterError("cannot normalize nothing");
  const directory = path.startsWith("/")
    ? posix.normalize(path)
    : posix.join("/", state.config.WorkingDir, path);
  const WorkingDir = directory.length > 1 ? directory.replace(/\/+$/, "") : "/";
  state.config = { ...state.config, WorkingDir };
  const containerConfig = withCommentText(state.config, `WORKDIR ${WorkingDir}`);
  if (await probe(env, state, containerConfig)) return;
  const container = announce(env);
  const layer = await changing(env, state, container, async (root) => {
    await env.deps.roots.makeDirectory(root, WorkingDir, { uid: 0, gid: 0, mode: 0o755 });
  });
  await commitStep(env.deps, state, { containerConfig, container, layer });
  retire(env, container);
}

/** Runs work on a writable root over the stage's image. @returns the layer, or undefined if nothing changed */
async function changing(
  { deps, signal }: StepEnvironment,
  state: StageState,
  key: string,
  work: (root: string) => Promise<void>,
): Promise<BuiltLayer | undefined> {
  await using undo = new AsyncDisposableStack();
  undo.defer(() => deps.snapshots.remove(key));
  await deps.snapshots.prepare(
    key,
    layersOf(state).map(({ chainId }) => chainId),
  );
  {
    await using root = await deps.snapshots.mount(key);
    await work(root.path);
  }
  const { entries, ...layer } = await deps.snapshots.commit(key, { keep: false, signal });
  return entries > 0 ? layer : undefined;
}

function refuseRunFlags(instruction: Extract<Instruction, { kind: "run" }>): void {
  const flag =
    instruction.mounts.length > 0
      ? "--mount"
      : instruction.network !== "default"
        ? "--network"
        : instruction.security !== "sandbox"
          ? "--security"
          : instruction.devices.length > 0
            ? "--device"
            : undefined;
  if (flag) throw new InvalidParameterError(`the ${flag} option ${NEEDS_BUILDKIT}`);
}

async function runProgram(env: StepEnvironment, state: StageState, command: CommandLine): Promise<void> {
  if (!state.image) throw new InvalidParameterError("Please provide a source image with `from` prior to run");
  if (command.files.length > 0)
    throw new InvalidParameterError(`here-documents: RUN <<EOF ${NEEDS_BUILDKIT}`);
  const Cmd = commandOf(state.config, command);
  const buildArgs = state.args.beside(state.config.Env ?? []);
  const shown = buildArgs.filter((entry) => state.args.isShown(entry.split("=", 1)[0] ?? "")).sort();
  const saved = shown.length > 0 ? [`|${shown.length}`, ...shown, ...Cmd] : Cmd;
  const containerConfig: RunConfig = {
    ...state.config,
    Cmd: saved,
    Entrypoint: saved.length > 0 ? null : state.config.Entrypoint,
  };
  if (await probe(env, state, containerConfig)) return;
  const container = announce(env);
  try {
    const layer = await changing(env, state, container, (root) =>
      execute(env, state, {
        id: container,
        root,
        args: Cmd,
        env: [...(state.config.Env ?? []), ...buildArgs],
      }),
    );
    await commitStep(env.deps, state, { containerConfig, container, layer });
  } catch (error) {
    if (env.options.forceRemove) retire(env, container);
    throw error;
  }
  retire(env, container);
}

async function execute(
  { deps, options, output, signal }: StepEnvironment,
  { config }: StageState,
  { id, root, args, env }: { id: string; root: string; args: readonly string[]; env: readonly string[] },
): Promise<void> {
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  const { exitCode } = await deps.tasks.run(
    {
      id,
      rootfs: root,
      args,
      env,
      dockerEnvironment: true,
      cwd: config.WorkingDir || "/",
      user: config.User,
      hostname: shortId(id),
      mounts: [],
      network: options.network || "bridge",
      extraHosts: options.extraHosts,
      privileged: false,
      limits: options.limits,
      ...(options.shmSize > 0 ? { shmSize: options.shmSize } : {}),
      cgroupParent: options.cgroupParent,
      ulimits: options.ulimits,
    },
    {
      signal,
      onOutput: ({ stream, bytes }) => {
        const text = decoders[stream].decode(bytes, { stream: true });
        if (text === "") return;
        if (stream === "stdout") output.text(text);
        else output.errorText(text);
      },
    },
  );
  if (exitCode === 0) return;
  throw new StepFailedError(
    `The command '${args.join(" ")}' returned a non-zero code: ${exitCode}`,
    exitCode,
  );
}

async function copyFiles(
  env: StepEnvironment,
  state: StageState,
  instruction: Extract<Instruction, { kind: "copy" | "add" }>,
  word: (text: string) => string,
): Promise<void> {
  if (instruction.chmod !== "") throw new InvalidParameterError(`the --chmod option ${NEEDS_BUILDKIT}`);
  if (instruction.inline.length > 0)
    throw new InvalidParameterError(`here-documents: COPY <<EOF ${NEEDS_BUILDKIT}`);
  const refused =
    "parents" in instruction && instruction.parents
      ? "--parents"
      : instruction.exclude.length > 0
        ? "--exclude"
        : "";
  if (refused !== "") throw new InvalidParameterError(`the ${refused} option ${NEEDS_BUILDKIT}`);
  const from = instruction.kind === "copy" ? instruction.from : "";
  const name = instruction.kind === "copy" ? "COPY" : "ADD";
  const request: CopyRequest = {
    instruction: name,
    sources: instruction.sources.map(word),
    destination: word(instruction.destination),
    workingDirectory: state.config.WorkingDir,
    chown: word(instruction.chown),
    from: from === "" ? env.context : await env.treeOf(from),
    keepOwners: from !== "",
    signal: env.signal,
  };
  const hash = await hashSources(env.deps, request);
  const owner = request.chown === "" ? "" : `--chown=${request.chown} `;
  const containerConfig = withCommentText(state.config, `${name} ${owner}${hash} in ${request.destination} `);
  if (await probe(env, state, containerConfig)) return;
  const layer = await changing(env, state, randomId<string>(), (root) =>
    env.deps.files.apply({ root, actions: toActions(request, root), signal: env.signal }).catch((error) => {
      const message = `${name} failed: ${messageOf(error)}`;
      throw error instanceof NotFoundError || error instanceof InvalidParameterError
        ? new InvalidParameterError(message, { cause: error })
        : error;
    }),
  );
  await commitStep(env.deps, state, { containerConfig, layer });
}

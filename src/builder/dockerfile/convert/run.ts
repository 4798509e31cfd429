/** RUN: a program in the stage's file system, with what is mounted into it. */
import type { ExecOp, HandedMount, Mount } from "../../graph/ops.ts";
import { type RunMount, readMount } from "../instructions/mounts.ts";
import type { Argument, RunInstruction } from "../instructions/types.ts";
import { chomped, findHeredoc } from "../parser/heredocs.ts";
import { cleanPath, isAbsolute, joinPath } from "../paths.ts";
import { type Environment, environmentFrom } from "../shell/environment.ts";
import { DockerfileError } from "../source/errors.ts";
import type { Conversion } from "./conversion.ts";
import { directoryIn, fileOf } from "./file-actions.ts";
import { record } from "./history.ts";
import { DEFAULT_PATH, type ImageDocument } from "./image.ts";
import { type Output, vertex } from "./output.ts";
import type { PlannedInstruction, StageBuild } from "./stage.ts";
import { nameStep, shownLine } from "./step-names.ts";

/** @param expand expands a variable in a mount's value */
export function convertRun(
  build: StageBuild,
  planned: PlannedInstruction & { readonly instruction: RunInstruction },
  conversion: Conversion,
  expand: (word: string) => string,
): void {
  const { instruction } = planned;
  const { options } = conversion;
  build.neededPaths.add("/"); // A program may read anything.
  const program = programOf(build, instruction);
  const args = instruction.command.shell ? withShell(build.image, program.args) : program.args;
  const mounts = instruction.mounts.map((fields) => readMount(fields, expand));
  const bound = mounts.flatMap((mount, index) => {
    const source = planned.sources[index];
    return mount.type === "secret" || mount.type === "ssh"
      ? []
      : [boundMount(build, mount, source, conversion)];
  });
  if (options.shmSize > 0) {
    const shm = { ...emptyMount, dest: "/dev/shm", mountType: "tmpfs" as const };
    bound.push({ from: undefined, mount: { ...shm, tmpfs: { size: options.shmSize } } });
  }
  const handed = handedMounts(build, instruction, mounts);
  const environment = build.environment;
  const masked = maskedSecrets(environment, mounts);
  const syntax = { escape: conversion.escape, keepQuotes: true, keepEscapes: true, keepUnset: true };
  const name = nameStep(
    build,
    shownLine(program.shown, masked, syntax),
    conversion,
    build.platform,
    environment,
  );
  const { output: root, runtime } = build;
  const platform = build.platform ?? conversion.targetPlatform;
  build.output = vertex({
    name,
    code: instruction.code,
    location: instruction.location,
    platform,
    ignoreCache: build.ignoreCache,
    linuxResources: options.linuxResources,
    work(use): ExecOp {
      const mounted = [
        { from: root, mount: { ...emptyMount, dest: "/", output: 0 } },
        ...program.mounts,
        ...bound,
      ].sort((a, b) => (a.mount.dest < b.mount.dest ? -1 : a.mount.dest > b.mount.dest ? 1 : 0));
      return {
        type: "exec",
        meta: {
          args,
          env: variablesOf(runtime.variables, handed.agentSocket),
          cwd: runtime.directory,
          user: runtime.user,
          ...(conversion.proxy ? { proxyEnv: conversion.proxy } : {}),
          extraHosts: options.extraHosts,
          hostname: options.hostname,
          ulimits: options.ulimits,
          cgroupParent: options.cgroupParent,
          removeMountStubsRecursive: true,
          validExitCodes: [],
        },
        mounts: [...mounted.map(({ from, mount }) => ({ ...mount, input: use(from) })), ...handed.mounts],
        network: instruction.network === "default" ? options.network : instruction.network,
        ...(options.networkName !== undefined && instruction.network === "default"
          ? { networkName: options.networkName }
          : {}),
        security: instruction.security,
        secretEnv: handed.variables,
        cdiDevices: instruction.devices.map((device) => ({ name: device.name, optional: !device.required })),
      };
    },
  });
  const words = [...argumentWords(build.buildArgs, environment), ...args].join(" ");
  record(build.image, `RUN ${words} # buildkit`, true, conversion.epoch);
}

/** The shell's words in front of a command's. */
export function withShell(image: ImageDocument, words: readonly string[]): string[] {
  const shell = image.config.Shell?.length ? image.config.Shell : ["/bin/sh", "-c"];
  return [...shell, words.join(" ")];
}

interface BoundMount {
  readonly from: Output;
  readonly mount: Omit<Mount, "input">;
}

const emptyMount: Mount = {
  input: -1,
  selector: "",
  dest: "",
  output: -1,
  readonly: false,
  mountType: "bind",
  contentCache: "default",
};

interface Program {
  readonly args: readonly string[];
  /** What stands for it in progress. */
  readonly shown: string;
  readonly mounts: readonly BoundMount[];
}

/**
 * A lone here-document is a script of its own: with `#!` a file that is run, else a text for the shell, so that shells
 * without here-documents can run it too. Anything else is handed to the shell as it was written.
 */
function programOf(build: StageBuild, { command, code }: RunInstruction): Program {
  const { words, files } = command;
  const [file] = files;
  if (!file) return { args: words, shown: code, mounts: [] };
  const [line] = words;
  if (words.length !== 1 || line === undefined || !command.shell) {
    throw new DockerfileError(`parsing produced an invalid run command: [${words.join(" ")}]`);
  }
  if (!findHeredoc(line)) {
    const bodies = files.map(({ name, data }) => `\n${data}${name}`);
    return { args: [line + bodies.join("")], shown: code, mounts: [] };
  }
  const script = file.chomp ? chomped(file.data) : file.data;
  const shown = `${code} (${firstLine(file.data)})`;
  if (!script.startsWith("#!")) return { args: [script], shown, mounts: [] };
  const platform = build.platform;
  const from = fileOf(file.name, 0o755, script, { name: "[internal] preparing inline document", platform });
  const mount = { ...emptyMount, dest: "/dev/pipes/", selector: "/", readonly: true };
  return { args: [`/dev/pipes/${file.name}`], shown, mounts: [{ from, mount }] };
}

function firstLine(text: string): string {
  const lines = text.trim().replaceAll("\r\n", "\n").split("\n");
  return `${lines[0] ?? ""}${lines.length > 1 ? "..." : ""}`;
}

function boundMount(
  build: StageBuild,
  mount: RunMount,
  source: StageBuild | undefined,
  conversion: Conversion,
): BoundMount {
  const isCache = mount.type === "cache";
  const usesStage = mount.from !== "" || isCache;
  if (usesStage && !source?.dispatched) {
    throw new DockerfileError(
      `cannot mount from stage ${JSON.stringify(mount.from)} to ${JSON.stringify(mount.target)}, stage needs to be defined before current command`,
    );
  }
  let from = usesStage ? source?.output : conversion.buildContext;
  if (mount.type === "tmpfs") from = undefined;
  const selector = joinPath("/", mount.source);
  const sets = mount.uid !== undefined || mount.gid !== undefined || mount.mode !== undefined;
  if (selector === "/" && sets) from = ownedDirectory(from, mount);
  // What a stage or the context must hold for it.
  if (usesStage) source?.neededPaths.add(selector);
  else build.contextPaths.add(selector);
  const { cacheMountNamespace } = conversion.options;
  return {
    from,
    mount: {
      ...emptyMount,
      dest: targetOf(build, mount),
      selector: selector !== "/" ? selector : sets ? "/cache" : "",
      readonly: mount.readOnly,
      mountType: mount.type === "cache" || mount.type === "tmpfs" ? mount.type : "bind",
      ...(mount.type === "tmpfs" ? { tmpfs: { size: mount.size } } : {}),
      ...(isCache
        ? {
            cache: {
              id: `${cacheMountNamespace}/${mount.id || cleanPath(mount.target)}`,
              sharing: mount.sharing ?? "shared",
            },
          }
        : {}),
    },
  };
}

/** A cache that starts empty starts as a directory of this owner and mode. */
function ownedDirectory(base: Output, mount: RunMount): Output {
  return directoryIn(
    base,
    { path: "/cache", mode: mount.mode ?? 0o755, ownerIds: { uid: mount.uid ?? 0, gid: mount.gid ?? 0 } },
    { name: "[internal] setting cache mount permissions" },
  );
}

function targetOf(build: StageBuild, mount: RunMount): string {
  const target = isAbsolute(cleanPath(mount.target))
    ? mount.target
    : joinPath("/", build.runtime.directory, mount.target);
  if (target === "/") throw new DockerfileError(`invalid mount target ${JSON.stringify(target)}`);
  return target;
}

interface Handed {
  readonly mounts: readonly Mount[];
  readonly variables: ExecOp["secretEnv"];
  /** Where the first agent listens. */
  readonly agentSocket: string | undefined;
}

/** Secrets and agents of the client's. */
function handedMounts(build: StageBuild, instruction: RunInstruction, mounts: readonly RunMount[]): Handed {
  const secrets = mounts.filter((mount) => mount.type === "secret");
  const agents = mounts.filter((mount) => mount.type === "ssh");
  const agentMounts = agents.map((mount, index) => agentMount(build, instruction, mount, index));
  const secretMounts = secrets.flatMap((mount) => secretMount(build, instruction, mount));
  return {
    mounts: [...secretMounts, ...agentMounts],
    variables: secrets.flatMap((mount) =>
      mount.env === undefined ? [] : [{ id: secretId(mount), name: mount.env, optional: !mount.required }],
    ),
    agentSocket: agentMounts[0]?.dest,
  };
}

function secretMount(build: StageBuild, { location }: RunInstruction, mount: RunMount): Mount[] {
  const id = secretId(mount);
  if (!build.outline.secrets.has(id)) {
    build.outline.secrets.set(id, { location, required: mount.required });
  }
  // A secret in a variable is a file as well only where it is asked for.
  if (mount.env !== undefined && mount.target === "") return [];
  const dest = mount.target || `/run/secrets/${baseName(id)}`;
  return [{ ...emptyMount, dest, mountType: "secret", secret: handedAs(id, mount, 0o400) }];
}

function secretId(mount: RunMount): string {
  return mount.source || mount.id || baseName(mount.target);
}

function agentMount(build: StageBuild, { location }: RunInstruction, mount: RunMount, index: number): Mount {
  if (mount.source !== "") throw new DockerfileError("ssh does not support source");
  const id = mount.id || "default";
  if (!build.outline.ssh.has(id)) build.outline.ssh.set(id, { location, required: mount.required });
  const dest = mount.target || `/run/buildkit/ssh_agent.${index}`;
  return { ...emptyMount, dest, mountType: "ssh", ssh: handedAs(mount.id, mount, 0o600) };
}

function handedAs(id: string, mount: RunMount, mode: number): HandedMount {
  return {
    id,
    uid: mount.uid ?? 0,
    gid: mount.gid ?? 0,
    mode: mount.mode ?? mode,
    optional: !mount.required,
  };
}

function baseName(path: string): string {
  return cleanPath(path).split("/").at(-1) || "/";
}

function variablesOf(variables: ReadonlyMap<string, string>, agentSocket: string | undefined): string[] {
  const all = new Map(variables);
  if (agentSocket !== undefined && !all.has("SSH_AUTH_SOCK")) all.set("SSH_AUTH_SOCK", agentSocket);
  if (!all.has("PATH")) all.set("PATH", DEFAULT_PATH);
  return [...all].map(([name, value]) => `${name}=${value}`);
}

/** Secrets in variables are shown as such; what they hold is not known here. */
function maskedSecrets(environment: Environment, mounts: readonly RunMount[]): Environment {
  const names = mounts.flatMap((mount) => (mount.type === "secret" && mount.env ? [mount.env] : []));
  if (names.length === 0) return environment;
  const masked = new Map(environment.keys().map((name) => [name, environment.get(name) ?? ""]));
  for (const name of names) masked.set(name, "****");
  return environmentFrom(masked);
}

/** `|2 A=1 B=2`: the arguments that a RUN was run with, as its history tells them. */
function argumentWords(args: readonly Argument[], environment: Environment): string[] {
  const values = new Map(args.map((arg) => [arg.key, environment.get(arg.key) ?? arg.value ?? ""]));
  if (values.size === 0) return [];
  return [`|${values.size}`, ...[...values].map(([name, value]) => `${name}=${value}`)];
}

/**
 * SOURCE_DATE_EPOCH: a number; `context`, the time of what the main context is fetched from; or the name of a context, or
 * of a stage that does nothing but ADD one remote source.
 */
import type { Platform } from "../../../core/content.ts";
import type { FrontendRequest, Gateway } from "../../frontend.ts";
import type { AddInstruction, Argument, Stage } from "../instructions/types.ts";
import { type Environment, environmentFrom } from "../shell/environment.ts";
import { expand } from "../shell/expand.ts";
import { DockerfileError, wrapped } from "../source/errors.ts";
import { withLocation } from "../source/ranges.ts";
import type { BuildContexts, RemoteSource } from "../ui/context.ts";
import type { NamedContexts } from "../ui/named-context.ts";
import type { BuildOptions } from "../ui/options.ts";
import { gitSourceOp, httpAttrs } from "../ui/sources.ts";
import { newestInArchive } from "./archive-times.ts";
import { filenameOfUrl } from "./copy.ts";
import { parseGitReference } from "./git-reference.ts";
import { toDefinition, vertex } from "./output.ts";

const NAME = "SOURCE_DATE_EPOCH";

export interface EpochQuestion {
  readonly stages: readonly Stage[];
  readonly options: BuildOptions;
  readonly escape: string;
  readonly globalValues: ReadonlyMap<string, string>;
  readonly namedContexts: NamedContexts;
  readonly targetPlatform: Platform;
  readonly contexts: BuildContexts;
  readonly gateway: Gateway;
  readonly request: FrontendRequest;
}

export interface ResolvedEpoch {
  readonly seconds: number | undefined;
  /** With the number in the place of what it was made of. */
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly globalArgs: Environment;
}

/** @throws DockerfileError if the value is none of these */
export async function resolveEpoch(question: EpochQuestion): Promise<ResolvedEpoch> {
  const { options, globalValues } = question;
  const value = options.buildArgs.get(NAME) ?? (globalValues.get(NAME) || undefined);
  if (value === undefined) {
    return { seconds: undefined, buildArgs: options.buildArgs, globalArgs: environmentFrom(globalValues) };
  }
  const seconds = await secondsOf(value, question);
  return {
    seconds,
    buildArgs: replaced(options.buildArgs, seconds),
    globalArgs: environmentFrom(replaced(globalValues, seconds)),
  };
}

function replaced(
  values: ReadonlyMap<string, string>,
  seconds: number | undefined,
): ReadonlyMap<string, string> {
  if (!values.has(NAME)) return values;
  const copy = new Map(values);
  if (seconds === undefined) copy.delete(NAME);
  else copy.set(NAME, String(seconds));
  return copy;
}

async function secondsOf(value: string, question: EpochQuestion): Promise<number | undefined> {
  if (value === "") return undefined;
  if (/^[+-]?\d+$/.test(value)) return Number(value);
  if (value === "context") {
    const source = await question.contexts.remoteSource();
    return source && timeOf(source, "[internal] resolve main build context metadata", question);
  }
  const { namedContexts, targetPlatform, options } = question;
  const context = namedContexts.find(value, {
    platform: targetPlatform,
    resolveMode: options.resolveMode,
    neededPaths: () => undefined,
  });
  if (context) {
    const { output } = await context.load();
    const source = onlySource(toDefinition(output, undefined));
    const log = `[internal] resolve ${NAME} named context ${value}`;
    return source && timeOf(source, log, question);
  }
  const stage = question.stages.find((entry) => entry.name.toLowerCase() === value.toLowerCase());
  if (!stage) throw new DockerfileError(`invalid ${NAME}: ${value}`);
  try {
    const source = stageSource(stage, question);
    return await timeOf(source, `[internal] resolve ${NAME} source stage ${stage.name}`, question);
  } catch (error) {
    throw withLocation(error, stage.location);
  }
}

function onlySource(definition: ReturnType<typeof toDefinition>): RemoteSource | undefined {
  const sources = [...definition.ops.values()].flatMap(({ op }) => (op.type === "source" ? [op] : []));
  const [source] = sources;
  return sources.length === 1 && source ? { identifier: source.identifier, attrs: source.attrs } : undefined;
}

/** The source of a stage that does nothing but ADD it. @throws DockerfileError if it does more */
function stageSource(stage: Stage, question: EpochQuestion): RemoteSource {
  const { options, globalValues } = question;
  const syntax = { escape: question.escape };
  const values = new Map(globalValues);
  values.delete(NAME);
  const word = (text: string) => expand(text, environmentFrom(values), syntax).text;
  let base: string;
  try {
    base = word(stage.base);
  } catch (error) {
    throw wrapped(`failed to process source stage base name ${JSON.stringify(stage.base)}`, error);
  }
  if (base !== "scratch") throw new DockerfileError(`${NAME} stage must use FROM scratch`);
  let found: RemoteSource | undefined;
  for (const instruction of stage.instructions) {
    if (instruction.kind === "arg") {
      for (const [name, value] of argumentValues(instruction.args, options, word)) values.set(name, value);
    } else if (instruction.kind === "add" && !found) {
      found = addedSource(instruction, word);
    } else if (instruction.kind === "add") {
      throw new DockerfileError(`${NAME} stage must contain exactly one remote ADD`);
    } else {
      throw new DockerfileError(
        `${NAME} stage does not meet source-only requirements: unsupported ${instruction.name} instruction`,
      );
    }
  }
  if (!found) throw new DockerfileError(`${NAME} stage must contain exactly one remote ADD`);
  return found;
}

function argumentValues(
  args: readonly Argument[],
  { buildArgs }: BuildOptions,
  word: (text: string) => string,
): [string, string][] {
  return args.flatMap(({ key, value }): [string, string][] => {
    const given = buildArgs.get(key) ?? (value === undefined ? undefined : word(value));
    return given === undefined ? [] : [[key, given]];
  });
}

function addedSource(add: AddInstruction, word: (text: string) => string): RemoteSource {
  const [path] = add.sources;
  if (add.inline.length > 0 || add.sources.length !== 1 || path === undefined) {
    throw new DockerfileError(`${NAME} stage must contain exactly one remote ADD source`);
  }
  const address = word(path);
  const checksum = word(add.checksum);
  const git = parseGitReference(address);
  if (git && !git.couldBePath) {
    return gitSourceOp(git, { keepGitDir: add.keepGitDir ?? git.keepGitDir ?? false, checksum });
  }
  if (/^https?:\/\//.test(address)) {
    return { identifier: address, attrs: httpAttrs(filenameOfUrl(address), checksum) };
  }
  throw new DockerfileError(`${NAME} stage source must be a single HTTP(S) or Git ADD`);
}

/** A commit's time, a file's Last-Modified, or the newest time within an archive. */
async function timeOf(
  source: RemoteSource,
  logName: string,
  question: EpochQuestion,
): Promise<number | undefined> {
  const { gateway, request } = question;
  const { identifier, attrs } = source;
  const isGit = identifier.startsWith("git://");
  const meta = await gateway.resolveSourceMeta(
    { identifier, attrs },
    {
      platform: undefined,
      resolveMode: question.options.resolveMode,
      logName,
      ...(isGit ? { git: { returnObject: true } } : {}),
      signal: request.signal,
    },
  );
  if (meta.git?.commitObject) return committed(meta.git.commitObject);
  if (meta.http?.lastModified !== undefined) return Math.floor(meta.http.lastModified / 1000);
  const filename = attrs["http.filename"];
  if (!/^https?:\/\//.test(identifier) || filename === undefined) return undefined;
  const reference =
    source.archive?.reference ??
    (await gateway.solve({
      definition: toDefinition(vertex({ work: () => ({ type: "source", identifier, attrs }) }), undefined),
      signal: request.signal,
    }));
  const bytes = await reference?.readFile(filename, { signal: request.signal });
  return bytes && newestInArchive(bytes);
}

/** The committer's time in a commit object, in seconds. */
function committed(object: Uint8Array): number | undefined {
  const seconds = /^committer .*> (\d+) [+-]\d{4}$/m.exec(new TextDecoder().decode(object))?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}

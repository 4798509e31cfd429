/** COPY and ADD: one layer, whatever they take their sources from. */
import { randomBytes } from "node:crypto";
import { posix } from "node:path";
import type { ProgressGroup } from "../../graph/ops.ts";
import type { PatternMatcher } from "../ignore/patterns.ts";
import type { AddInstruction, CopyInstruction } from "../instructions/types.ts";
import type { Linter } from "../lint/linter.ts";
import { joinPath, resolvePath } from "../paths.ts";
import { DockerfileError } from "../source/errors.ts";
import { gitSource, httpSource } from "../ui/sources.ts";
import { checkIgnoredSource } from "./checks.ts";
import { chmodOf } from "./chmod.ts";
import type { Conversion } from "./conversion.ts";
import { type Copying, copyAll, fileOf } from "./file-actions.ts";
import { type GitReference, parseGitReference } from "./git-reference.ts";
import { record } from "./history.ts";
import { type Output, vertex } from "./output.ts";
import type { StageBuild } from "./stage.ts";
import { nameOfSameStep, nameStep, shownLine } from "./step-names.ts";

export interface CopyStep {
  readonly build: StageBuild;
  readonly conversion: Conversion;
  readonly linter: Linter;
  readonly instruction: AddInstruction | CopyInstruction;
  /** What paths are taken from: the build context, a stage, an image. */
  readonly from: Output;
  /** Of the build context, if that is what they are taken from. */
  readonly ignored: PatternMatcher | undefined;
}

/** @throws DockerfileError */
export function convertCopy(step: CopyStep): void {
  const { build, conversion, instruction } = step;
  const destination = destinationOf(build.runtime.directory, instruction.destination);
  const options = { ...chmodOf(instruction.chmod), excludePatterns: instruction.exclude };
  checkChecksum(instruction);
  const platform = build.platform ?? conversion.targetPlatform;
  const environment = build.environment;
  const line = shownLine(instruction.code, environment, { escape: conversion.escape });
  const name = nameStep(build, line, conversion, platform, environment);
  const owner = instruction.chown === "" ? {} : { owner: instruction.chown };
  const sources = [
    ...instruction.sources.map((source) => sourceOf(step, source, name)),
    ...instruction.inline.map((file): Source => {
      const shown = { name: "[internal] preparing inline document", platform };
      return { from: fileOf(file.name, 0o644, file.data, shown), src: file.name, options: {} };
    }),
  ];
  const copies = sources.map(
    (source): Copying => ({
      ...source,
      dest: destination,
      options: { createDestPath: true, ...options, ...source.options },
      ...owner,
    }),
  );
  const shown = {
    name,
    platform,
    location: instruction.location,
    ignoreCache: build.ignoreCache,
  };
  if (instruction.link && instruction.chmod === "") {
    const group: ProgressGroup = { id: randomBytes(13).toString("hex"), name, weak: false };
    const layer = copyAll(undefined, copies, { ...shown, progressGroup: { ...group, weak: true } });
    const linkName = nameOfSameStep(build, `LINK ${line}`, conversion, platform, environment);
    const below = build.output;
    // Over nothing there is nothing to merge.
    build.output =
      below === undefined
        ? layer
        : vertex({
            ...shown,
            name: linkName,
            progressGroup: group,
            work: (use) => ({
              type: "merge",
              inputs: [use(below), use(layer)].filter((index) => index >= 0),
            }),
          });
  } else {
    build.output = copyAll(build.output, copies, shown);
  }
  record(build.image, `${historyLine(instruction)} # buildkit`, true, conversion.epoch);
}

type Source = Pick<Copying, "from" | "src" | "options">;

function sourceOf(step: CopyStep, source: string, name: string): Source {
  const git = parseGitReference(source);
  if (git && !git.couldBePath) return gitCopy(step, git, name);
  if (/^https?:\/\//.test(source)) return httpCopy(step, source, name);
  return pathCopy(step, source);
}

function gitCopy({ instruction, build }: CopyStep, git: GitReference, name: string): Source {
  if (instruction.kind === "copy") throw new DockerfileError("source can't be a git ref for COPY");
  const { keepGitDir, checksum } = instruction;
  if (keepGitDir !== undefined && git.keepGitDir !== undefined && keepGitDir !== git.keepGitDir) {
    throw new DockerfileError("inconsistent keep-git-dir configuration");
  }
  if (checksum !== "" && git.checksum !== "" && checksum !== git.checksum) {
    throw new DockerfileError(
      `checksum mismatch ${JSON.stringify(checksum)} != ${JSON.stringify(git.checksum)}`,
    );
  }
  const options = { keepGitDir: git.keepGitDir ?? keepGitDir ?? false, checksum };
  return { from: gitSource(git, options, { name, ignoreCache: build.ignoreCache }), src: "/", options: {} };
}

/** A file by URL keeps the name that it has there. It is unpacked only where that is asked for. */
function httpCopy({ instruction }: CopyStep, url: string, name: string): Source {
  if (instruction.kind === "copy") throw new DockerfileError("source can't be a URL for COPY");
  const { checksum } = instruction;
  if (checksum !== "" && !/^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/.test(checksum)) {
    throw new DockerfileError("invalid checksum digest format");
  }
  const filename = filenameOfUrl(url);
  return {
    from: httpSource(url, { filename, checksum, name }),
    src: filename,
    options: { attemptUnpackDockerCompatibility: instruction.unpack ?? false },
  };
}

export function filenameOfUrl(url: string): string {
  let base = "";
  try {
    base = posix.basename(decodeURIComponent(new URL(url).pathname));
  } catch {
    // Not a URL that can be taken apart: the download will say so.
  }
  return base === "" || base === "." || base === ".." || base.includes("/") ? "__unnamed__" : base;
}

function pathCopy(step: CopyStep, source: string): Source {
  const { instruction, ignored, linter } = step;
  const isAdd = instruction.kind === "add";
  checkIgnoredSource(source, isAdd ? "Add" : "Copy", ignored, instruction.location, linter);
  const parents = instruction.kind === "copy" && instruction.parents ? splitParents(source) : undefined;
  return {
    from: step.from,
    src: resolvePath("/", parents?.top ?? source, false),
    options: {
      followSymlink: true,
      dirCopyContents: true,
      attemptUnpackDockerCompatibility: isAdd && (instruction.unpack ?? true),
      allowWildcard: true,
      allowEmptyWildcard: true,
      includePatterns: parents ? [parents.pattern] : [],
      requiredPaths: parents?.required ?? [],
    },
  };
}

/**
 * `--parents`: the path from the pivot `/./` on is kept; without a pivot all of it. A path without wildcards must be
 * there.
 */
function splitParents(source: string): { top: string; pattern: string; required: string[] } {
  const pivot = source.indexOf("/./");
  const top = pivot < 0 ? "/" : source.slice(0, pivot);
  const beneath = resolvePath("/", pivot < 0 ? source : source.slice(pivot + 3), false);
  const wild = hasWildcards(top) || hasWildcards(beneath);
  return {
    top,
    pattern: beneath.replace(/^\//, ""),
    required: wild ? [] : [resolvePath("/", joinPath(top, beneath), false)],
  };
}

function hasWildcards(path: string): boolean {
  return /[*?[]/.test(path.replace(/\\[\s\S]?/g, ""));
}

/** Relative to the working directory; a slash or `/.` at the end stays, since it says "inside". */
function destinationOf(directory: string, destination: string): string {
  const path = destination === "" || destination === "." ? "./" : destination;
  return resolvePath(path.startsWith("/") ? "/" : directory, path, true);
}

function checkChecksum(instruction: AddInstruction | CopyInstruction): void {
  if (instruction.kind === "copy" || instruction.checksum === "") return;
  const [source] = instruction.sources;
  if (instruction.sources.length !== 1 || source === undefined) {
    throw new DockerfileError("checksum can't be specified for multiple sources");
  }
  if (!parseGitReference(source) && !/^https?:\/\//.test(source)) {
    throw new DockerfileError("checksum requires HTTP(S) or Git sources");
  }
}

function historyLine(instruction: AddInstruction | CopyInstruction): string {
  const { chown, chmod, sources, inline, destination } = instruction;
  return [
    instruction.kind === "add" ? "ADD" : "COPY",
    ...(instruction.kind === "copy" && instruction.parents ? ["--parents"] : []),
    ...(chown === "" ? [] : [`--chown=${chown}`]),
    ...(chmod === "" ? [] : [`--chmod=${chmod}`]),
    ...sources,
    ...inline.map((file) => `<<${file.name}`),
    destination,
  ].join(" ");
}

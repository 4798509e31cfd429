/** WORKDIR: the directory that RUN and relative paths start from, and that is made if it is not there. */
import type { WorkdirInstruction } from "../instructions/types.ts";
import type { Linter } from "../lint/linter.ts";
import * as rules from "../lint/rules.ts";
import { isAbsolute, resolvePath } from "../paths.ts";
import type { Conversion } from "./conversion.ts";
import { directoryIn } from "./file-actions.ts";
import { record } from "./history.ts";
import type { StageBuild } from "./stage.ts";
import { nameStep, shownLine } from "./step-names.ts";

const NANOSECONDS = 1_000_000_000n;

/** Steps into a directory without making it: what a base image starts with. */
export function enterDirectory(build: StageBuild, path: string): string {
  const directory = resolvePath(build.image.config.WorkingDir ?? "/", path, false);
  build.image.config.WorkingDir = directory;
  build.runtime = { ...build.runtime, directory };
  return directory;
}

export function makeWorkdir(
  build: StageBuild,
  instruction: WorkdirInstruction,
  conversion: Conversion,
  linter: Linter,
): void {
  const { path, code, location } = instruction;
  // The base's own directory is not counted on: it may be another one tomorrow.
  if (!build.workdirSeen && !isAbsolute(path)) linter.report(rules.workdirRelativePath, location, path);
  build.workdirSeen = true;
  const directory = enterDirectory(build, path);
  const { epoch } = conversion;
  if (directory !== "/") {
    const platform = build.platform ?? conversion.targetPlatform;
    const { environment } = build;
    const line = shownLine(code, environment, { escape: conversion.escape });
    const owner = build.image.config.User;
    build.output = directoryIn(
      build.output,
      {
        path: directory,
        mode: 0o755,
        makeParents: true,
        ...(owner ? { owner } : {}),
        time: epoch === undefined ? undefined : BigInt(epoch) * NANOSECONDS,
      },
      { name: nameStep(build, line, conversion, platform, environment), location, platform },
    );
  }
  record(build.image, `WORKDIR ${directory}`, directory !== "/", epoch);
}

/** What a stage starts from: an image of a registry or of the host, a named context, or nothing. */
import type { Platform } from "../../../core/content.ts";
import {
  canonicalString,
  type Reference as ImageReference,
  parseReference,
  withDefaultTag,
} from "../../../core/references.ts";
import { formatWholePlatform } from "../../platforms.ts";
import { during, wrapped } from "../source/errors.ts";
import { withLocation } from "../source/ranges.ts";
import { withSuggestion } from "../source/suggest.ts";
import type { NamedContext } from "../ui/named-context.ts";
import { imageSource } from "../ui/sources.ts";
import { checkBasePlatform } from "./checks.ts";
import type { Conversion } from "./conversion.ts";
import { cloneImage, emptyImage, type ImageDocument, parseImage, platformOfImage } from "./image.ts";
import type { StageBuild } from "./stage.ts";
import { nameStep } from "./step-names.ts";

export const SCRATCH = "scratch";

/** Paths of a directory as what a client is asked for; undefined: all of it. */
export function pathsToAskFor(paths: ReadonlySet<string>): string[] | undefined {
  if (paths.size === 0 || paths.has("/")) return undefined;
  return [...paths].map((path) => path.replace(/^\/+/, "") || ".").sort();
}

export function findNamedContext(
  build: StageBuild,
  name: string,
  platform: Platform | undefined,
  conversion: Conversion,
): NamedContext | undefined {
  return conversion.namedContexts.find(name, {
    platform: platform ?? conversion.targetPlatform,
    resolveMode: conversion.options.resolveMode,
    neededPaths: () => pathsToAskFor(build.neededPaths),
  });
}

/**
 * Resolves the bases of all stages that start from none of the others, side by side. Those that nothing needs are not
 * asked for, but their names must be possible ones.
 */
export async function resolveBases(
  conversion: Conversion,
  reachable: ReadonlySet<StageBuild>,
): Promise<void> {
  const pending = conversion.stages.all.filter(
    (build) => !build.base && !build.dispatched && !build.resolved,
  );
  await Promise.all(
    pending.map((build) => resolveBase(build, conversion.allStages || reachable.has(build), conversion)),
  );
}

async function resolveBase(build: StageBuild, needed: boolean, conversion: Conversion): Promise<void> {
  build.resolved = needed; // Triggers may make it needed later on.
  const { targetPlatform } = conversion;
  if (build.baseName === SCRATCH && !build.namedContext) {
    build.output = undefined;
    build.image = emptyImage(targetPlatform);
    build.platform = targetPlatform;
    if (build.unregistered) build.dispatched = true;
    return;
  }
  try {
    await resolveImage(build, needed, conversion);
  } catch (error) {
    throw withLocation(error, build.stage.location);
  } finally {
    if (build.unregistered) build.dispatched = true;
  }
}

async function resolveImage(build: StageBuild, needed: boolean, conversion: Conversion): Promise<void> {
  const given = build.baseName;
  const reference = during(`failed to parse stage name ${JSON.stringify(given)}`, () =>
    parseReference(given),
  );
  const platform = build.platform ?? conversion.targetPlatform;
  build.baseName = canonicalString(withDefaultTag(reference));
  if (!needed) {
    placeImage(build, platform, conversion);
    return;
  }
  if (build.namedContext) return replaceStage(build, build.namedContext);
  const context = findNamedContext(build, build.baseName, platform, conversion);
  if (context) return replaceBase(build, context, platform);
  await pullBase(build, given, reference, conversion);
}

/** The named context is the stage: nothing of the file's own stage is run. */
async function replaceStage(build: StageBuild, context: NamedContext): Promise<void> {
  const { output, image } = await context.load();
  build.dispatched = true;
  build.output = output;
  if (!image) return;
  build.image = withoutDate(image);
  takeRuntime(build);
  if (image.architecture && image.os) build.platform = platformOfImage(image);
}

async function replaceBase(build: StageBuild, context: NamedContext, platform: Platform): Promise<void> {
  const { output, image = emptyImage(platform) } = await context.load();
  build.baseImage = cloneImage(image);
  build.image = withoutDate(image);
  build.output = output;
  build.platform = platform;
}

async function pullBase(
  build: StageBuild,
  given: string,
  reference: ImageReference,
  conversion: Conversion,
): Promise<void> {
  const { options, gateway, request, linter, stages } = conversion;
  const wanted = build.platform ?? conversion.targetPlatform;
  const prefix = options.multiPlatform ? `[${formatWholePlatform(wanted)} internal]` : "[internal]";
  let resolved: Awaited<ReturnType<typeof gateway.resolveImageConfig>>;
  try {
    resolved = await gateway.resolveImageConfig(build.baseName, {
      platform: wanted,
      resolveMode: options.resolveMode,
      logName: `${prefix} load metadata for ${build.baseName}`,
      signal: request.signal,
    });
  } catch (error) {
    request.signal.throwIfAborted();
    throw withSuggestion(wrapped(given, error), given, [...stages.names(), ...COMMON_IMAGES], true);
  }
  const image = parseImage(resolved.config);
  build.baseImage = cloneImage(image);
  build.image = withoutDate(image);
  const platform =
    !build.platform && conversion.implicitTarget
      ? platformFor(image, wanted, conversion.buildPlatforms)
      : wanted;
  const found = resolved.reference === "" ? reference : parseReference(resolved.reference);
  build.baseName = canonicalString({ ...withDefaultTag(found), digest: resolved.digest });
  build.platform = platform;
  if (isEmpty(image)) {
    build.output = undefined;
    return;
  }
  placeImage(build, platform, conversion);
  checkBasePlatform(given, platform, platformOfImage(image), build.stage.location, linter);
}

function placeImage(build: StageBuild, platform: Platform, conversion: Conversion): void {
  const { stage, baseName } = build;
  build.platform = platform;
  build.output = imageSource(baseName, platform, conversion.options.resolveMode, {
    name: nameStep(build, `FROM ${baseName}`, conversion, platform),
    code: stage.code,
    location: stage.location,
  });
}

/** An image without layers; those of old formats do not tell, so that their history is asked too. */
function isEmpty(image: ImageDocument): boolean {
  return (
    image.rootfs.diff_ids.length === 0 && (image.history ?? []).every((entry) => entry.empty_layer === true)
  );
}

/** With no platform asked for, an image of another architecture that can be run is taken as it is. */
function platformFor(image: ImageDocument, wanted: Platform, runnable: readonly Platform[]): Platform {
  const own = platformOfImage(image);
  if (own.os === wanted.os && own.architecture === wanted.architecture) return wanted;
  return (
    runnable.find(({ os, architecture }) => os === own.os && architecture === own.architecture) ?? wanted
  );
}

/** Variables, directory and user of the image, for stages that take this one's place as it is. */
export function takeRuntime(build: StageBuild): void {
  const { Env = [], WorkingDir, User } = build.image.config;
  for (const line of Env) {
    const at = line.indexOf("=");
    build.setVariable(at < 0 ? line : line.slice(0, at), at < 0 ? "" : line.slice(at + 1));
  }
  build.runtime = {
    ...build.runtime,
    directory: WorkingDir || build.runtime.directory,
    user: User ?? build.runtime.user,
  };
}

/** An image's date is not its children's. */
function withoutDate(image: ImageDocument): ImageDocument {
  const { created: _, ...rest } = cloneImage(image);
  return rest;
}

/** Names that people mistype. */
const COMMON_IMAGES = ["alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora"].flatMap(
  (name) => [name, `docker.io/library/${name}`, `${name}:latest`, `docker.io/library/${name}:latest`],
);

/** What clients show for a step: `[stage 2/5] COPY . .`, with variables in their place. */
import type { Platform } from "../../../core/content.ts";
import { formatWholePlatform, normalizePlatform, parsePlatform } from "../../platforms.ts";
import { type Environment, noEnvironment } from "../shell/environment.ts";
import { expand, type ShellSyntax } from "../shell/expand.ts";
import type { Conversion } from "./conversion.ts";
import type { StageBuild } from "./stage.ts";

/** The next step's name. Each step is named once: names count. */
export function nameStep(
  build: StageBuild,
  text: string,
  conversion: Conversion,
  platform: Platform | undefined,
  environment: Environment = noEnvironment,
): string {
  if (build.stepTotal === 0) return text;
  build.stepIndex++;
  return stepPrefix(build, conversion, platform, environment) + text;
}

/** Another vertex of the step that was named last. */
export function nameOfSameStep(
  build: StageBuild,
  text: string,
  conversion: Conversion,
  platform: Platform | undefined,
  environment: Environment,
): string {
  return build.stepTotal === 0 ? text : stepPrefix(build, conversion, platform, environment) + text;
}

function stepPrefix(
  build: StageBuild,
  conversion: Conversion,
  platform: Platform | undefined,
  environment: Environment,
): string {
  const width = 1 + Math.floor(Math.log10(build.stepTotal));
  const count = `${String(build.stepIndex).padStart(width)}/${build.stepTotal}`;
  const platformPart =
    conversion.options.multiPlatform && platform
      ? `${formatWholePlatform(platform)}${crossTarget(platform, targetOf(environment))} `
      : "";
  const stagePart = build.shownName === "" ? "" : `${build.shownName} `;
  return `[${platformPart}${stagePart}${count}] ${build.currentIsOnBuild ? "ONBUILD " : ""}`;
}

/** An instruction's line with its variables expanded and its word in capitals; as it is, if it cannot be. */
export function shownLine(line: string, environment: Environment, syntax: ShellSyntax): string {
  let text = line;
  try {
    text = expand(line, environment, syntax).text;
  } catch {
    // A RUN line is a shell's: quotes that do not close here may close there.
  }
  const at = text.indexOf(" ");
  return at < 0 ? text.toUpperCase() : text.slice(0, at).toUpperCase() + text.slice(at);
}

/** What a stage compiles for, if its variables say so. */
function targetOf(environment: Environment): Partial<Platform> | undefined {
  const whole = environment.get("TARGETPLATFORM");
  if (whole !== undefined) {
    try {
      return parsePlatform(whole);
    } catch {
      // Somebody's own value: not shown.
    }
  }
  const os = environment.get("TARGETOS");
  const architecture = environment.get("TARGETARCH");
  const variant = environment.get("TARGETVARIANT");
  if (os === undefined && architecture === undefined && variant === undefined) return undefined;
  return {
    ...(os ? { os } : {}),
    ...(architecture ? { architecture } : {}),
    ...(variant ? { variant } : {}),
  };
}

function crossTarget(base: Platform, target: Partial<Platform> | undefined): string {
  if (!target) return "";
  const platform = normalizePlatform({
    ...target,
    os: target.os ?? base.os,
    architecture: target.architecture ?? base.architecture,
  });
  if (platform.os !== base.os) return `->${formatWholePlatform(platform)}`;
  if (platform.architecture === base.architecture) return "";
  return `->${[platform.architecture, platform.variant].filter(Boolean).join("/")}`;
}

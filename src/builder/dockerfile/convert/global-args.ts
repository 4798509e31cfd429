/** Arguments above the first FROM, and those that are always there: what FROM lines see and stages may take. */
import type { Platform } from "../../../core/content.ts";
import { formatPlatform, formatWholePlatform } from "../../platforms.ts";
import type { ArgInstruction } from "../instructions/types.ts";
import { type Environment, environmentFrom } from "../shell/environment.ts";
import { expand } from "../shell/expand.ts";
import { withLocation } from "../source/ranges.ts";
import type { ArgumentInfo } from "./outline-record.ts";

export interface GlobalArgs {
  readonly environment: Environment;
  readonly values: ReadonlyMap<string, string>;
  readonly info: ReadonlyMap<string, ArgumentInfo>;
}

/** TARGETPLATFORM, BUILDARCH and their like; a build argument of the name replaces one. */
export function predefinedArgs(
  buildPlatform: Platform,
  targetPlatform: Platform,
  target: string,
  buildArgs: ReadonlyMap<string, string>,
): Map<string, string> {
  const values: [string, string][] = [
    ["BUILDPLATFORM", formatPlatform(buildPlatform)],
    ["BUILDOS", buildPlatform.os],
    ["BUILDOSVERSION", buildPlatform["os.version"] ?? ""],
    ["BUILDARCH", buildPlatform.architecture],
    ["BUILDVARIANT", buildPlatform.variant ?? ""],
    ["TARGETPLATFORM", formatWholePlatform(targetPlatform)],
    ["TARGETOS", targetPlatform.os],
    ["TARGETOSVERSION", targetPlatform["os.version"] ?? ""],
    ["TARGETARCH", targetPlatform.architecture],
    ["TARGETVARIANT", targetPlatform.variant ?? ""],
    ["TARGETSTAGE", target || "default"],
  ];
  return new Map(values.map(([name, value]) => [name, buildArgs.get(name) ?? value]));
}

/** @throws DockerfileError if a default cannot be expanded */
export function globalArgsWith(
  predefined: ReadonlyMap<string, string>,
  instructions: readonly ArgInstruction[],
  buildArgs: ReadonlyMap<string, string>,
  escapeLetter: string,
): GlobalArgs {
  const values = new Map(predefined);
  const info = new Map<string, ArgumentInfo>();
  for (const { args, location } of instructions) {
    for (const arg of args) {
      const given = buildArgs.get(arg.key);
      let uses: ReadonlySet<string> = new Set();
      let value = given ?? arg.value;
      if (given === undefined && arg.value !== undefined) {
        try {
          const expansion = expand(arg.value, environmentFrom(values), { escape: escapeLetter });
          value = expansion.text;
          uses = usesOf(arg.key, expansion.matched, info);
        } catch (error) {
          throw withLocation(error, location);
        }
      }
      if (value !== undefined) values.set(arg.key, value);
      info.set(arg.key, { definition: arg, value: value ?? "", uses, location });
    }
  }
  return { environment: environmentFrom(values), values, info };
}

/** An argument that is made of its own former value uses what that one used. */
function usesOf(
  name: string,
  matched: ReadonlySet<string>,
  info: ReadonlyMap<string, ArgumentInfo>,
): ReadonlySet<string> {
  if (!matched.has(name)) return matched;
  const others = [...matched].filter((other) => other !== name);
  return new Set([...others, ...(info.get(name)?.uses ?? [])]);
}

/**
 * Questions that a client asks in the place of a build (`docker build --check`, `--call=outline`): what warnings there
 * are, what a target can be given, which targets there are.
 *
 * @see https://github.com/moby/buildkit/tree/master/frontend/subrequests
 */
import type { SourceInfo } from "../../graph/definition.ts";
import type { StageBuild } from "../convert/stage.ts";
import type { Stage } from "../instructions/types.ts";
import type { LintWarning } from "../lint/linter.ts";
import { findLocated, mergeLocations, messageOf, type SourceRange } from "../source/ranges.ts";
import { excerpt } from "./excerpt.ts";
import { goJson, table, toJsonLocation, toJsonSource } from "./json.ts";

export const LINT = "frontend.lint";
export const OUTLINE = "frontend.outline";
export const TARGETS = "frontend.targets";
export const DESCRIBE = "frontend.subrequests.describe";
const VERSION = "1.0.0";

/** What a client gets: texts by name, and no file system. */
export type Answer = ReadonlyMap<string, string>;

function answer(json: unknown, text: string, more: Readonly<Record<string, string>> = {}): Answer {
  return new Map(
    Object.entries({ "result.json": goJson(json), "result.txt": text, version: VERSION, ...more }),
  );
}

/** @param failure what kept the file from being read to its end, if anything did */
export function lintAnswer(warnings: readonly LintWarning[], source: SourceInfo, failure: unknown): Answer {
  const entries = warnings.map(({ rule, description, url, message, location }) => ({
    ruleName: rule,
    ...(description === "" ? {} : { description }),
    ...(url === "" ? {} : { url }),
    detail: message,
    location: toJsonLocation(location),
  }));
  const located = findLocated(failure);
  const buildError = failure !== undefined && {
    message: messageOf(failure),
    location: toJsonLocation(located ? mergeLocations(located.locations) : []),
  };
  const json = {
    warnings: entries.length === 0 ? null : entries,
    sources: [toJsonSource(source)],
    ...(buildError ? { buildError } : {}),
  };
  const firstLine = ({ location }: LintWarning) => location[0]?.start.line ?? 0;
  const text = [...warnings]
    .sort((a, b) => firstLine(a) - firstLine(b) || (a.rule < b.rule ? -1 : 1))
    .map((warning) => warningText(warning, source))
    .join("");
  const clean = warnings.length === 0 && failure === undefined;
  return answer(json, text, { "result.statuscode": clean ? "0" : "1" });
}

function warningText({ rule, url, message, location }: LintWarning, source: SourceInfo): string {
  return `\nWARNING: ${rule}${url === "" ? "" : ` - ${url}`}\n${message}\n${excerpt(source, location)}`;
}

export function targetsAnswer(stages: readonly Stage[], source: SourceInfo): Answer {
  const targets = stages.map((stage, index) => ({
    ...(stage.name === "" ? {} : { name: stage.name }),
    ...(index === stages.length - 1 ? { default: true } : {}),
    ...(stage.description === "" ? {} : { description: stage.description }),
    ...(stage.base === "" ? {} : { base: stage.base }),
    ...(stage.platform === "" ? {} : { platform: stage.platform }),
    location: toJsonLocation(stage.location),
  }));
  const rows = targets.map(({ name = "", description = "", default: isDefault }) => {
    const shown = name === "" && isDefault ? "(default)" : isDefault ? `${name} (default)` : name;
    return [shown, description];
  });
  const json = { targets, sources: [Buffer.from(source.data).toString("base64")] };
  return answer(json, table([["TARGET", "DESCRIPTION"], ...rows], 1));
}

interface OutlineEntry {
  readonly name: string;
  readonly ranges: readonly SourceRange[];
}

export function outlineAnswer(target: StageBuild, source: SourceInfo): Answer {
  const { name, description } = target.stage;
  const args = inOrder(outlineArgs(target, new Set()));
  const secrets = inOrder(outlineHanded(target, "secrets", new Set(), new Set()));
  const ssh = inOrder(outlineHanded(target, "ssh", new Set(), new Set()));
  const handedJson = ({ name, required, ranges }: HandedEntry) => ({
    name,
    ...(required ? { required } : {}),
    location: toJsonLocation(ranges),
  });
  const json = {
    ...(name === "" ? {} : { name }),
    ...(description === "" ? {} : { description }),
    ...(args.length === 0
      ? {}
      : {
          args: args.map((arg) => ({
            name: arg.name,
            ...(arg.description === "" ? {} : { description: arg.description }),
            ...(arg.value === "" ? {} : { value: arg.value }),
            location: toJsonLocation(arg.ranges),
          })),
        }),
    ...(secrets.length === 0 ? {} : { secrets: secrets.map(handedJson) }),
    ...(ssh.length === 0 ? {} : { ssh: ssh.map(handedJson) }),
    sources: [Buffer.from(source.data).toString("base64")],
  };
  const handedRows = (entries: readonly HandedEntry[]) =>
    entries.map((entry) => [entry.name, entry.required ? "true" : ""]);
  const section = (rows: readonly (readonly string[])[], gap: number) => `${table(rows, gap)}\n`;
  const head = [
    ["TARGET:", name || "(default)"],
    ...(description === "" ? [] : [["DESCRIPTION:", description]]),
  ];
  const text = [
    name === "" && description === "" ? "" : section(head, 1),
    args.length === 0
      ? ""
      : section(
          [
            ["BUILD ARG", "VALUE", "DESCRIPTION"],
            ...args.map((arg) => [arg.name, arg.value, arg.description]),
          ],
          3,
        ),
    secrets.length === 0 ? "" : section([["SECRET", "REQUIRED"], ...handedRows(secrets)], 3),
    ssh.length === 0 ? "" : section([["SSH", "REQUIRED"], ...handedRows(ssh)], 3),
  ];
  return answer(json, text.join(""));
}

interface ArgEntry extends OutlineEntry {
  readonly value: string;
  readonly description: string;
}

/** Arguments that a stage or anything beneath it uses, each once. */
function outlineArgs(build: StageBuild, seen: Set<string>, visited = new Set<StageBuild>()): ArgEntry[] {
  if (visited.has(build)) return [];
  visited.add(build);
  const { allArgs, usedArgs } = build.outline;
  const entries: ArgEntry[] = [];
  const pending = [...usedArgs];
  const expanded = new Set<string>();
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const info = allArgs.get(name);
    if (!info || expanded.has(name)) continue;
    expanded.add(name);
    pending.push(...info.uses);
    if (seen.has(name)) continue;
    seen.add(name);
    const { key, description } = info.definition;
    entries.push({ name: key, value: info.value, description, ranges: info.location });
  }
  return [...entries, ...beneath(build).flatMap((other) => outlineArgs(other, seen, visited))];
}

interface HandedEntry extends OutlineEntry {
  readonly required: boolean;
}

function outlineHanded(
  build: StageBuild,
  kind: "secrets" | "ssh",
  seen: Set<string>,
  visited: Set<StageBuild>,
): HandedEntry[] {
  if (visited.has(build)) return [];
  visited.add(build);
  const own = [...build.outline[kind]].filter(([name]) => !seen.has(name));
  for (const [name] of own) seen.add(name);
  const entries = own.map(([name, { required, location }]) => ({ name, required, ranges: location }));
  return [...entries, ...beneath(build).flatMap((other) => outlineHanded(other, kind, seen, visited))];
}

function beneath(build: StageBuild): StageBuild[] {
  return [...(build.base ? [build.base] : []), ...build.needs.keys()];
}

function inOrder<T extends OutlineEntry>(entries: readonly T[]): T[] {
  const line = ({ ranges }: T) => ranges[0]?.start.line ?? 0;
  return [...entries].sort((a, b) => line(a) - line(b));
}

const results = (...names: string[]) => names.map((name) => ({ name, description: "" }));
const REQUESTS = [
  { name: OUTLINE, description: "List all parameters current build target supports" },
  { name: TARGETS, description: "List all targets current build supports" },
  { name: DESCRIBE, description: "List available subrequest types" },
].map(({ name, description }) => ({
  name,
  version: VERSION,
  type: "rpc",
  description,
  opts: [],
  inputs: null,
  metadata: results("result.json", "result.txt"),
  refs: null,
}));

export function describeAnswer(): Answer {
  const rows = REQUESTS.map(({ name, version, description }) => [name, version, description]);
  return answer(REQUESTS, table([["NAME", "VERSION", "DESCRIPTION"], ...rows], 1));
}

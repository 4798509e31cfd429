/**
 * Scoped sockets: further sockets of the same daemon that let through some operations, and of containers only those with
 * given labels and names. What lies outside does not exist there.
 */

import { compileTranslated, type GoRegExp } from "../../base/go-regexp.ts";
import { ForbiddenError, InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import type { Gate, GatedCall, GatedReply } from "./gate.ts";

export interface Scope {
  /** `read`, `write`, `all`, or names of operations with `*`: `ContainerStart`, `Image*`. */
  readonly allow: readonly string[];
  /** `key` or `key=value`: containers must have all. */
  readonly labels: readonly string[];
  /** Patterns with `*`: containers must match one, if there are any. */
  readonly names: readonly string[];
}

export interface ScopedSocket {
  /** `unix:///run/gantry/ci.sock`. */
  readonly host: string;
  readonly group: string | undefined;
  readonly scope: Scope;
}

/** How a scope finds out which container a call concerns. Undefined where there is none. */
export interface ScopedObjects {
  container(reference: string): Promise<ScopedContainer | undefined>;
  /** The container of an exec. */
  exec(id: string): Promise<ScopedContainer | undefined>;
}

export interface ScopedContainer {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * `unix:///run/ci.sock;group=ci;allow=read,ContainerStart;label=team=ci;name=ci-*`: `label` and `name` may be repeated.
 * @throws InvalidParameterError
 */
export function parseScopedSocket(text: string): ScopedSocket {
  const [host = "", ...settings] = text.split(";");
  const bad = (why: string) => new InvalidParameterError(`scoped-sockets: ${why} in ${JSON.stringify(text)}`);
  if (!host.startsWith("unix:///")) throw bad("the first part is no unix:// address");
  const found = { group: [] as string[], allow: [] as string[], label: [] as string[], name: [] as string[] };
  for (const setting of settings) {
    const at = setting.indexOf("=");
    const key = setting.slice(0, Math.max(at, 0));
    const value = setting.slice(at + 1);
    if (!Object.hasOwn(found, key) || value === "") throw bad(`unknown setting ${JSON.stringify(setting)}`);
    found[key as keyof typeof found].push(...(key === "allow" ? value.split(",") : [value]));
  }
  if (found.allow.length === 0)
    throw bad("allow= is missing: a socket that lets everything through is a --host");
  return {
    host,
    group: found.group[0],
    scope: { allow: found.allow, labels: found.label, names: found.name },
  };
}

/** What every client asks first; it tells nothing of anybody's containers. */
const ALWAYS = new Set(["SystemPing", "SystemPingHead", "SystemVersion"]);
/** They read, and what they read is more than how things are. */
const NOT_JUST_READING = new Set([
  "ContainerAttachWebsocket",
  "ContainerArchive",
  "ContainerExport",
  "ImageGet",
  "ImageGetAll",
]);
const EXEC = new Set(["ExecStart", "ExecResize", "ExecInspect"]);

export function scopeGate(scope: Scope, objects: ScopedObjects): Gate {
  const patterns = scope.allow.map(toPattern);
  const names = scope.names.map(toPattern);
  const narrowed = scope.labels.length > 0 || scope.names.length > 0;
  const inside = ({ name, labels }: Pick<ScopedContainer, "name" | "labels">): boolean =>
    scope.labels.every((label) => hasLabel(labels, label)) &&
    (names.length === 0 || names.some((pattern) => pattern.test(name)));

  return {
    async enter(call) {
      if (ALWAYS.has(call.operation)) return;
      if (!allows(scope.allow, patterns, call)) throw refused(call);
      if (!narrowed || call.operation === "ContainerList") return;
      await checkObject(call, objects, inside);
      if (call.operation !== "ContainerRename") return;
      const name = (call.query.get("name") ?? "").replace(/^\//, "");
      if (names.length > 0 && !names.some((pattern) => pattern.test(name))) throw refused(call);
    },
    async leave(call, reply) {
      if (!narrowed || call.operation !== "ContainerList") return undefined;
      return { ...reply, body: withoutOutsiders(reply, inside) };
    },
  };
}

/** @throws NotFoundError for one that lies outside, ForbiddenError for what concerns no single container */
async function checkObject(
  call: GatedCall,
  objects: ScopedObjects,
  inside: (container: ScopedContainer) => boolean,
): Promise<void> {
  const id = call.params.id ?? "";
  if (EXEC.has(call.operation)) {
    const container = await objects.exec(id);
    if (container && inside(container)) return;
    throw new NotFoundError(`No such exec instance: ${id}`, { subject: id });
  }
  if (!call.route.path.startsWith("/containers/{id")) throw refused(call);
  const container = await objects.container(id);
  if (!container || !inside(container)) throw new NotFoundError(`No such container: ${id}`, { subject: id });
  // The name may be another's by the time that the handler looks.
  call.replaceParam("id", container.id);
}

function allows(words: readonly string[], patterns: readonly GoRegExp[], call: GatedCall): boolean {
  const reads = (call.method === "GET" || call.method === "HEAD") && !NOT_JUST_READING.has(call.operation);
  return words.some((word, index) => {
    if (word === "all") return true;
    if (word === "read") return reads;
    if (word === "write") return !reads;
    return patterns[index]?.test(call.operation) ?? false;
  });
}

function withoutOutsiders(
  { body }: GatedReply,
  inside: (container: Pick<ScopedContainer, "name" | "labels">) => boolean,
): string {
  const list = JSON.parse(body) as { Names?: string[]; Labels?: Record<string, string> }[];
  const visible = list.filter(({ Names = [], Labels = {} }) => {
    // Names of links have two slashes.
    const name = Names.map((text) => text.slice(1)).find((text) => !text.includes("/")) ?? "";
    return inside({ name, labels: Labels });
  });
  return `${JSON.stringify(visible)}\n`;
}

function refused(call: GatedCall): ForbiddenError {
  return new ForbiddenError(`${call.operation} is not allowed on this socket`, { subject: call.operation });
}

function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const at = wanted.indexOf("=");
  const key = at < 0 ? wanted : wanted.slice(0, at);
  return Object.hasOwn(labels, key) && (at < 0 || labels[key] === wanted.slice(at + 1));
}

function toPattern(text: string): GoRegExp {
  const quoted = text.replace(/[\\^$.+?()[\]{}|]/g, "\\$&").replaceAll("*", ".*");
  return compileTranslated(`^${quoted}$`);
}

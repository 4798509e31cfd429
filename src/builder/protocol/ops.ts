/** Vertices between the wire and the graph. */
import type { Platform } from "../../core/content.ts";
import { parseDigest } from "../../core/digests.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import {
  type ChownOpt,
  type ExecOp,
  type FileAction,
  type Meta,
  type Mount,
  NONE,
  type Op,
  type UserOpt,
} from "../graph/ops.ts";
import type { DefinitionValue, Meta as MetaMessage, Mount as MountMessage } from "./messages/llb.ts";
import { DefinitionMessage, OpMessage } from "./messages/llb.ts";
import type { Message, Value } from "./wire/message.ts";

type OpValue = Value<typeof OpMessage>;
type FileValue = NonNullable<OpValue["file"]>["actions"][number];
type ChownValue = NonNullable<NonNullable<FileValue["copy"]>["owner"]>;
type UserValue = NonNullable<ChownValue["user"]>;

/** An op that may be none: the end of a definition, which names its result. */
export interface TerminalOp {
  readonly inputs: Op["inputs"];
  readonly op: undefined;
}

/** The bytes that a vertex's digest is of. */
export function encodeOp(op: Op | TerminalOp): Uint8Array {
  const inputs = op.inputs.map(({ digest, index }) => ({ digest, index }));
  if (op.op === undefined) return OpMessage.encode({ inputs });
  const { platform, constraints } = op;
  return OpMessage.encode({
    inputs,
    ...workOf(op.op),
    platform: platform && toPlatformMessage(platform),
    constraints: constraints && { filter: constraints },
  });
}

/**
 * @param options.terminal the op may be the end of a definition
 * @throws InvalidParameterError if the bytes are no op, or one that points outside of its inputs
 */
export function decodeOp(bytes: Uint8Array): Op;
export function decodeOp(bytes: Uint8Array, options: { terminal: true }): Op | TerminalOp;
export function decodeOp(bytes: Uint8Array, options?: { terminal: true }): Op | TerminalOp {
  const value = OpMessage.decode(bytes);
  const inputs = value.inputs.map(({ digest, index }) => {
    if (index < 0) throw malformed(`input index ${index}`);
    return { digest: parseDigest(digest), index };
  });
  const op = fromWork(value, inputs.length);
  if (op === undefined) {
    if (options?.terminal) return { inputs, op };
    throw malformed("an op without work");
  }
  const { platform, constraints } = value;
  return {
    inputs,
    op,
    ...(platform ? { platform: fromPlatformMessage(platform) } : {}),
    ...(constraints ? { constraints: constraints.filter } : {}),
  };
}

export function toPlatformMessage(platform: Platform): NonNullable<OpValue["platform"]> {
  return {
    architecture: platform.architecture,
    os: platform.os,
    variant: platform.variant ?? "",
    osVersion: platform["os.version"] ?? "",
    osFeatures: platform["os.features"] ?? [],
  };
}

export function fromPlatformMessage(value: NonNullable<OpValue["platform"]>): Platform {
  return {
    os: value.os,
    architecture: value.architecture,
    ...(value.variant === "" ? {} : { variant: value.variant }),
    ...(value.osVersion === "" ? {} : { "os.version": value.osVersion }),
    ...(value.osFeatures.length === 0 ? {} : { "os.features": value.osFeatures }),
  };
}

/** The one field of the message that holds the work. */
function workOf(op: Op["op"]): Partial<OpValue> {
  switch (op.type) {
    case "exec":
      return { exec: toExecMessage(op) };
    case "source":
      return { source: { identifier: op.identifier, attrs: new Map(Object.entries(op.attrs)) } };
    case "file":
      return { file: { actions: op.actions.map(toFileMessage) } };
    case "build":
      return {
        build: {
          builder: op.builder,
          inputs: new Map(Object.entries(op.inputs).map(([name, input]) => [name, { input }])),
          def: op.def && DefinitionMessage.decode(op.def),
          attrs: new Map(Object.entries(op.attrs)),
        },
      };
    case "merge":
      return { merge: { inputs: op.inputs.map((input) => ({ input })) } };
    case "diff":
      return { diff: { lower: { input: op.lower }, upper: { input: op.upper } } };
    case "passthrough":
      return { passthrough: { id: op.id, outputs: op.outputs } };
  }
}

function fromWork(value: OpValue, inputs: number): Op["op"] | undefined {
  const { exec, source, file, build, merge, diff, passthrough } = value;
  if (exec) return fromExecMessage(exec, inputs);
  if (source) {
    return { type: "source", identifier: source.identifier, attrs: Object.fromEntries(source.attrs) };
  }
  if (file) {
    if (file.actions.length === 0) throw malformed("a file op without actions");
    return {
      type: "file",
      actions: file.actions.map((action, index) => fromFileMessage(action, inputs + index)),
    };
  }
  if (merge) {
    return { type: "merge", inputs: merge.inputs.map(({ input }) => checkedIndex(input, inputs)) };
  }
  if (diff) {
    const lower = checkedIndex(diff.lower?.input ?? NONE, inputs);
    return { type: "diff", lower, upper: checkedIndex(diff.upper?.input ?? NONE, inputs) };
  }
  if (build) {
    const named = [...build.inputs].map(([name, { input }]) => [name, checkedIndex(input, inputs)]);
    return {
      type: "build",
      builder: checkedIndex(build.builder, inputs),
      inputs: Object.fromEntries(named),
      attrs: Object.fromEntries(build.attrs),
      ...(build.def ? { def: (DefinitionMessage as Message<DefinitionValue>).encode(build.def) } : {}),
    };
  }
  return passthrough && { type: "passthrough", id: passthrough.id, outputs: passthrough.outputs };
}

function toExecMessage(op: ExecOp): NonNullable<OpValue["exec"]> {
  const { meta, mounts, network, security, secretEnv, cdiDevices } = op;
  return {
    meta: toMetaMessage(meta),
    mounts: mounts.map(toMountMessage),
    network,
    security,
    secretEnv,
    cdiDevices,
  };
}

function fromExecMessage(value: NonNullable<OpValue["exec"]>, inputs: number): ExecOp {
  if (!value.meta || value.meta.args.length === 0) throw malformed("an exec op without arguments");
  if (!value.mounts.some((mount) => mount.dest === "/")) throw malformed("an exec op without a root mount");
  const { network, security, secretEnv, cdiDevices } = value;
  return {
    type: "exec",
    meta: fromMetaMessage(value.meta),
    mounts: value.mounts.map((mount) => fromMountMessage(mount, inputs)),
    network,
    security,
    secretEnv,
    cdiDevices,
  };
}

export function toMetaMessage(meta: Meta): Value<typeof MetaMessage> {
  return { ...meta, proxyEnv: meta.proxyEnv };
}

export function fromMetaMessage(value: Value<typeof MetaMessage>): Meta {
  const { proxyEnv, ...rest } = value;
  return { ...rest, ...(proxyEnv ? { proxyEnv } : {}) };
}

function toMountMessage(mount: Mount): Value<typeof MountMessage> {
  const { tmpfs, cache, secret, ssh, resultId = "" } = mount;
  return { ...mount, tmpfs, cache, secret, ssh, resultId };
}

/** @param inputs how many there are; a gateway container's mounts name results and have none */
export function fromMountMessage(value: Value<typeof MountMessage>, inputs: number): Mount {
  const { tmpfs, cache, secret, ssh, resultId, ...rest } = value;
  return {
    ...rest,
    input: checkedIndex(value.input, inputs),
    ...(tmpfs ? { tmpfs } : {}),
    ...(cache ? { cache } : {}),
    ...(secret ? { secret } : {}),
    ...(ssh ? { ssh } : {}),
    ...(resultId === "" ? {} : { resultId }),
  };
}

function toFileMessage(action: FileAction): FileValue {
  const { input, secondaryInput, output, action: work } = action;
  const base = { input, secondaryInput, output };
  const none = { copy: undefined, mkfile: undefined, mkdir: undefined, rm: undefined, symlink: undefined };
  if (work.type === "rm") return { ...base, ...none, rm: work };
  const owner = work.owner && toChownMessage(work.owner);
  switch (work.type) {
    case "copy":
      return { ...base, ...none, copy: { ...work, owner } };
    case "mkfile":
      return { ...base, ...none, mkfile: { ...work, owner } };
    case "mkdir":
      return { ...base, ...none, mkdir: { ...work, owner } };
    case "symlink":
      return { ...base, ...none, symlink: { ...work, owner } };
  }
}

/** @param limit inputs and earlier actions: what an index may point to */
function fromFileMessage(value: FileValue, limit: number): FileAction {
  return {
    input: checkedIndex(value.input, limit),
    secondaryInput: checkedIndex(value.secondaryInput, limit),
    output: value.output,
    action: fromActionMessage(value, limit),
  };
}

function fromActionMessage(value: FileValue, limit: number): FileAction["action"] {
  const { copy, mkfile, mkdir, rm, symlink } = value;
  if (copy) return { type: "copy", ...copy, ...ownerOf(copy, limit) };
  if (mkfile) return { type: "mkfile", ...mkfile, ...ownerOf(mkfile, limit) };
  if (mkdir) return { type: "mkdir", ...mkdir, ...ownerOf(mkdir, limit) };
  if (rm) return { type: "rm", ...rm };
  if (symlink) return { type: "symlink", ...symlink, ...ownerOf(symlink, limit) };
  throw malformed("a file action without work");
}

function ownerOf(
  value: { readonly owner: ChownValue | undefined },
  limit: number,
): { owner: ChownOpt | undefined } {
  const { user, group } = value.owner ?? {};
  const given = {
    ...(user ? { user: fromUserMessage(user, limit) } : {}),
    ...(group ? { group: fromUserMessage(group, limit) } : {}),
  };
  return { owner: value.owner && given };
}

function fromUserMessage(value: UserValue, limit: number): UserOpt {
  const { byName } = value;
  if (!byName) return { by: "id", id: value.byId };
  return { by: "name", name: byName.name, input: checkedIndex(byName.input, limit) };
}

function toChownMessage(owner: ChownOpt): ChownValue {
  return { user: owner.user && toUserMessage(owner.user), group: owner.group && toUserMessage(owner.group) };
}

function toUserMessage(user: UserOpt): UserValue {
  return user.by === "id"
    ? { byName: undefined, byId: user.id }
    : { byName: { name: user.name, input: user.input }, byId: 0 };
}

/** @throws InvalidParameterError unless the index is one of `limit`, or −1 */
function checkedIndex(index: number, limit: number): number {
  if (index < NONE || index >= limit) throw malformed(`index ${index} out of range (${limit} inputs)`);
  return index;
}

function malformed(what: string): InvalidParameterError {
  return new InvalidParameterError(`invalid definition: ${what}`);
}

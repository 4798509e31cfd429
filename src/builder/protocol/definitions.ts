/**
 * Definitions between the wire and the graph.
 *
 * A vertex is named by the sha256 of its bytes as they came: what was decoded is never encoded again, so that a client
 * that knows more fields than we do still finds its vertices by the names that it gave them.
 */
import { digestOf } from "../../core/digests.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import type { Digest } from "../../core/ids.ts";
import {
  type Definition,
  EMPTY_DEFINITION,
  type SourceInfo,
  type SourceLocation,
} from "../graph/definition.ts";
import type { Edge, Op, OpMetadata } from "../graph/ops.ts";
import {
  DefinitionMessage,
  type DefinitionValue,
  type OpMetadataMessage,
  type Range,
  type SourceInfoValue,
} from "./messages/llb.ts";
import { decodeOp, encodeOp } from "./ops.ts";
import type { Value } from "./wire/message.ts";

/** @throws InvalidParameterError if the bytes are no definition, or one that names what it does not hold */
export function decodeDefinition(bytes: Uint8Array): Definition {
  return fromDefinitionMessage(DefinitionMessage.decode(bytes));
}

export function encodeDefinition(definition: Definition): Uint8Array {
  return DefinitionMessage.encode(toDefinitionMessage(definition));
}

/** The last vertex says what the result is: it has one input, and is nothing by itself. @throws InvalidParameterError */
export function fromDefinitionMessage(value: DefinitionValue): Definition {
  if (value.def.length === 0) return EMPTY_DEFINITION;
  const ops = new Map<Digest, Op>();
  const encoded = new Map<Digest, Uint8Array>();
  for (const bytes of value.def.slice(0, -1)) {
    const digest = digestOf(bytes);
    ops.set(digest, decodeOp(bytes));
    encoded.set(digest, bytes);
  }
  const last = value.def.at(-1) as Uint8Array;
  const result = resultOf(last);
  for (const op of ops.values()) for (const edge of op.inputs) requireVertex(ops, edge);
  if (result) requireVertex(ops, result);
  return {
    ops,
    encoded,
    metadata: metadataOf(value, digestOf(last)),
    result,
    source: sourceOf(value),
  };
}

export function toDefinitionMessage(definition: Definition): DefinitionValue {
  if (!definition.result) return { def: [], metadata: new Map(), source: undefined };
  const terminal = encodeOp({ inputs: [definition.result], op: undefined });
  const metadata = [...definition.metadata].map(
    ([digest, entry]) => [digest, toMetadataMessage(entry)] as const,
  );
  const locations = [...definition.source.locations].map(
    ([digest, list]) => [digest, { locations: list }] as const,
  );
  return {
    def: [...definition.encoded.values(), terminal],
    metadata: new Map(metadata),
    source: {
      locations: new Map(locations),
      infos: definition.source.infos.map(toSourceInfoMessage),
    },
  };
}

export function fromSourceInfoMessage(value: SourceInfoValue): SourceInfo {
  const { filename, data, language } = value;
  return {
    filename,
    data,
    language,
    ...(value.definition ? { definition: fromDefinitionMessage(value.definition) } : {}),
  };
}

export function toSourceInfoMessage(info: SourceInfo): SourceInfoValue {
  return {
    filename: info.filename,
    data: info.data,
    definition: info.definition && toDefinitionMessage(info.definition),
    language: info.language,
  };
}

export function fromRangeMessage(value: Value<typeof Range>): SourceLocation["ranges"][number] {
  const nowhere = { line: 0, character: 0 };
  return { start: value.start ?? nowhere, end: value.end ?? value.start ?? nowhere };
}

function resultOf(last: Uint8Array): Edge | undefined {
  const { inputs, op } = decodeOp(last, { terminal: true });
  if (inputs.length > 1 || op !== undefined) {
    throw new InvalidParameterError("invalid definition: the last op must name the result alone");
  }
  return inputs[0];
}

function requireVertex(ops: ReadonlyMap<Digest, Op>, edge: Edge): void {
  if (!ops.has(edge.digest)) {
    throw new InvalidParameterError(`invalid definition: no op has the digest ${edge.digest}`);
  }
}

function metadataOf(value: DefinitionValue, terminal: Digest): Map<Digest, OpMetadata> {
  const metadata = new Map<Digest, OpMetadata>();
  for (const [digest, entry] of value.metadata) {
    if (digest !== terminal) metadata.set(digest as Digest, fromMetadataMessage(entry));
  }
  return metadata;
}

function fromMetadataMessage(value: Value<typeof OpMetadataMessage>): OpMetadata {
  const { exportCache, progressGroup, linuxResources } = value;
  return {
    ignoreCache: value.ignoreCache,
    description: Object.fromEntries(value.description),
    caps: Object.fromEntries(value.caps),
    ...(exportCache ? { exportCache: exportCache.value } : {}),
    ...(progressGroup ? { progressGroup } : {}),
    ...(linuxResources ? { linuxResources } : {}),
  };
}

function toMetadataMessage(metadata: OpMetadata): Value<typeof OpMetadataMessage> {
  const { exportCache, progressGroup, linuxResources } = metadata;
  const noResources = {
    memory: 0,
    memorySwap: 0,
    cpuShares: 0,
    cpuPeriod: 0,
    cpuQuota: 0,
    cpusetCpus: "",
    cpusetMems: "",
  };
  return {
    ignoreCache: metadata.ignoreCache,
    description: new Map(Object.entries(metadata.description)),
    exportCache: exportCache === undefined ? undefined : { value: exportCache },
    caps: new Map(Object.entries(metadata.caps)),
    progressGroup,
    linuxResources: linuxResources && { ...noResources, ...linuxResources },
  };
}

function sourceOf(value: DefinitionValue): Definition["source"] {
  const infos = value.source?.infos.map(fromSourceInfoMessage) ?? [];
  const locations = new Map<Digest, SourceLocation[]>();
  for (const [digest, list] of value.source?.locations ?? []) {
    const known = list.locations.filter(
      (entry) => entry.sourceIndex >= 0 && entry.sourceIndex < infos.length,
    );
    locations.set(
      digest as Digest,
      known.map(({ sourceIndex, ranges }) => ({ sourceIndex, ranges: ranges.map(fromRangeMessage) })),
    );
  }
  return { infos, locations };
}

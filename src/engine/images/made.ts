/** Images that come into being here: by commit, import, load and build. */
import type { ContentStore, Descriptor } from "../../core/content.ts";
import { digestOf } from "../../core/digests.ts";
import type { Digest } from "../../core/ids.ts";
import type { ImageConfig } from "../../core/image.ts";
import { parseImageConfig } from "../../core/manifests.ts";
import { canonicalString, type Reference } from "../../core/references.ts";
import {
  type ImageLayer,
  type ImageRecord,
  type ImageStore,
  type ReferenceRecord,
  withForms,
} from "./store.ts";

const CONFIG_TYPE = "application/vnd.docker.container.image.v1+json";

export interface NewImage {
  /** Bytes of the configuration; its digest is the image's id. */
  readonly config: Uint8Array;
  /** Lowest first. Their snapshots are there, and leased by the caller as their archives are. */
  readonly layers: readonly ImageLayer[];
  /** Without one, manifest and archives are written when somebody wants them. */
  readonly manifest?: Descriptor;
  /** Every other document that leads to it: its manifest, an index; in the store, and leased. */
  readonly documents?: readonly Digest[];
  /** Names that it gets, with what each leads to if that is not the manifest. */
  readonly names?: readonly { readonly reference: Reference; readonly target?: Descriptor }[];
  readonly parent?: Digest;
  readonly configType?: string;
}

/**
 * Makes an image visible, in one transaction with its names. Idempotent: of an image that is there only the names change.
 * @throws InvalidParameterError if the configuration is none
 */
export async function addImage(
  { store, content }: { readonly store: ImageStore; readonly content: ContentStore },
  image: NewImage,
): Promise<ImageRecord> {
  const config: ImageConfig = parseImageConfig(image.config);
  const id = digestOf(image.config);
  using _lease = await store.lease([id]);
  await content.put(image.config);
  const known = store.findById(id);
  const record: ImageRecord = {
    id,
    config,
    configDescriptor: {
      mediaType: image.configType ?? CONFIG_TYPE,
      digest: id,
      size: image.config.byteLength,
    },
    ...(image.manifest ? { manifest: image.manifest } : {}),
    ...(image.parent ? { parent: image.parent } : {}),
    layers: image.layers,
    documents: [...new Set([...(image.documents ?? []), id])],
    lastTagged: new Date().toISOString(),
  };
  // What has a manifest keeps it: one that was made up is as good as none.
  const kept =
    known && !record.manifest ? { ...known, lastTagged: record.lastTagged } : withForms(record, known);
  const target = kept.manifest;
  const references = new Map<string, ReferenceRecord>();
  for (const name of image.names ?? []) {
    const leadsTo = name.target ?? target;
    references.set(canonicalString(name.reference), { id, ...(leadsTo ? { target: leadsTo } : {}) });
  }
  store.add(kept, references);
  return kept;
}

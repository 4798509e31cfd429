/** The image of a container that was committed: the parent's layers, and one more if anything had changed. */
import type { ContentStore } from "../../core/content.ts";
import { NotFoundError, UnavailableError } from "../../core/errors.ts";
import type { EventSink } from "../../core/events.ts";
import type { Digest } from "../../core/ids.ts";
import type { CommittedImage } from "../../core/image.ts";
import { familiarString } from "../../core/references.ts";
import { encodeConfig } from "./config-document.ts";
import type { LayerParts } from "./layers.ts";
import { addImage } from "./made.ts";
import { parseNewName } from "./names.ts";
import type { ImageLayer } from "./store.ts";

export interface CommitParts extends LayerParts {
  readonly content: ContentStore;
  readonly events: EventSink;
}

/** @throws NotFoundError if the parent is gone; UnavailableError if the new layer was collected meanwhile */
export async function addCommitted(parts: CommitParts, committed: CommittedImage): Promise<Digest> {
  const { store, snapshots, events } = parts;
  const { parentId, layer, author, comment, createdBy, config } = committed;
  const parent = store.findKept(parentId);
  if (!parent) throw new NotFoundError(`No such image: ${parentId}`, { subject: parentId });
  const empty = layer.entries === 0;
  using _lease = await store.lease([layer.chainId]);
  if (!empty && !(await snapshots.has(layer.chainId))) {
    throw new UnavailableError("the same layer was being removed at the same moment, commit again");
  }
  const created = new Date().toISOString();
  const added: ImageLayer[] = empty
    ? []
    : [{ diffId: layer.diffId, chainId: layer.chainId, size: layer.size }];
  const reference = parseNewName(committed.repository, committed.tag);
  const image = await addImage(parts, {
    config: encodeConfig({
      platform: parent.config,
      author,
      created,
      config,
      layers: [...parent.config.rootfs.diff_ids, ...added.map(({ diffId }) => diffId)],
      history: [
        ...(parent.config.history ?? []),
        { created, created_by: createdBy, author, comment, empty_layer: empty },
      ],
    }),
    layers: [...parent.layers, ...added],
    ...(reference ? { names: [{ reference }] } : {}),
    parent: parent.id,
  });
  if (empty) await store.collectLayerIfUnused(layer.chainId);
  if (reference) {
    const attributes = { ...image.config.config?.Labels, name: familiarString(reference) };
    events.publish({ type: "image", action: "tag", actor: { id: image.id, attributes } });
  }
  return image.id;
}

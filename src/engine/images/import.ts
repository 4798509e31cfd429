/** `docker import`: the tree of an archive becomes an image of one layer. */
import { randomUUID } from "node:crypto";
import type { ContentStore, Platform } from "../../core/content.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import type { EventSink } from "../../core/events.ts";
import { hostPlatform } from "../../core/manifests.ts";
import { familiarString, type Reference } from "../../core/references.ts";
import type { ChangeConfig } from "./changes.ts";
import { encodeConfig } from "./config-document.ts";
import type { LayerParts } from "./layers.ts";
import { addImage } from "./made.ts";
import { message, type ProgressMessage, progressMessage, throttled, withProgress } from "./progress.ts";

export interface ImportParts extends LayerParts {
  readonly content: ContentStore;
  readonly events: EventSink;
  readonly changeConfig: ChangeConfig;
}

export interface ImportRequest {
  /** `-`: what the client sends. Otherwise an address that the engine fetches. */
  readonly source: string;
  readonly input: AsyncIterable<Uint8Array>;
  /** Bytes, as far as somebody says. */
  readonly length?: number;
  readonly reference?: Reference;
  readonly message: string;
  /** Dockerfile instructions. */
  readonly changes: readonly string[];
  readonly platform?: Platform;
  readonly signal: AbortSignal;
}

/** Progress; the last message is the image's id. @throws InvalidParameterError before there is progress */
export function importImage(
  parts: ImportParts,
  request: ImportRequest,
): AsyncGenerator<ProgressMessage, void, undefined> {
  const platform = request.platform ?? hostPlatform();
  if (platform.os !== "linux") {
    throw new InvalidParameterError(`operating system is not supported: ${platform.os}`);
  }
  const config = parts.changeConfig({}, request.changes);
  return withProgress(request.signal, async (report, signal) => {
    const { input, length } = request.source === "-" ? request : await fetchSource(request.source, signal);
    // Who sends the archive knows how far it is; clients take the first message of such an import for the image's id.
    const isFetched = request.source !== "-";
    if (isFetched) report(message(`Downloading from ${request.source}`));
    const key = `import-${randomUUID()}`;
    await using upload = await parts.content.receive(key, { signal });
    await using undo = new AsyncDisposableStack();
    undo.defer(() => upload.abort());
    const progress = throttled((current) =>
      report(progressMessage("Importing", "", current, length ?? current)),
    );
    for await (const chunk of input) {
      signal.throwIfAborted();
      await upload.write(chunk);
      if (isFetched) progress(upload.offset);
    }
    await parts.snapshots.prepare(key, []);
    undo.defer(() => parts.snapshots.remove(key));
    const into = parts.snapshots.describe(key, []).UpperDir;
    await parts.unpacker.unpack({ blob: upload.path, diffId: undefined, into, signal });
    const layer = await parts.snapshots.commit(key, { keep: false, signal });
    using _lease = await parts.store.lease([layer.chainId]);
    const created = new Date().toISOString();
    const image = await addImage(parts, {
      config: encodeConfig({
        platform,
        created,
        config,
        layers: [layer.diffId],
        history: [{ created, comment: request.message }],
      }),
      layers: [{ diffId: layer.diffId, chainId: layer.chainId, size: layer.size }],
      ...(request.reference ? { names: [{ reference: request.reference }] } : {}),
    });
    const attributes = { ...image.config.config?.Labels, name: image.id };
    if (request.reference) {
      const name = familiarString(request.reference);
      parts.events.publish({
        type: "image",
        action: "tag",
        actor: { id: image.id, attributes: { ...attributes, name } },
      });
    }
    parts.events.publish({ type: "image", action: "import", actor: { id: image.id, attributes } });
    report(message(image.id));
  });
}

async function fetchSource(
  address: string,
  signal: AbortSignal,
): Promise<{ input: AsyncIterable<Uint8Array>; length: number | undefined }> {
  const url = URL.parse(/^[a-z]+:\/\//i.test(address) ? address : `http://${address}`);
  if (!url || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new InvalidParameterError(`invalid address to import from: ${address}`);
  }
  const response = await fetch(url, { signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw new InvalidParameterError(
      `Get "${url}": ${error instanceof Error ? error.message : String(error)}`,
    );
  });
  if (!response.ok || !response.body) {
    throw new InvalidParameterError(`cannot import from ${url}: status ${response.status}`);
  }
  const length = response.headers.get("content-length");
  return { input: response.body, length: length === null ? undefined : Number(length) };
}

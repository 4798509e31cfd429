/** The use cases on real drivers, with a registry that serves images made on the spot. Needs root: layers are unpacked and mounted. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type TestEntry, testArchive } from "../../base/tar/test-archive.ts";
import { digestOf, hexOf } from "../../core/digests.ts";
import { ConflictError, InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import type { EngineEvent } from "../../core/events.ts";
import type { Digest } from "../../core/ids.ts";
import type { StateStore } from "../../core/state.ts";
import { FileContentStore } from "../../drivers/content-fs/index.ts";
import { HelperArchiveReader } from "../../drivers/image-archives/index.ts";
import { HelperCompressor } from "../../drivers/snapshot-overlay/diff/compressor.ts";
import { OverlaySnapshotter } from "../../drivers/snapshot-overlay/index.ts";
import { HelperUnpacker } from "../../drivers/snapshot-overlay/unpack/index.ts";
import { openSqliteStateStore } from "../../drivers/state-sqlite/store.ts";
import { mountPoints, unmount } from "../../linux/mounts.ts";
import { RegistryClient } from "../../registry/client/client.ts";
import type { ImageUser } from "./describe.ts";
import { Images, type ProgressMessage } from "./index.ts";

const noFilters = { filters: new Map<string, Set<string>>(), sharedSize: false, manifests: false };
const { signal } = new AbortController();

/** A registry in this process: blobs by digest, manifests by `name:reference`. */
class TestRegistry implements Disposable {
  readonly blobs = new Map<string, Uint8Array>();
  readonly manifests = new Map<string, { bytes: Uint8Array; type: string }>();
  readonly requests: string[] = [];
  /** May answer in place of the registry. */
  intercept: (path: string) => Response | Promise<Response | undefined> | undefined = () => undefined;
  readonly #server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: async (request) => {
      const path = new URL(request.url).pathname;
      this.requests.push(path);
      return (await this.intercept(path)) ?? this.#answer(path, request);
    },
  });

  get host(): string {
    return `127.0.0.1:${this.#server.port}`;
  }

  #answer(path: string, request: Request): Response {
    const [, name, kind, reference = ""] = /^\/v2\/(.+)\/(manifests|blobs|tags)\/(.+)$/.exec(path) ?? [];
    if (kind === "tags") {
      const names = [...this.manifests.keys()].filter(
        (key) => key.startsWith(`${name}:`) && !key.includes("sha256"),
      );
      return Response.json({ name, tags: names.map((key) => key.split(":")[1]) });
    }
    const manifest = kind === "manifests" ? this.manifests.get(`${name}:${reference}`) : undefined;
    if (manifest) return new Response(manifest.bytes, { headers: { "content-type": manifest.type } });
    const blob = kind === "blobs" ? this.blobs.get(reference) : undefined;
    if (!blob)
      return Response.json(
        { errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }] },
        { status: 404 },
      );
    const from = Number(/bytes=(\d+)-/.exec(request.headers.get("range") ?? "")?.[1] ?? 0);
    if (from === 0) return new Response(blob);
    const headers = { "content-range": `bytes ${from}-${blob.length - 1}/${blob.length}` };
    return new Response(blob.subarray(from), { status: 206, headers });
  }

  #blob(bytes: Uint8Array, mediaType: string) {
    const digest = digestOf(bytes);
    this.blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.byteLength };
  }

  #manifest(name: string, document: object, type: string) {
    const bytes = new TextEncoder().encode(JSON.stringify(document));
    for (const reference of [name, `${name.split(":")[0]}:${digestOf(bytes)}`])
      this.manifests.set(reference, { bytes, type });
    return { mediaType: type, digest: digestOf(bytes), size: bytes.byteLength };
  }

  /** Adds an image and gives its manifest's descriptor; each layer is a list of entries, lowest first. */
  push(name: string, layers: readonly TestEntry[][], config: object = {}) {
    const archives = layers.map((entries) => testArchive(entries));
    const document = {
      os: "linux",
      architecture: "amd64",
      created: "2026-01-01T00:00:00Z",
      rootfs: { type: "layers", diff_ids: archives.map((archive) => digestOf(archive)) },
      history: archives.map((_, index) => ({ created_by: `step ${index}` })),
      ...config,
    };
    const type = "application/vnd.oci.image.manifest.v1+json";
    return this.#manifest(
      name,
      {
        schemaVersion: 2,
        mediaType: type,
        config: this.#blob(
          new TextEncoder().encode(JSON.stringify(document)),
          "application/vnd.oci.image.config.v1+json",
        ),
        layers: archives.map((archive) =>
          this.#blob(gzipSync(archive), "application/vnd.oci.image.layer.v1.tar+gzip"),
        ),
      },
      type,
    );
  }

  pushIndex(name: string, entries: readonly object[]) {
    const type = "application/vnd.oci.image.index.v1+json";
    return this.#manifest(name, { schemaVersion: 2, mediaType: type, manifests: entries }, type);
  }

  [Symbol.dispose](): void {
    void this.#server.stop(true);
  }
}

let root: string;
let registry: TestRegistry;
let state: StateStore | undefined;
let images: Images;
let snapshots: OverlaySnapshotter;
let events: Pick<EngineEvent, "type" | "action" | "actor">[];
let users: (ImageUser & { imageId: Digest })[];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "gantry-images-"));
  registry = new TestRegistry();
  users = [];
  restart();
});

afterEach(() => {
  state?.[Symbol.dispose]();
  state = undefined;
  registry[Symbol.dispose]();
  for (const point of mountPoints()) if (point.startsWith(`${root}/`)) unmount(point, { lazy: true });
  rmSync(root, { recursive: true });
});

/** The engine's images on the same directories, as after a crash. */
function restart(): void {
  const paths = { dataRoot: join(root, "data"), execRoot: join(root, "exec") };
  snapshots = OverlaySnapshotter.open(paths);
  state?.[Symbol.dispose]();
  state = openSqliteStateStore(join(paths.dataRoot, "gantry.db"));
  events = [];
  images = new Images({
    state,
    content: FileContentStore.open(paths),
    snapshots,
    unpacker: new HelperUnpacker(),
    registry: new RegistryClient({ insecureRegistries: [], mirrors: [] }),
    events: { publish: (event) => void events.push(event) },
    usersOf: (imageId) => users.filter((user) => user.imageId === imageId),
    maxConcurrentDownloads: 3,
    maxConcurrentUploads: 3,
    archives: new HelperArchiveReader(),
    compressor: new HelperCompressor(),
    changeConfig: (config) => config,
  });
}

async function pull(name: string, platform?: string): Promise<ProgressMessage[]> {
  return await Array.fromAsync(images.pull(`${registry.host}/${name}`, { platform, signal }));
}

function tagsOf(): string[] {
  return images.list(noFilters).flatMap((image) => image.RepoTags);
}

/** What is on disk of images: blobs, uploads, layers. */
function remains(): string[] {
  const data = join(root, "data");
  return ["content/blobs/sha256", "content/ingest", "layers"].flatMap((directory) =>
    readdirSync(join(data, directory)),
  );
}

async function filesOf(name: string): Promise<string[]> {
  const { layers } = images.resolve(`${registry.host}/${name}`);
  await snapshots.prepare("look", layers);
  try {
    await using mounted = await snapshots.mount("look");
    return (readdirSync(mounted.path, { recursive: true }) as string[]).sort();
  } finally {
    await snapshots.remove("look");
  }
}

const one: TestEntry[][] = [[{ name: "a", content: "1" }], [{ name: "b", content: "22" }, { name: ".wh.a" }]];

describe("pull", () => {
  test("makes an image of what the registry has, and tells how it goes", async () => {
    const { digest } = registry.push("app:1", one);
    const messages = await pull("app:1");
    const statuses = messages.map((message) => message.status);
    expect(messages[0]).toEqual({ status: "Pulling from app", id: "1" });
    for (const status of ["Pulling fs layer", "Download complete", "Extracting", "Pull complete"]) {
      expect(statuses).toContain(status);
    }
    expect(statuses.slice(-2)).toEqual([
      `Digest: ${digest}`,
      `Status: Downloaded newer image for ${registry.host}/app:1`,
    ]);
    expect(await filesOf("app:1")).toEqual(["b"]);
    expect(images.list(noFilters)).toMatchObject([
      {
        RepoTags: [`${registry.host}/app:1`],
        RepoDigests: [`${registry.host}/app@${digest}`],
        Size: 3,
        Created: 1767225600,
      },
    ]);
    expect(events).toEqual([
      {
        type: "image",
        action: "pull",
        actor: { id: `${registry.host}/app:1`, attributes: { name: `${registry.host}/app` } },
      },
    ]);
  });

  test("again changes nothing, and fetches no layer", async () => {
    registry.push("app:1", one);
    await pull("app:1");
    registry.requests.length = 0;
    const messages = await pull("app:1");
    expect(messages.filter((message) => message.status === "Already exists")).toHaveLength(2);
    expect(messages.at(-1)?.status).toBe(`Status: Image is up to date for ${registry.host}/app:1`);
    expect(registry.requests.filter((path) => path.includes("/blobs/"))).toEqual([]);
  });

  test("of a tag that moved leaves the old image without that tag", async () => {
    registry.push("app:1", one);
    await pull("app:1");
    const before = images.resolve(`${registry.host}/app:1`).id;
    registry.push("app:1", [...one, [{ name: "c" }]]);
    await pull("app:1");
    expect(images.resolve(`${registry.host}/app:1`).id).not.toBe(before);
    expect(images.list(noFilters)).toHaveLength(2);
    expect(images.inspect(before).RepoTags).toEqual([]);
  });

  test("by digest gives no tag", async () => {
    const { digest } = registry.push("app:1", one);
    await pull(`app@${digest}`);
    expect(images.list(noFilters)).toMatchObject([
      { RepoTags: [], RepoDigests: [`${registry.host}/app@${digest}`] },
    ]);
    expect(images.resolve(`${registry.host}/app@${digest}`).layers).toHaveLength(2);
  });

  test("without a tag pulls all of them", async () => {
    registry.push("app:1", one);
    registry.push("app:2", [[{ name: "other" }]]);
    await pull("app");
    expect(tagsOf().sort()).toEqual([`${registry.host}/app:1`, `${registry.host}/app:2`]);
  });

  test("follows an index, also a nested one, to the platform's manifest", async () => {
    const amd64 = registry.push("app:amd64", one);
    const arm64 = registry.push("app:arm64", [[{ name: "arm" }]], { architecture: "arm64" });
    const inner = registry.pushIndex("app:inner", [
      { ...arm64, platform: { os: "linux", architecture: "arm64" } },
      { ...amd64, platform: { os: "linux", architecture: "amd64" } },
    ]);
    const { digest } = registry.pushIndex("app:latest", [inner]);
    await pull("app:latest", "linux/amd64");
    expect(await filesOf("app:latest")).toEqual(["b"]);
    expect(images.inspect(`${registry.host}/app`).RepoDigests).toEqual([`${registry.host}/app@${digest}`]);
    await pull("app:latest", "linux/arm64");
    expect(images.inspect(`${registry.host}/app`).Architecture).toBe("arm64");
    expect(images.resolve(`${registry.host}/app`, "linux/amd64").config.architecture).toBe("amd64");
    expect(images.list(noFilters)).toHaveLength(1);
    expect(() => images.resolve(`${registry.host}/app`, "linux/s390x")).toThrow(
      "does not match the specified platform",
    );
    await expect(pull("app:latest", "linux/s390x")).rejects.toThrow("no matching manifest for linux/s390x");
  });

  test("of what is not there fails before any progress", async () => {
    const pulling = images.pull(`${registry.host}/nothing:1`, { signal });
    await expect(pulling.next()).rejects.toBeInstanceOf(NotFoundError);
    expect(remains()).toEqual([]);
  });

  test.each<[string, () => void, string]>([
    [
      "a layer that is not what its digest says",
      () => {
        registry.intercept = (path) => {
          const blob = registry.blobs.get(path.split("/").at(-1) ?? "");
          return blob?.[0] === 0x1f
            ? new Response(blob.map((byte, index) => (index === 20 ? byte ^ 1 : byte)))
            : undefined;
        };
      },
      "does not match",
    ],
    [
      "a configuration that names other layers",
      () => {
        registry.push("app:1", one, { rootfs: { type: "layers", diff_ids: [digestOf("x"), digestOf("y")] } });
      },
      "diff id",
    ],
    [
      "a configuration with too few layers",
      () => {
        registry.push("app:1", one, { rootfs: { type: "layers", diff_ids: [digestOf("x")] } });
      },
      "the manifest has 2 layers, its configuration 1",
    ],
    [
      "a layer that climbs out",
      () => {
        registry.push("app:1", [[{ name: "../../x", content: "evil" }]]);
      },
      "leads out of the layer",
    ],
    [
      "another operating system",
      () => {
        registry.push("app:1", one, { os: "windows" });
      },
      "operating system is not supported",
    ],
  ])("with %s fails, and leaves no image and no layer", async (_, prepare, reason) => {
    registry.push("app:1", one);
    prepare();
    await expect(pull("app:1")).rejects.toThrow(reason);
    expect(images.list(noFilters)).toEqual([]);
    expect(readdirSync(join(root, "data/layers")).filter((name) => name.startsWith("."))).toEqual([]);
    registry.intercept = () => undefined;
    registry.push("app:1", one);
    await pull("app:1");
    expect(await filesOf("app:1")).toEqual(["b"]);
  });

  test("goes on after a restart with what was there, and a layer damaged on disk is fetched again", async () => {
    registry.push("app:1", one);
    registry.intercept = (path) =>
      path.endsWith(digestOf(gzipSync(testArchive(one[1] ?? []))))
        ? new Response("", { status: 404 })
        : undefined;
    await expect(pull("app:1")).rejects.toBeInstanceOf(NotFoundError);
    const first = digestOf(gzipSync(testArchive(one[0] ?? [])));
    const blob = join(root, "data/content/blobs/sha256", hexOf(first));
    expect(existsSync(blob)).toBe(true);
    const bytes = readFileSync(blob);
    bytes[15] = (bytes[15] ?? 0) ^ 0xff;
    writeFileSync(blob, bytes);

    restart();
    await snapshots.reconcile({ keys: new Set(), mounted: new Set(), layers: new Set(images.layers()) });
    await images.recover();
    registry.intercept = () => undefined;
    registry.requests.length = 0;
    await pull("app:1");
    expect(await filesOf("app:1")).toEqual(["b"]);
    expect(registry.requests.filter((path) => path.endsWith(first))).toHaveLength(1);
  });

  test("is shared by clients that want the same, and each layer is fetched once", async () => {
    registry.push("app:1", one);
    const results = await Promise.all([pull("app:1"), pull("app:1"), pull("app:1")]);
    for (const messages of results) expect(messages.at(-1)?.status).toContain("Downloaded newer image");
    const blobs = registry.requests.filter((path) => path.includes("/blobs/"));
    expect(new Set(blobs).size).toBe(blobs.length);
  });

  test("ends with the last client, not before", async () => {
    registry.push("app:1", one);
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    registry.intercept = async (path) => {
      if (path.includes("/blobs/")) await gate;
      return undefined;
    };
    const leaving = new AbortController();
    const first = images.pull(`${registry.host}/app:1`, { signal: leaving.signal });
    await first.next();
    const second = pull("app:1");
    leaving.abort(new Error("gone"));
    await expect(Array.fromAsync(first)).rejects.toThrow("gone");
    open();
    expect((await second).at(-1)?.status).toContain("Downloaded newer image");
  });

  test("that no client waits for any more stops, and can be done again", async () => {
    registry.push("app:1", one);
    const asked = Promise.withResolvers<void>();
    registry.intercept = (path) => {
      if (!path.includes("/blobs/")) return undefined;
      asked.resolve();
      return new Response(new ReadableStream({ start: () => {} }));
    };
    const leaving = new AbortController();
    const pulling = Array.fromAsync(images.pull(`${registry.host}/app:1`, { signal: leaving.signal }));
    await asked.promise;
    leaving.abort(new Error("gone"));
    await expect(pulling).rejects.toThrow("gone");
    registry.intercept = () => undefined;
    expect((await pull("app:1")).at(-1)?.status).toContain("Downloaded newer image");
  });
});

test("pulling again repairs damaged documents, and a compressed layer that was lost, while containers use the image", async () => {
  const { digest: manifest } = registry.push("app:1", one);
  await pull("app:1");
  const blobs = join(root, "data/content/blobs/sha256");
  const layer = digestOf(gzipSync(testArchive(one[0] ?? [])));
  const bytes = readFileSync(join(blobs, hexOf(manifest)));
  bytes[15] = (bytes[15] ?? 0) ^ 0xff;
  writeFileSync(join(blobs, hexOf(manifest)), bytes);
  rmSync(join(blobs, hexOf(layer)));
  await pull("app:1");
  for (const digest of [manifest, layer]) {
    expect(digestOf(readFileSync(join(blobs, hexOf(digest))))).toBe(digest);
  }
});

test("a pull throws away downloads that no one continued for a day", async () => {
  registry.push("app:1", one);
  const left = join(root, "data/content/ingest", "a".repeat(64));
  writeFileSync(left, "left");
  const yesterday = new Date(Date.now() - 25 * 3_600_000);
  utimesSync(left, yesterday, yesterday);
  await pull("app:1");
  expect(existsSync(left)).toBe(false);
});

describe("of hostile size", () => {
  const config = (size: number) => ({
    mediaType: "application/vnd.oci.image.config.v1+json",
    digest: digestOf("config"),
    size,
  });

  function pushManifest(document: object): void {
    const type = "application/vnd.oci.image.manifest.v1+json";
    const whole = { schemaVersion: 2, mediaType: type, ...document };
    registry.manifests.set("big:1", { bytes: new TextEncoder().encode(JSON.stringify(whole)), type });
  }

  test("a configuration is refused before a byte of it is fetched, also by who only asks about the image", async () => {
    pushManifest({ config: config((4 << 20) + 1), layers: [] });
    await expect(pull("big:1")).rejects.toThrow("too large");
    await expect(images.describeDistribution(`${registry.host}/big:1`, { signal })).rejects.toThrow(
      "too large",
    );
    expect(registry.requests.filter((path) => path.includes("/blobs/"))).toEqual([]);
  });

  test("a stack of layers is refused beyond Docker's own limit, and works up to it", async () => {
    const layers = (count: number) =>
      Array.from({ length: count }, (_, index) => [{ name: `f${index}`, content: "" }]);
    registry.push("deep:127", layers(127));
    await pull("deep:127");
    expect(await filesOf("deep:127")).toHaveLength(127);
    registry.push("deep:128", layers(128));
    await expect(pull("deep:128")).rejects.toThrow("max depth exceeded: 128 layers");
  });
});

describe("names", () => {
  test("find an image by tag, digest, id and unique prefix", async () => {
    const { digest } = registry.push("app:1", one);
    await pull("app:1");
    const { id } = images.resolve(`${registry.host}/app:1`);
    const names = [
      `${registry.host}/app@${digest}`,
      `${registry.host}/app:1@${digest}`,
      id,
      hexOf(id),
      hexOf(id).slice(0, 6),
      id.slice(0, 15),
    ];
    for (const name of names) expect(images.resolve(name).id).toBe(id);
    expect(() => images.resolve("nothing")).toThrow("No such image: nothing:latest");
    expect(() => images.resolve(digestOf("x"))).toThrow(`No such image: ${digestOf("x")}`);
    expect(() => images.resolve("UPPER")).toThrow(InvalidParameterError);
  });

  test("can be added, and move", async () => {
    registry.push("app:1", one);
    registry.push("other:1", [[{ name: "other" }]]);
    await pull("app:1");
    await pull("other:1");
    images.tag(`${registry.host}/app:1`, "mine", "");
    images.tag(`${registry.host}/other:1`, "mine", "latest");
    expect(images.resolve("mine").id).toBe(images.resolve(`${registry.host}/other:1`).id);
    expect(events.at(-1)).toMatchObject({ action: "tag", actor: { attributes: { name: "mine:latest" } } });
    expect(() => images.tag("nothing", "x", "")).toThrow(NotFoundError);
    expect(() => images.tag("mine", "x", "-bad")).toThrow("invalid tag format");
    expect(() => images.tag("mine", `x@${digestOf("x")}`, "")).toThrow(
      "refusing to create a tag with a digest reference",
    );
  });
});

describe("remove", () => {
  const user = (imageId: Digest, running: boolean) => ({ id: "c".repeat(64), running, name: "web", imageId });

  test("of one name of several takes the name, of the last one the image", async () => {
    registry.push("app:1", one);
    await pull("app:1");
    images.tag(`${registry.host}/app:1`, "mine", "1");
    expect(await images.remove("mine:1", { force: false })).toEqual([{ Untagged: "mine:1" }]);
    const removed = await images.remove(`${registry.host}/app:1`, { force: false });
    expect(removed.map((item) => Object.keys(item)[0])).toEqual([
      "Untagged",
      "Untagged",
      "Deleted",
      "Deleted",
      "Deleted",
    ]);
    expect(remains()).toEqual([]);
    expect(events.map((event) => event.action)).toEqual(["pull", "tag", "untag", "untag", "delete"]);
  });

  test("by id takes all names of one repository, and needs force for several", async () => {
    registry.push("app:1", one);
    await pull("app:1");
    const { id } = images.resolve(`${registry.host}/app:1`);
    images.tag(id, "mine", "1");
    const conflict = images.remove(id, { force: false });
    await expect(conflict).rejects.toThrow(
      `conflict: unable to delete ${hexOf(id).slice(0, 12)} (must be forced) - image is referenced in multiple repositories`,
    );
    await images.remove(hexOf(id).slice(0, 12), { force: true });
    expect(remains()).toEqual([]);
  });

  test("keeps layers and content that another image has", async () => {
    registry.push("app:1", one);
    registry.push("app:2", [...one, [{ name: "c" }]]);
    await pull("app:1");
    await pull("app:2");
    await images.remove(`${registry.host}/app:2`, { force: false });
    expect(await filesOf("app:1")).toEqual(["b"]);
    expect(remains()).toHaveLength(2 + 2 + 2);
  });

  test("of the name that a container uses is a conflict, in Docker's words", async () => {
    registry.push("app:1", one);
    await pull("app:1");
    const { id } = images.resolve(`${registry.host}/app:1`);
    users = [user(id, false)];
    const removing = images.remove(`${registry.host}/app:1`, { force: false });
    await expect(removing).rejects.toBeInstanceOf(ConflictError);
    await expect(removing).rejects.toThrow(
      `conflict: unable to remove repository reference "${registry.host}/app:1" (must force) - container cccccccccccc is using its referenced image ${hexOf(id).slice(0, 12)}`,
    );
    await expect(images.remove(id, { force: false })).rejects.toThrow(
      "(must be forced) - image is being used by stopped container cccccccccccc",
    );
    users = [user(id, true)];
    await expect(images.remove(id, { force: true })).rejects.toThrow(
      "(cannot be forced) - image is being used by running container cccccccccccc",
    );
    expect(await images.remove(`${registry.host}/app:1`, { force: true })).toMatchObject([
      { Untagged: `${registry.host}/app:1` },
      {},
    ]);
    expect(images.list(noFilters)).toHaveLength(1);
  });

  test("by force keeps the layers of a stopped container until that is gone, over a restart", async () => {
    registry.push("app:1", one);
    await pull("app:1");
    const { id, layers } = images.resolve(`${registry.host}/app:1`);
    users = [user(id, false)];
    await images.remove(`${registry.host}/app:1`, { force: true });
    expect(images.list(noFilters)).toEqual([]);
    restart();
    await snapshots.reconcile({ keys: new Set(), mounted: new Set(), layers: new Set(images.layers()) });
    await images.recover();
    for (const layer of layers) expect(await snapshots.has(layer)).toBe(true);
    users = [];
    await images.released(id);
    expect(remains()).toEqual([]);
  });
});

test("an image that is removed while a container is made of it keeps its layers until that is done", async () => {
  registry.push("app:1", one);
  await pull("app:1");
  const { id, layers } = images.resolve(`${registry.host}/app:1`);
  const held = images.hold(id);
  await images.remove(id, { force: false });
  expect(images.list(noFilters)).toEqual([]);
  for (const layer of layers) expect(await snapshots.has(layer)).toBe(true);
  held[Symbol.dispose]();
  while (remains().length > 0) await Bun.sleep(1);
});

describe("prune", () => {
  test("takes what has no tag and what a failed pull left, and says how much", async () => {
    registry.push("app:1", one);
    await pull("app:1");
    registry.push("app:1", [[{ name: "new", content: "xyz" }]]);
    await pull("app:1");
    registry.push("bad:1", [[{ name: "../x" }]]);
    await expect(pull("bad:1")).rejects.toThrow();
    const { ImagesDeleted, SpaceReclaimed } = await images.prune(new Map(), signal);
    expect(ImagesDeleted.filter((item) => "Deleted" in item)).toHaveLength(3);
    expect(SpaceReclaimed).toBeGreaterThan(3);
    expect(tagsOf()).toEqual([`${registry.host}/app:1`]);
    expect(remains()).toHaveLength(3 + 1);
  });

  test("takes downloads that were interrupted", async () => {
    registry.push("app:1", one);
    const content = FileContentStore.open({ dataRoot: join(root, "data") });
    {
      const left = new TextEncoder().encode("left");
      await using ingest = await content.ingest({ digest: digestOf(left), size: 4 }, { signal });
      await ingest.write(left.subarray(1));
    }
    const { SpaceReclaimed } = await images.prune(new Map(), signal);
    expect(SpaceReclaimed).toBe(3);
    expect(remains()).toEqual([]);
  });

  test("of everything unused leaves what containers use", async () => {
    registry.push("app:1", one);
    registry.push("app:2", [[{ name: "other" }]], { config: { Labels: { keep: "yes" } } });
    registry.push("app:3", [[{ name: "third" }]]);
    for (const name of ["app:1", "app:2", "app:3"]) await pull(name);
    users = [{ id: "c", running: true, name: "web", imageId: images.resolve(`${registry.host}/app:1`).id }];
    await images.prune(
      new Map([
        ["dangling", new Set(["false"])],
        ["label!", new Set(["keep=yes"])],
      ]),
      signal,
    );
    expect(tagsOf().sort()).toEqual([`${registry.host}/app:1`, `${registry.host}/app:2`]);
  });
});

test("an image for another platform than the one to delete stays", async () => {
  registry.push("app:1", one);
  await pull("app:1");
  const name = `${registry.host}/app:1`;
  await expect(images.remove(name, { force: true, platform: "linux/s390x" })).rejects.toThrow(NotFoundError);
  expect(tagsOf()).toEqual([name]);
  await images.remove(name, { force: false, platform: "linux/amd64" });
  expect(tagsOf()).toEqual([]);
});

test("names that mean something else are refused", async () => {
  expect(() => images.pull("scratch:1", { signal })).toThrow("'scratch' is a reserved name");
  registry.push("app:1", one);
  await pull("app:1");
  expect(() => images.tag(`${registry.host}/app:1`, "sha256", "1")).toThrow(
    "refusing to create an ambiguous tag using digest algorithm as name",
  );
});

describe("prune of everything unused", () => {
  test("leaves an image in use the last of its names", async () => {
    registry.push("app:1", one);
    await pull("app:1");
    const { id } = images.resolve(`${registry.host}/app:1`);
    for (const name of ["a", "b"]) images.tag(id, `${registry.host}/${name}`, "1");
    images.tag(id, `${registry.host}/b`, "2");
    users = [{ id: "c", running: false, name: "web", imageId: id }];
    const everything = new Map([["dangling", new Set(["false"])]]);
    const { ImagesDeleted } = await images.prune(everything, signal);
    expect(tagsOf()).toEqual([`${registry.host}/b:2`]);
    expect(ImagesDeleted.filter((item) => "Deleted" in item)).toEqual([]);
    expect(ImagesDeleted).toContainEqual({ Untagged: `${registry.host}/app:1` });
    await images.prune(new Map(), signal);
    expect(tagsOf()).toEqual([`${registry.host}/b:2`]);
  });
});

describe("list", () => {
  test("is filtered by label, reference, age and dangling", async () => {
    registry.push("old:1", [[{ name: "a" }]], {
      created: "2020-01-01T00:00:00Z",
      config: { Labels: { tier: "web" } },
    });
    registry.push("new:1", [[{ name: "a" }], [{ name: "b" }]], { created: "2026-01-01T00:00:00Z" });
    await pull("old:1");
    await pull("new:1");
    const list = (name: string, value: string) =>
      images
        .list({ ...noFilters, filters: new Map([[name, new Set([value])]]) })
        .flatMap((image) => image.RepoTags);
    const [old, latest] = [`${registry.host}/old:1`, `${registry.host}/new:1`];
    expect(tagsOf()).toEqual([latest, old]);
    expect([list("label", "tier=web"), list("label", "tier"), list("label", "tier=db")]).toEqual([
      [old],
      [old],
      [],
    ]);
    expect([list("before", latest), list("since", old)]).toEqual([[old], [latest]]);
    expect([list("until", "2021-01-01"), list("until", "1h")]).toEqual([[old], [latest, old]]);
    expect([list("dangling", "true"), list("dangling", "0")]).toEqual([[], [latest, old]]);
    expect(list("reference", "*/new")).toEqual([latest]);
    expect(() => list("before", "nothing")).toThrow("No such image");
    expect(() => list("dangling", "perhaps")).toThrow("invalid filter");
    expect(images.list({ ...noFilters, sharedSize: true }).map((image) => image.SharedSize)).toEqual([0, 0]);
  });

  test("history tells the steps, newest first, with the sizes of their layers", async () => {
    registry.push("app:1", one, {
      history: [
        { created_by: "copy a" },
        { created_by: "env", empty_layer: true },
        { created_by: "copy b", comment: "last" },
      ],
    });
    await pull("app:1");
    const { id } = images.resolve(`${registry.host}/app:1`);
    expect(images.history(id).map(({ Id, CreatedBy, Size }) => [Id, CreatedBy, Size])).toEqual([
      [id, "copy b", 2],
      ["<missing>", "env", 0],
      ["<missing>", "copy a", 1],
    ]);
  });
});

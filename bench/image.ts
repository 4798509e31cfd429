/**
 * The image that the pull benchmark moves: four layers, about 120 MB compressed, 300 MB unpacked, 8,700 files.
 * Made from a fixed pseudo-random sequence, so that every host measures the same bytes, and pushed to a registry
 * with plain HTTP, so that neither engine's own code takes part.
 */
import { createHash } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const LAYERS = [2600, 2300, 2000, 1800];
const MEAN_FILE_BYTES = 34_000;
/** Share of bytes that do not compress: gives the size ratio of a usual Debian layer. */
const NOISE_SHARE = 0.4;

/** mulberry32: small, fast, the same everywhere. */
function randomSequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function fileOf(size: number, random: () => number): Buffer {
  const bytes = Buffer.alloc(
    size,
    "static const struct option long_options[] = { required_argument, NULL };\n",
  );
  const noise = Math.floor(size * NOISE_SHARE) & ~3;
  for (let at = 0; at < noise; at += 4) bytes.writeUInt32LE((random() * 4294967296) >>> 0, at);
  return bytes;
}

/** Builds and pushes `<repository>:latest`. @returns bytes moved, compressed and unpacked */
export async function pushBenchImage(
  registry: string,
  repository: string,
  workDirectory: string,
): Promise<{ compressed: number; unpacked: number }> {
  const random = randomSequence(20261123);
  const tars: Uint8Array[] = [];
  let unpacked = 0;
  for (const [number, files] of LAYERS.entries()) {
    const root = join(workDirectory, `layer${number}`);
    for (let index = 0; index < files; index++) {
      const directory = join(root, `usr/share/part${number}`, `group${index % 61}`);
      if (index < 61) mkdirSync(directory, { recursive: true });
      // Exponential sizes: many small files and a few large ones, as packages have them.
      const size = Math.ceil(-Math.log(1 - random()) * MEAN_FILE_BYTES);
      unpacked += size;
      writeFileSync(join(directory, `file${index}.dat`), fileOf(size, random));
    }
    const tar = Bun.spawnSync(
      [
        "tar",
        "-C",
        root,
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "-c",
        ".",
      ],
      {
        maxBuffer: 1 << 30,
      },
    ).stdout;
    tars.push(tar);
    rmSync(root, { recursive: true });
  }
  return { compressed: await pushImage(registry, repository, tars, { Cmd: ["/bin/true"] }), unpacked };
}

/** Pushes an image of these layers (tar, lowest first) as `latest`. @returns bytes of its compressed layers */
export async function pushImage(
  registry: string,
  repository: string,
  tars: readonly Uint8Array[],
  defaults: Readonly<Record<string, unknown>>,
): Promise<number> {
  const layers: { mediaType: string; digest: string; size: number }[] = [];
  for (const tar of tars) {
    const packed = Bun.gzipSync(new Uint8Array(tar), { level: 6 });
    await pushBlob(registry, repository, packed);
    layers.push({
      mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip",
      digest: digestOf(packed),
      size: packed.byteLength,
    });
  }
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      os: "linux",
      config: defaults,
      rootfs: { type: "layers", diff_ids: tars.map(digestOf) },
      history: tars.map(() => ({ created: "2026-01-01T00:00:00Z", created_by: "bench" })),
    }),
  );
  await pushBlob(registry, repository, config);
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.docker.distribution.manifest.v2+json",
    config: {
      mediaType: "application/vnd.docker.container.image.v1+json",
      digest: digestOf(config),
      size: config.byteLength,
    },
    layers,
  });
  const put = await fetch(`http://${registry}/v2/${repository}/manifests/latest`, {
    method: "PUT",
    body: manifest,
    headers: { "content-type": "application/vnd.docker.distribution.manifest.v2+json" },
  });
  if (put.status !== 201)
    throw new Error(`the registry refused the manifest: ${put.status} ${await put.text()}`);
  return layers.reduce((sum, layer) => sum + layer.size, 0);
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

async function pushBlob(registry: string, repository: string, bytes: Uint8Array): Promise<void> {
  const opened = await fetch(`http://${registry}/v2/${repository}/blobs/uploads/`, { method: "POST" });
  const location = new URL(opened.headers.get("location") ?? "", `http://${registry}`);
  location.searchParams.set("digest", digestOf(bytes));
  const put = await fetch(location, {
    method: "PUT",
    body: bytes as Uint8Array<ArrayBuffer>,
    headers: { "content-type": "application/octet-stream" },
  });
  if (put.status !== 201) throw new Error(`the registry refused a blob: ${put.status} ${await put.text()}`);
}

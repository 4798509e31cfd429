/**
 * The first image of a new engine, without any public registry: busybox from the distro's package, served for the
 * length of one pull by a registry that is nothing but three documents on loopback. The engine sees an ordinary pull.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { makeBusyboxRoot, tarOf } from "./busybox.mjs";
import { engineRequest } from "./engine.mjs";
import { fail } from "./host.mjs";

const name = "busybox:latest";

/** Makes `busybox:latest` if the engine does not have it. @returns whether it was made */
export async function ensureFirstImage() {
  if ((await engineRequest("GET", `/images/${name}/json`)).status === 200) return false;
  const registry = await serve(busyboxImage());
  try {
    const pulled = `127.0.0.1:${registry.port}/busybox`;
    await expectOk("POST", `/images/create?fromImage=${encodeURIComponent(pulled)}&tag=latest`);
    await expectOk("POST", `/images/${pulled}:latest/tag?repo=busybox&tag=latest`);
    await expectOk("DELETE", `/images/${pulled}:latest`);
  } finally {
    registry.close();
  }
  return true;
}

async function expectOk(method, path) {
  const { status, body } = await engineRequest(method, path);
  if (status >= 300 || body.includes('"errorDetail"')) fail(`${method} ${path}: ${status} ${body.trim()}`);
}

function busyboxImage() {
  const root = mkdtempSync(join(tmpdir(), "gantry-busybox-"));
  try {
    makeBusyboxRoot(root);
    return imageOf(tarOf(root));
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** Manifest and blobs of a one-layer OCI image. */
function imageOf(tar) {
  const layer = gzipSync(tar);
  const config = Buffer.from(
    JSON.stringify({
      created: new Date().toISOString(),
      architecture: process.arch === "x64" ? "amd64" : process.arch,
      os: "linux",
      config: { Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], Cmd: ["sh"] },
      rootfs: { type: "layers", diff_ids: [digestOf(tar)] },
      history: [{ created_by: "busybox from the distribution's package" }],
    }),
  );
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: descriptor("application/vnd.oci.image.config.v1+json", config),
      layers: [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
    }),
  );
  return { manifest, blobs: new Map([config, layer].map((bytes) => [digestOf(bytes), bytes])) };
}

function descriptor(mediaType, bytes) {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

function digestOf(bytes) {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** The read half of the Distribution API, for one image, on a free port of loopback. */
function serve({ manifest, blobs }) {
  const server = createServer((request, reply) => {
    const [, kind, reference] = /^\/v2\/busybox\/(manifests|blobs)\/(.+)$/.exec(request.url ?? "") ?? [];
    const found = kind === "manifests" ? manifest : kind === "blobs" ? blobs.get(reference) : undefined;
    if (request.url === "/v2/") return reply.writeHead(200, { "Content-Type": "application/json" }).end("{}");
    if (!found)
      return reply
        .writeHead(404, { "Content-Type": "application/json" })
        .end('{"errors":[{"code":"NOT_FOUND"}]}');
    reply.writeHead(200, {
      "Content-Type":
        kind === "manifests" ? "application/vnd.oci.image.manifest.v1+json" : "application/octet-stream",
      "Content-Length": found.length,
      "Docker-Content-Digest": digestOf(found),
    });
    reply.end(request.method === "HEAD" ? undefined : found);
  });
  return new Promise((done) => {
    server.listen(0, "127.0.0.1", () => done({ port: server.address().port, close: () => server.close() }));
  });
}

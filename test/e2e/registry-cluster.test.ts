/**
 * Several registries on one PostgreSQL and one object storage, behind a plain balancer: any instance answers any request, and
 * one that is killed costs nothing that was acknowledged.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { connect, createServer, type Server } from "node:net";
import { GantryRegistry } from "../support/gantry-registry.ts";
import { postgresPrograms, startPostgres } from "../support/postgres.ts";
import { hasS3, startS3 } from "../support/s3.ts";

const missing = [
  ...(hasS3() ? [] : ["an S3 server (versitygw) on PATH"]),
  ...(postgresPrograms() === undefined ? ["PostgreSQL"] : []),
];
const IMAGE = "application/vnd.oci.image.manifest.v1+json";
const digestOf = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

describe.skipIf(missing.length > 0)(
  `three instances${missing.length > 0 ? ` (missing: ${missing.join(", ")})` : ""}`,
  () => {
    const cleanup = new AsyncDisposableStack();
    const instances: GantryRegistry[] = [];
    let balancer: { host: string };

    beforeAll(async () => {
      const database = cleanup.use(await startPostgres());
      const storage = cleanup.use(await startS3());
      const environment = {
        REGISTRY_REGISTRY_DATABASE: database.url,
        REGISTRY_STORAGE_S3_REGION: storage.region,
        REGISTRY_STORAGE_S3_REGIONENDPOINT: storage.endpoint,
        REGISTRY_STORAGE_S3_BUCKET: storage.bucket,
        REGISTRY_STORAGE_S3_ACCESSKEY: storage.accessKeyId,
        REGISTRY_STORAGE_S3_SECRETKEY: storage.secretAccessKey,
      };
      for (let number = 0; number < 3; number++) {
        instances.push(cleanup.use(await new GantryRegistry({ environment }).start()));
      }
      balancer = cleanup.use(await startBalancer(instances));
    }, 90_000);
    afterAll(async () => await cleanup.disposeAsync());

    const call = (path: string, init: RequestInit = {}) =>
      fetch(`http://${balancer.host}${path}`, { ...init, headers: { Connection: "close", ...init.headers } });

    async function push(name: string, tag: string, layer: Buffer): Promise<string> {
      const config = Buffer.from("{}");
      for (const blob of [layer, config]) {
        const reply = await call(`/v2/${name}/blobs/uploads/?digest=${digestOf(blob)}`, {
          method: "POST",
          body: blob,
        });
        if (reply.status !== 201) throw new Error(`blob: ${reply.status} ${await reply.text()}`);
      }
      const of = (bytes: Buffer, mediaType: string) => ({
        mediaType,
        digest: digestOf(bytes),
        size: bytes.length,
      });
      const document = {
        schemaVersion: 2,
        mediaType: IMAGE,
        config: of(config, "application/vnd.oci.image.config.v1+json"),
        layers: [of(layer, "application/vnd.oci.image.layer.v1.tar")],
      };
      const body = Buffer.from(JSON.stringify(document));
      const reply = await call(`/v2/${name}/manifests/${tag}`, {
        method: "PUT",
        body,
        headers: { "Content-Type": IMAGE },
      });
      if (reply.status !== 201) throw new Error(`manifest: ${reply.status} ${await reply.text()}`);
      return digestOf(body);
    }

    test("one upload goes on at each instance in turn", async () => {
      const blob = randomBytes(13 << 20);
      const [first, second, third] = instances as [GantryRegistry, GantryRegistry, GantryRegistry];
      const begun = await first.fetch("/v2/turns/blobs/uploads/", { method: "POST" });
      const place = begun.headers.get("location") ?? "";
      const cuts = [0, 6 << 20, (6 << 20) + 1_000, 12 << 20];
      for (const [index, registry] of [second, third, first].entries()) {
        const reply = await registry.fetch(place, {
          method: "PATCH",
          body: blob.subarray(cuts[index], cuts[index + 1]),
        });
        expect([reply.status, reply.headers.get("range")]).toEqual([202, `0-${(cuts[index + 1] ?? 0) - 1}`]);
      }
      const done = await second.fetch(`${place}?digest=${digestOf(blob)}`, {
        method: "PUT",
        body: blob.subarray(12 << 20),
      });
      expect(done.status).toBe(201);
      const read = await third.fetch(`/v2/turns/blobs/${digestOf(blob)}`, { redirect: "follow" });
      expect(digestOf(new Uint8Array(await read.arrayBuffer()))).toBe(digestOf(blob));
    });

    test("a token of one instance is good at the others", async () => {
      const [first, second] = instances as [GantryRegistry, GantryRegistry];
      await first.administer("PUT", "accounts/ada", { password: "correct horse", admin: true });
      const service = "registry.test";
      const reply = await first.fetch(`/auth/token?service=${service}`, {
        as: "ada:correct horse",
        headers: { Host: service },
      });
      const { token } = (await reply.json()) as { token: string };
      const headers = { Authorization: `Bearer ${token}`, Host: service };
      expect((await second.fetch("/v2/", { headers })).status).toBe(200);
      await first.administer("DELETE", "accounts/ada");
      expect((await second.fetch("/v2/", { headers })).status).not.toBe(500);
    });

    test("killing one now and then loses nothing that was acknowledged", async () => {
      const acknowledged = new Map<string, string>();
      let stopped = false;
      const worker = async (number: number) => {
        for (let turn = 0; !stopped; turn++) {
          const tag = `t${number}-${turn}`;
          try {
            acknowledged.set(tag, await push("kills/app", tag, randomBytes(3_000)));
          } catch {
            await Bun.sleep(20);
          }
        }
      };
      const workers = [0, 1, 2].map(worker);
      for (const instance of instances) {
        await Bun.sleep(300);
        await instance.kill();
        await instance.start();
      }
      stopped = true;
      await Promise.all(workers);
      expect(acknowledged.size).toBeGreaterThan(5);
      for (const [tag, digest] of acknowledged) {
        const reply = await call(`/v2/kills/app/manifests/${tag}`);
        expect(reply.headers.get("docker-content-digest")).toBe(digest);
        const { layers } = (await reply.json()) as { layers: { digest: string }[] };
        for (const layer of layers) {
          const blob = new Uint8Array(
            await (await call(`/v2/kills/app/blobs/${layer.digest}`)).arrayBuffer(),
          );
          expect(digestOf(blob)).toBe(layer.digest);
        }
      }
    }, 90_000);
  },
);

/** Round robin by connection; an instance that does not answer is passed over. */
async function startBalancer(
  instances: readonly GantryRegistry[],
): Promise<AsyncDisposable & { host: string }> {
  let turn = 0;
  const server: Server = createServer({ allowHalfOpen: true }, (client) => {
    const attempt = (left: number) => {
      const instance = instances[turn++ % instances.length];
      const target = connect({
        host: "127.0.0.1",
        port: Number(instance?.host.split(":")[1]),
        allowHalfOpen: true,
      });
      target.once("connect", () => {
        client.pipe(target);
        target.pipe(client);
      });
      target.once("error", () => {
        if (left > 1 && target.bytesRead === 0) attempt(left - 1);
        else client.destroy();
      });
      client.once("error", () => target.destroy());
    };
    attempt(instances.length);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  return {
    host: `127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}

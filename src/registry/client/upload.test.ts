/** Pushing to a server that does what registries do, and breaks where it is told to. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Descriptor } from "../../core/content.ts";
import { digestOf } from "../../core/digests.ts";
import {
  ForbiddenError,
  InvalidParameterError,
  UnauthorizedError,
  UnavailableError,
} from "../../core/errors.ts";
import { MEDIA_TYPES } from "../../core/manifests.ts";
import { parseReference, type Reference } from "../../core/references.ts";
import { RegistryClient } from "./client.ts";

const { signal } = new AbortController();
const account = { username: "user", password: "secret" };

class BrokenError extends Error {}

/** Blobs by `repository@digest`; uploads by id. What it is asked is kept in `requests`. */
class TestRegistry implements Disposable {
  readonly blobs = new Map<string, Uint8Array>();
  readonly manifests = new Map<string, Uint8Array>();
  readonly uploads = new Map<string, Buffer>();
  readonly requests: string[] = [];
  /** May answer in place of the registry. */
  intercept: (request: Request, url: URL) => Response | Promise<Response | undefined> | undefined = () =>
    undefined;
  /** A proxy in front of it breaks a PATCH or PUT off, once, when so many bytes of it came. */
  breakAfter: number | undefined;
  readonly #server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: async (request) => {
      const url = new URL(request.url);
      const range = request.headers.get("content-range");
      this.requests.push(
        `${request.method} ${url.pathname.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, "ID")}${range ? ` ${range}` : ""}`,
      );
      return (await this.intercept(request, url)) ?? (await this.#answer(request, url));
    },
  });

  get host(): string {
    return `127.0.0.1:${this.#server.port}`;
  }

  async #answer(request: Request, url: URL): Promise<Response> {
    const [, repository = "", kind, rest = ""] =
      /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests)\/(.*)$/.exec(url.pathname) ?? [];
    if (kind === "manifests") {
      const bytes = new Uint8Array(await request.arrayBuffer());
      this.manifests.set(`${repository}:${rest}`, bytes);
      return new Response(null, { status: 201, headers: { "docker-content-digest": digestOf(bytes) } });
    }
    if (kind === "blobs")
      return new Response(null, { status: this.blobs.has(`${repository}@${rest}`) ? 200 : 404 });
    if (request.method === "POST") return this.#begin(repository, url);
    const upload = this.uploads.get(rest);
    if (upload === undefined) return new Response(null, { status: 404 });
    const headers = { location: url.pathname, range: `0-${Math.max(0, upload.byteLength - 1)}` };
    if (request.method === "GET") return new Response(null, { status: 204, headers });
    const [, first] = /^(\d+)-/.exec(request.headers.get("content-range") ?? "") ?? [];
    if (first !== undefined && Number(first) !== upload.byteLength)
      return new Response(null, { status: 416 });
    const whole = await this.#receive(request, rest, upload).catch((error: unknown) => {
      if (error instanceof BrokenError) return undefined;
      throw error;
    });
    if (!whole) return new Response(null, { status: 502 });
    if (request.method === "PATCH") {
      return new Response(null, {
        status: 202,
        headers: { location: url.pathname, range: `0-${whole.byteLength - 1}` },
      });
    }
    const digest = url.searchParams.get("digest") ?? "";
    if (digestOf(whole) !== digest) {
      this.uploads.delete(rest);
      return Response.json(
        { errors: [{ code: "DIGEST_INVALID", message: "provided digest did not match" }] },
        { status: 400 },
      );
    }
    this.blobs.set(`${repository}@${digest}`, whole);
    return new Response(null, { status: 201, headers: { "docker-content-digest": digest } });
  }

  #begin(repository: string, url: URL): Response {
    const mounted = this.blobs.get(`${url.searchParams.get("from")}@${url.searchParams.get("mount")}`);
    if (mounted) {
      this.blobs.set(`${repository}@${url.searchParams.get("mount")}`, mounted);
      return new Response(null, { status: 201 });
    }
    const id = randomUUID();
    this.uploads.set(id, Buffer.alloc(0));
    return new Response(null, {
      status: 202,
      headers: { location: `/v2/${repository}/blobs/uploads/${id}` },
    });
  }

  async #receive(request: Request, id: string, before: Buffer): Promise<Buffer> {
    const chunks: Uint8Array[] = [before];
    let size = before.byteLength;
    for await (const chunk of request.body ?? []) {
      chunks.push(chunk);
      size += chunk.byteLength;
      if (this.breakAfter !== undefined && size >= this.breakAfter) {
        this.breakAfter = undefined;
        this.uploads.set(id, Buffer.concat(chunks));
        throw new BrokenError();
      }
    }
    const whole = Buffer.concat(chunks);
    this.uploads.set(id, whole);
    return whole;
  }

  [Symbol.dispose](): void {
    this.#server.stop(true);
  }
}

let registry: TestRegistry;
let directory: string;
beforeEach(() => {
  registry = new TestRegistry();
  directory = mkdtempSync(join(tmpdir(), "gantry-push-"));
});
afterEach(() => {
  registry[Symbol.dispose]();
  rmSync(directory, { recursive: true });
});

function blobOf(size: number): { blob: Descriptor; source: { path: string }; bytes: Uint8Array } {
  const bytes = Uint8Array.from({ length: size }, (_, index) => (index * 7 + (index >> 8)) & 0xff);
  const path = join(directory, `blob-${size}`);
  writeFileSync(path, bytes);
  return {
    blob: { mediaType: "application/octet-stream", digest: digestOf(bytes), size },
    source: { path },
    bytes,
  };
}

function repository(name = "app"): Reference {
  return parseReference(`${registry.host}/${name}`);
}

const client = () => new RegistryClient({ insecureRegistries: [], mirrors: [] });

describe("a blob", () => {
  test("that is there is not sent", async () => {
    const { blob, source, bytes } = blobOf(100);
    registry.blobs.set(`app@${blob.digest}`, bytes);
    expect(await client().pushBlob(repository(), blob, source, { signal })).toEqual({ outcome: "exists" });
    expect(registry.requests).toEqual([`HEAD /v2/app/blobs/${blob.digest}`]);
  });

  test.each([
    [0, ["POST", "PUT"]],
    [100, ["POST", "PUT"]],
    [5 << 20, ["POST", "PATCH", "PUT"]],
  ])("of %p bytes is sent, whole", async (size, methods) => {
    const { blob, source, bytes } = blobOf(size);
    const progress: number[] = [];
    const onProgress = (current: number) => void progress.push(current);
    expect(await client().pushBlob(repository(), blob, source, { signal, onProgress })).toEqual({
      outcome: "uploaded",
    });
    expect(Buffer.from(registry.blobs.get(`app@${blob.digest}`) ?? []).equals(bytes)).toBe(true);
    expect(registry.requests.map((line) => line.split(" ")[0])).toEqual(["HEAD", ...methods]);
    expect(progress.at(-1) ?? 0).toBe(size);
  });

  test("is mounted from a repository that has it", async () => {
    const { blob, source, bytes } = blobOf(100);
    registry.blobs.set(`other@${blob.digest}`, bytes);
    const mountFrom = [repository("none"), repository("other")];
    expect(
      await client().pushBlob(repository(), blob, source, { signal, mountFrom: mountFrom.slice(1) }),
    ).toEqual({
      outcome: "mounted",
      from: repository("other"),
    });
    expect(registry.blobs.has(`app@${blob.digest}`)).toBe(true);
    expect(registry.uploads.size).toBe(0);
  });

  test("is sent where the mount is not given, over the session that came in its place", async () => {
    const { blob, source } = blobOf(100);
    const mountFrom = [repository("none")];
    expect(await client().pushBlob(repository(), blob, source, { signal, mountFrom })).toEqual({
      outcome: "uploaded",
    });
    expect(registry.uploads.size).toBe(1);
  });

  test("is sent where the mount is forbidden", async () => {
    const { blob, source } = blobOf(100);
    registry.intercept = (_, url) =>
      url.searchParams.has("mount") ? new Response(null, { status: 403 }) : undefined;
    const mountFrom = [repository("secret")];
    expect(await client().pushBlob(repository(), blob, source, { signal, mountFrom })).toEqual({
      outcome: "uploaded",
    });
  });

  test("goes on after a break from where the registry stands", async () => {
    const { blob, source, bytes } = blobOf(9 << 20);
    registry.breakAfter = 3 << 20;
    await client().pushBlob(repository(), blob, source, { signal });
    expect(Buffer.from(registry.blobs.get(`app@${blob.digest}`) ?? []).equals(bytes)).toBe(true);
    const patches = registry.requests.filter((line) => line.startsWith("PATCH"));
    expect(patches).toHaveLength(2);
    expect(Number(/ (\d+)-/.exec(patches[1] ?? "")?.[1])).toBeGreaterThanOrEqual(3 << 20);
  });

  test("begins again where the registry forgot the session", async () => {
    const { blob, source } = blobOf(9 << 20);
    registry.breakAfter = 3 << 20;
    registry.intercept = (request) => {
      if (request.method === "GET") registry.uploads.clear();
      return undefined;
    };
    await client().pushBlob(repository(), blob, source, { signal });
    expect(registry.blobs.has(`app@${blob.digest}`)).toBe(true);
  });

  test("goes in small pieces where long bodies are refused", async () => {
    const { blob, source, bytes } = blobOf(20 << 20);
    registry.intercept = async (request) => {
      if (Number(request.headers.get("content-length")) <= 8 << 20) return undefined;
      await request.arrayBuffer();
      return new Response(null, { status: 413 });
    };
    await client().pushBlob(repository(), blob, source, { signal });
    expect(Buffer.from(registry.blobs.get(`app@${blob.digest}`) ?? []).equals(bytes)).toBe(true);
    expect(registry.requests.filter((line) => / \d+-\d+$/.test(line))).toHaveLength(3);
  });

  test("waits as long as a busy registry asks, and gives up where that is too long", async () => {
    const { blob, source } = blobOf(100);
    let busy = 1;
    registry.intercept = (request) =>
      request.method === "POST" && busy-- > 0
        ? new Response(null, { status: 429, headers: { "retry-after": "1" } })
        : undefined;
    const began = performance.now();
    await client().pushBlob(repository(), blob, source, { signal });
    expect(performance.now() - began).toBeGreaterThan(900);
    registry.intercept = () => new Response(null, { status: 429, headers: { "retry-after": "86400" } });
    await expect(client().pushBlob(repository("b"), blob, source, { signal })).rejects.toBeInstanceOf(
      UnavailableError,
    );
  });

  test("that the registry stores as something else is an error", async () => {
    const { blob, source } = blobOf(100);
    registry.intercept = async (request) =>
      request.method === "PUT"
        ? new Response(null, { status: 201, headers: { "docker-content-digest": digestOf("other") } })
        : undefined;
    await expect(client().pushBlob(repository(), blob, source, { signal })).rejects.toBeInstanceOf(
      InvalidParameterError,
    );
  });

  test("that may not be pushed is refused in the registry's words", async () => {
    const { blob, source } = blobOf(100);
    const errors = [{ code: "DENIED", message: "requested access to the resource is denied" }];
    registry.intercept = (request) =>
      request.method === "POST" ? Response.json({ errors }, { status: 403 }) : undefined;
    const push = client().pushBlob(repository(), blob, source, { signal });
    await expect(push).rejects.toThrow("denied: requested access to the resource is denied");
    await expect(push).rejects.toBeInstanceOf(ForbiddenError);
  });

  test("is given up with its client", async () => {
    const { blob, source } = blobOf(9 << 20);
    const giveUp = new AbortController();
    registry.intercept = (request) => {
      if (request.method === "PATCH") giveUp.abort(new Error("given up"));
      return undefined;
    };
    await expect(client().pushBlob(repository(), blob, source, { signal: giveUp.signal })).rejects.toThrow(
      "given up",
    );
  });
});

describe("authorization to push", () => {
  test("is asked for pull and push, and for pull of what is mounted", async () => {
    const { blob, source } = blobOf(100);
    const scopes: string[][] = [];
    registry.intercept = (request, url) => {
      if (url.pathname === "/token") {
        scopes.push(url.searchParams.getAll("scope"));
        return Response.json({ token: "good", expires_in: 300 });
      }
      if (request.headers.get("authorization") === "Bearer good") return undefined;
      const realm = `http://${registry.host}/token`;
      return new Response(null, {
        status: 401,
        headers: { "www-authenticate": `Bearer realm="${realm}",service="s"` },
      });
    };
    await client().pushBlob(repository(), blob, source, {
      signal,
      credentials: account,
      mountFrom: [repository("other")],
    });
    expect(scopes).toContainEqual(["repository:app:pull,push"]);
    expect(scopes).toContainEqual(["repository:app:pull,push", "repository:other:pull"]);
  });

  test("that is not given is said to be so", async () => {
    const { blob, source } = blobOf(100);
    registry.intercept = () =>
      Response.json(
        { errors: [{ code: "UNAUTHORIZED", message: "authentication required" }] },
        { status: 401, headers: { "www-authenticate": 'Digest realm="x"' } },
      );
    await expect(client().pushBlob(repository(), blob, source, { signal })).rejects.toBeInstanceOf(
      UnauthorizedError,
    );
  });

  /** @see S29 */
  test("goes to the registry only: an upload that leads elsewhere has none", async () => {
    const { blob, source } = blobOf(5 << 20);
    const seen: (string | null)[] = [];
    using elsewhere = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        seen.push(request.headers.get("authorization"));
        await request.arrayBuffer();
        return new Response(null, {
          status: request.method === "PUT" ? 201 : 202,
          headers: { location: "/upload" },
        });
      },
    });
    registry.intercept = (request) => {
      if (request.headers.get("authorization") === null) {
        return new Response(null, { status: 401, headers: { "www-authenticate": 'Basic realm="r"' } });
      }
      if (request.method !== "POST") return undefined;
      return new Response(null, {
        status: 202,
        headers: { location: `http://127.0.0.1:${elsewhere.port}/upload` },
      });
    };
    await client().pushBlob(repository(), blob, source, { signal, credentials: account });
    expect(seen).toEqual([null, null]);
  });
});

test("a manifest goes under its tag, with its type", async () => {
  const bytes = new TextEncoder().encode('{"schemaVersion":2}');
  let type: string | null = "";
  registry.intercept = (request) => {
    type = request.headers.get("content-type");
    return undefined;
  };
  const reference = parseReference(`${registry.host}/app:1`);
  const pushed = await client().pushManifest(
    reference,
    { mediaType: MEDIA_TYPES.ociManifest, bytes },
    { signal },
  );
  expect(pushed).toEqual({ mediaType: MEDIA_TYPES.ociManifest, digest: digestOf(bytes), size: 19 });
  expect(type).toBe(MEDIA_TYPES.ociManifest);
  expect(registry.manifests.get("app:1")).toEqual(bytes);
});

/** The client against servers that do what real registries do, and what hostile ones would. */
import { afterEach, describe, expect, test } from "bun:test";
import type { BlobInfo, Ingest } from "../../core/content.ts";
import { digestOf } from "../../core/digests.ts";
import {
  InvalidParameterError,
  NotFoundError,
  SystemError,
  UnauthorizedError,
  UnavailableError,
} from "../../core/errors.ts";
import { MEDIA_TYPES } from "../../core/manifests.ts";
import { parseReference } from "../../core/references.ts";
import { RegistryClient } from "./client.ts";
import { readBody } from "./http.ts";

const { signal } = new AbortController();
const document = new TextEncoder().encode('{"schemaVersion":2}');
const account = { username: "user", password: "secret" };

type Handler = (request: Request, url: URL) => Response | Promise<Response>;
const servers: Bun.Server<unknown>[] = [];

/** On loopback, on a free port. */
function serve(handler: Handler, hostname = "127.0.0.1"): string {
  const server = Bun.serve({ hostname, port: 0, fetch: (request) => handler(request, new URL(request.url)) });
  servers.push(server);
  return `${hostname}:${server.port}`;
}

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop(true)));
});

function client(mirrors: string[] = []): RegistryClient {
  return new RegistryClient({ insecureRegistries: [], mirrors });
}

function manifest(headers: Record<string, string> = {}): Response {
  return new Response(document, { headers: { "content-type": MEDIA_TYPES.ociManifest, ...headers } });
}

function problem(status: number, code: string, message: string): Response {
  return Response.json({ errors: [{ code, message }] }, { status });
}

/** An upload in memory. */
function memoryIngest(
  expected: BlobInfo,
  start = new Uint8Array(0),
): Ingest & { bytes: Uint8Array; truncated: number } {
  return {
    bytes: start,
    truncated: 0,
    get offset() {
      return this.bytes.byteLength;
    },
    async write(chunk) {
      this.bytes = Buffer.concat([this.bytes, chunk]);
      if (this.bytes.byteLength > expected.size) throw new InvalidParameterError("too long");
    },
    async truncate() {
      this.truncated++;
      this.bytes = new Uint8Array(0);
    },
    commit: async () => expected,
    abort: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

describe("a manifest", () => {
  test("comes with its type and digest", async () => {
    const host = serve((request) => {
      expect(request.headers.get("accept")).toContain(MEDIA_TYPES.dockerList);
      return manifest({ "docker-content-digest": digestOf(document) });
    });
    const fetched = await client().fetchManifest(parseReference(`${host}/app:1`), { signal });
    expect(fetched.descriptor).toEqual({
      mediaType: MEDIA_TYPES.ociManifest,
      digest: digestOf(document),
      size: 19,
    });
  });

  test("with another digest than asked for, or than the registry says, is refused", async () => {
    const host = serve(() => manifest());
    const other = parseReference(`${host}/app@${digestOf("other")}`);
    await expect(client().fetchManifest(other, { signal })).rejects.toThrow("manifest verification failed");
    const lying = serve(() => manifest({ "docker-content-digest": digestOf("other") }));
    const named = parseReference(`${lying}/app:1`);
    await expect(client().fetchManifest(named, { signal })).rejects.toThrow("manifest verification failed");
  });

  test("larger than 4 MiB is not read on", async () => {
    const host = serve(() => new Response(new Uint8Array(5 << 20)));
    await expect(client().fetchManifest(parseReference(`${host}/app:1`), { signal })).rejects.toThrow(
      "larger than",
    );
  });

  test("that stands still half way is given up", async () => {
    const host = serve(() => new Response(new ReadableStream({ start: (body) => body.enqueue("{") })));
    const response = await fetch(`http://${host}/v2/`);
    await expect(readBody(response, 100, 50)).rejects.toThrow("timeout awaiting");
  });

  const missing: [status: number, code: string, message: string, shown: string][] = [
    [
      404,
      "MANIFEST_UNKNOWN",
      "manifest unknown",
      "manifest for HOST/app:1 not found: manifest unknown: manifest unknown",
    ],
    [
      404,
      "NAME_UNKNOWN",
      "repository name not known to registry",
      "repository HOST/app not found: name unknown: repository name not known to registry",
    ],
    [
      403,
      "DENIED",
      "requested access to the resource is denied",
      "pull access denied for HOST/app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
    ],
  ];
  test.each(missing)("that is not there: %d %s", async (status, code, message, shown) => {
    const host = serve(() => problem(status, code, message));
    const fetching = client().fetchManifest(parseReference(`${host}/app:1`), { signal });
    await expect(fetching).rejects.toBeInstanceOf(NotFoundError);
    await expect(fetching).rejects.toThrow(shown.replaceAll("HOST", host));
  });

  test("is asked for again while the registry is busy", async () => {
    let requests = 0;
    const host = serve(() => (++requests < 3 ? new Response("busy", { status: 503 }) : manifest()));
    await client().fetchManifest(parseReference(`${host}/app:1`), { signal });
    expect(requests).toBe(3);
  });

  test("of a registry that no one runs fails at once, naming it", async () => {
    const host = serve(() => manifest());
    await servers.pop()?.stop(true);
    const started = performance.now();
    const fetching = client().fetchManifest(parseReference(`${host}/app:1`), { signal });
    await expect(fetching).rejects.toThrow(`${host}/v2/app/manifests/1": connect: connection refused`);
    expect(performance.now() - started).toBeLessThan(1000);
  });

  test("is not fetched by http from a host that is not listed as insecure", async () => {
    const port = serve(() => manifest()).split(":")[1];
    const fetching = client().fetchManifest(parseReference(`registry.localdomain.invalid:${port}/app:1`), {
      signal,
    });
    await expect(fetching).rejects.toThrow('Get "https://');
  });
});

describe("authorization", () => {
  const basic = `Basic ${btoa("user:secret")}`;

  test("basic: what was asked for is given, and kept", async () => {
    let refused = 0;
    const host = serve((request) => {
      if (request.headers.get("authorization") === basic) return manifest();
      refused++;
      return new Response("", { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } });
    });
    const registry = client();
    const reference = parseReference(`${host}/app:1`);
    await registry.fetchManifest(reference, { credentials: account, signal });
    await registry.fetchManifest(reference, { credentials: account, signal });
    expect(refused).toBe(1);
    await expect(registry.fetchManifest(reference, { signal })).rejects.toThrow("no basic auth credentials");
  });

  function tokenRegistry(realm: (own: string) => string, seen: URL[], tokenHeaders: (string | null)[] = []) {
    const host: string = serve((request, url) => {
      if (url.pathname === "/token") {
        seen.push(url);
        tokenHeaders.push(request.headers.get("authorization"));
        return Response.json({ token: "t0ken", expires_in: 300 });
      }
      if (request.headers.get("authorization") === "Bearer t0ken") return manifest();
      const challenge = `Bearer realm="${realm(host)}",service="the, service",scope="whatever"`;
      return new Response("", { status: 401, headers: { "www-authenticate": challenge } });
    });
    return host;
  }

  test("bearer: a token for this repository, with the account if there is one, and kept", async () => {
    const seen: URL[] = [];
    const headers: (string | null)[] = [];
    const host = tokenRegistry((own) => `http://${own}/token`, seen, headers);
    const registry = client();
    const reference = parseReference(`${host}/a/b:1`);
    await registry.fetchManifest(reference, { signal });
    await registry.fetchManifest(reference, { signal });
    expect(seen.map((url) => [url.searchParams.get("service"), url.searchParams.get("scope")])).toEqual([
      ["the, service", "repository:a/b:pull"],
    ]);
    expect(headers).toEqual([null]);
    await registry.fetchManifest(reference, { credentials: account, signal });
    expect([headers[1], seen[1]?.searchParams.get("account")]).toEqual([basic, "user"]);
  });

  test("credentials are not sent to a token service of another owner", async () => {
    const seen: URL[] = [];
    const service = serve((_, url) => {
      seen.push(url);
      return Response.json({ token: "t0ken" });
    }, "localhost");
    const host = tokenRegistry(() => `http://${service}/token`, []);
    const reference = parseReference(`${host}/app:1`);
    const fetching = client().fetchManifest(reference, { credentials: account, signal });
    await expect(fetching).rejects.toThrow("refused");
    expect(seen).toEqual([]);
    // Without an account there is nothing to lose.
    await client().fetchManifest(reference, { signal });
    expect(seen).toHaveLength(1);
  });

  test("refused credentials are told as such", async () => {
    const host: string = serve((_, url) => {
      if (url.pathname === "/token") return problem(401, "UNAUTHORIZED", "incorrect username or password");
      const challenge = `Bearer realm="http://${host}/token"`;
      return new Response("", { status: 401, headers: { "www-authenticate": challenge } });
    });
    const fetching = client().fetchManifest(parseReference(`${host}/app:1`), {
      credentials: account,
      signal,
    });
    await expect(fetching).rejects.toThrow("unauthorized: incorrect username or password");
  });

  test("does not follow a redirect to another origin", async () => {
    const seen: (string | null)[] = [];
    const storage = serve((request) => {
      seen.push(request.headers.get("authorization"));
      return manifest();
    });
    const host = serve((request) => {
      if (!request.headers.get("authorization")) {
        return new Response("", { status: 401, headers: { "www-authenticate": "Basic realm=x" } });
      }
      return Response.redirect(`http://${storage}/elsewhere`, 307);
    });
    await client().fetchManifest(parseReference(`${host}/app:1`), { credentials: account, signal });
    expect(seen).toEqual([null]);
  });

  test("redirects in a circle end", async () => {
    const host: string = serve(() => Response.redirect(`http://${host}/again`, 307));
    const fetching = client().fetchManifest(parseReference(`${host}/app:1`), { signal });
    await expect(fetching).rejects.toBeInstanceOf(SystemError);
  });

  test("a login is checked", async () => {
    const host = serve((request) =>
      request.headers.get("authorization") === basic
        ? new Response("{}")
        : new Response("", { status: 401, headers: { "www-authenticate": "Basic realm=x" } }),
    );
    await client().checkCredentials(host, account, { signal });
    const wrong = client().checkCredentials(`http://${host}/v1/`, { ...account, password: "x" }, { signal });
    await expect(wrong).rejects.toBeInstanceOf(UnauthorizedError);
    await expect(wrong).rejects.toThrow("failed with status: 401 Unauthorized");
  });
});

describe("a blob", () => {
  const content = Uint8Array.from({ length: 200_000 }, (_, index) => index % 256);
  const blob = { mediaType: "", digest: digestOf(content), size: content.byteLength };

  /** Serves ranges; breaks the connection after so many bytes, so many times. */
  function breakingServer(breaks: number, after: number, options: { ranges: boolean }) {
    let broken = 0;
    const ranges: (string | null)[] = [];
    const server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket, data) {
          // The try to speak TLS.
          if (!data.toString("latin1").startsWith("GET ")) return socket.terminate();
          const range = /range: bytes=(\d+)-/i.exec(data.toString())?.[1] ?? null;
          ranges.push(range);
          const from = options.ranges && range !== null ? Number(range) : 0;
          const status = from > 0 ? "206 Partial Content" : "200 OK";
          const contentRange =
            from > 0 ? `Content-Range: bytes ${from}-${blob.size - 1}/${blob.size}\r\n` : "";
          const body = content.subarray(
            from,
            broken < breaks ? Math.min(from + after, blob.size) : blob.size,
          );
          socket.write(
            `HTTP/1.1 ${status}\r\n${contentRange}Content-Length: ${blob.size - from}\r\nConnection: close\r\n\r\n`,
          );
          socket.write(body);
          if (broken++ < breaks) setTimeout(() => socket.terminate(), 20);
          else socket.end();
        },
      },
    });
    return { host: `127.0.0.1:${server.port}`, ranges, [Symbol.dispose]: () => server.stop(true) };
  }

  test("goes on where the connection broke", async () => {
    using server = breakingServer(2, 50_000, { ranges: true });
    const registry = client([]);
    const ingest = memoryIngest(blob);
    const progress: number[] = [];
    const options = { signal, onProgress: (current: number) => void progress.push(current) };
    await registry.fetchBlob(parseReference(`${server.host}/app`), blob, ingest, options);
    expect(digestOf(ingest.bytes)).toBe(blob.digest);
    expect(ingest.truncated).toBe(0);
    expect(server.ranges.filter(Boolean)).toHaveLength(2);
    expect(progress.at(-1)).toBe(blob.size);
  });

  test("goes on from what an earlier try left", async () => {
    using server = breakingServer(0, 0, { ranges: true });
    const ingest = memoryIngest(blob, content.subarray(0, 150_000));
    await client().fetchBlob(parseReference(`${server.host}/app`), blob, ingest, { signal });
    expect(digestOf(ingest.bytes)).toBe(blob.digest);
    expect(server.ranges.at(-1)).toBe("150000");
  });

  test("starts over where there are no ranges", async () => {
    using server = breakingServer(1, 50_000, { ranges: false });
    const ingest = memoryIngest(blob);
    await client().fetchBlob(parseReference(`${server.host}/app`), blob, ingest, { signal });
    expect(digestOf(ingest.bytes)).toBe(blob.digest);
    expect(ingest.truncated).toBe(1);
  });

  test("that never comes whole is given up", async () => {
    using server = breakingServer(100, 0, { ranges: true });
    const fetching = client().fetchBlob(parseReference(`${server.host}/app`), blob, memoryIngest(blob), {
      signal,
    });
    await expect(fetching).rejects.toThrow(blob.digest);
  }, 20_000);

  test("of another size than the manifest says is refused before it is read", async () => {
    const host = serve(() => new Response(content.subarray(1)));
    const ingest = memoryIngest(blob);
    await expect(client().fetchBlob(parseReference(`${host}/app`), blob, ingest, { signal })).rejects.toThrow(
      "its manifest says",
    );
    expect(ingest.offset).toBe(0);
  });

  test("that the registry lacks is named", async () => {
    const host = serve(() => problem(404, "BLOB_UNKNOWN", "blob unknown to registry"));
    const fetching = client().fetchBlob(parseReference(`${host}/app`), blob, memoryIngest(blob), { signal });
    await expect(fetching).rejects.toThrow(`blob ${blob.digest} not found in app`);
  });

  test("stops when the caller does", async () => {
    const abort = new AbortController();
    const host = serve(
      () => new Response(new ReadableStream({ start: (stream) => stream.enqueue(content.subarray(0, 10)) })),
    );
    const options = { signal: abort.signal, onProgress: () => abort.abort(new Error("enough")) };
    const fetching = client().fetchBlob(parseReference(`${host}/app`), blob, memoryIngest(blob), options);
    await expect(fetching).rejects.toThrow("enough");
  });
});

describe("mirrors of Docker Hub", () => {
  test("are asked first, without the account of the Hub", async () => {
    const seen: (string | null)[] = [];
    const mirror = serve((request, url) => {
      seen.push(`${url.pathname} ${request.headers.get("authorization")}`);
      return manifest();
    });
    await client([`http://${mirror}`]).fetchManifest(parseReference("busybox:1"), {
      credentials: account,
      signal,
    });
    expect(seen).toEqual(["/v2/library/busybox/manifests/1 null"]);
  });

  test("that fail give way to the next", async () => {
    const broken = serve(() => problem(404, "MANIFEST_UNKNOWN", "manifest unknown"));
    const good = serve(() => manifest());
    const registry = client([`http://${broken}`, `http://${good}`]);
    const fetched = await registry.fetchManifest(parseReference("busybox:1"), { signal });
    expect(fetched.descriptor.digest).toBe(digestOf(document));
  });
});

describe("a list of tags", () => {
  test("ends where a page leads to itself, or in a circle", async () => {
    const host = serve((_, url) => {
      const last = url.searchParams.get("last") ?? "";
      const next = last === "" ? "a" : "b";
      const headers = { link: `</v2/app/tags/list?last=${next}&n=1>; rel="next"` };
      return Response.json({ name: "app", tags: [`after-${last}`] }, { headers });
    });
    const tags = await client().listTags(parseReference(`${host}/app`), { signal });
    expect(tags).toEqual(["after-", "after-a", "after-b"]);
  });
});

describe("a registry that is busy or broken", () => {
  const whole = new Uint8Array(3 << 20).fill(7);
  const blob = { mediaType: "", digest: digestOf(whole), size: whole.byteLength };

  test("is asked again after the time that it names", async () => {
    let busy = 1;
    const host = serve(() =>
      busy-- > 0 ? new Response(null, { status: 429, headers: { "retry-after": "1" } }) : new Response(whole),
    );
    const into = memoryIngest(blob);
    const began = performance.now();
    await client().fetchBlob(parseReference(`${host}/app`), blob, into, { signal });
    expect(into.bytes.byteLength).toBe(blob.size);
    expect(performance.now() - began).toBeGreaterThan(900);
  });

  test("is not waited for where it names a time that nobody waits", async () => {
    const host = serve(() => new Response(null, { status: 429, headers: { "retry-after": "86400" } }));
    const into = memoryIngest(blob);
    const download = client().fetchBlob(parseReference(`${host}/app`), blob, into, { signal });
    await expect(download).rejects.toBeInstanceOf(UnavailableError);
  });

  test("is given up where each try brings one byte", async () => {
    let requests = 0;
    const host = serve((request) => {
      requests++;
      const start = Number(/\d+/.exec(request.headers.get("range") ?? "")?.[0] ?? 0);
      const stream = new ReadableStream({
        async pull(controller) {
          controller.enqueue(whole.subarray(start, start + 1));
          await Bun.sleep(5);
          controller.close();
        },
      });
      const range = `bytes ${start}-${blob.size - 1}/${blob.size}`;
      return new Response(stream, { status: start > 0 ? 206 : 200, headers: { "content-range": range } });
    });
    const into = memoryIngest(blob);
    const download = client().fetchBlob(parseReference(`${host}/app`), blob, into, { signal });
    await expect(download).rejects.toBeInstanceOf(UnavailableError);
    expect(requests).toBe(5);
  });

  test("that sends next to nothing is a broken connection", async () => {
    const host = serve(
      () =>
        new Response(
          new ReadableStream({
            async pull(controller) {
              controller.enqueue(whole.subarray(0, 1));
              await Bun.sleep(20);
            },
          }),
        ),
    );
    const into = memoryIngest(blob);
    const download = new RegistryClient({ insecureRegistries: [], mirrors: [] }).fetchBlob(
      parseReference(`${host}/app`),
      blob,
      into,
      { signal, stallTimeout: 100 },
    );
    await expect(download).rejects.toThrow("no data for 0.1 seconds");
  });
});

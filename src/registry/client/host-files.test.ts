/** Files about registries, and what is asked of whom because of them. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { $ } from "bun";
import { digestOf } from "../../core/digests.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import { MEDIA_TYPES } from "../../core/manifests.ts";
import { parseReference } from "../../core/references.ts";
import { RegistryClient } from "./client.ts";

const { signal } = new AbortController();
const bytes = new TextEncoder().encode('{"schemaVersion":2}');
const account = { username: "user", password: "secret" };
let directory: string;
const servers: Bun.Server<unknown>[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "gantry-hosts-"));
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop(true)));
  rmSync(directory, { recursive: true });
});

interface Asked {
  readonly url: URL;
  readonly headers: Headers;
}

/** @returns its address; what it is asked goes into `asked` */
function serve(asked: Asked[], tls?: Bun.TLSOptions, status = 200): string {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    ...(tls ? { tls } : {}),
    fetch: (request) => {
      asked.push({ url: new URL(request.url), headers: new Headers(request.headers) });
      return new Response(status === 200 ? bytes : null, {
        status,
        headers: { "content-type": MEDIA_TYPES.ociManifest },
      });
    },
  });
  servers.push(server);
  return `127.0.0.1:${server.port}`;
}

function write(name: string, text: string): void {
  mkdirSync(dirname(join(directory, name)), { recursive: true });
  writeFileSync(join(directory, name), text);
}

const fetchFrom = (name: string) =>
  new RegistryClient({ insecureRegistries: [], mirrors: [], hostDirectories: [directory] }).fetchManifest(
    parseReference(name),
    { signal, credentials: account },
  );

describe("hosts.toml", () => {
  test("names mirrors for any registry, with paths, headers and plain http; credentials are not for them", async () => {
    const asked: Asked[] = [];
    const mirror = serve(asked);
    write(
      "reg.example:5000/hosts.toml",
      `server = "https://reg.example:5000"
[host."http://${mirror}/cache/reg"]
  capabilities = ["pull", "resolve"]
  override_path = true
  [host."http://${mirror}/cache/reg".header]
    x-mirror = ["a", "b"]
`,
    );
    expect((await fetchFrom("reg.example:5000/app:1")).descriptor.digest).toBe(digestOf(bytes));
    const [request] = asked;
    expect(request?.url.pathname).toBe("/cache/reg/app/manifests/1");
    expect(request?.url.searchParams.get("ns")).toBe("reg.example:5000");
    expect(request?.headers.get("x-mirror")).toBe("a, b");
    expect(request?.headers.get("authorization")).toBeNull();
  });

  test("is in force at once, and the registry itself is asked where a mirror fails", async () => {
    const [mirrored, own]: [Asked[], Asked[]] = [[], []];
    const mirror = serve(mirrored, undefined, 404);
    const registry = serve(own);
    await fetchFrom(`${registry}/app:1`);
    expect(own).toHaveLength(1);
    write(`${registry}/hosts.toml`, `[host."http://${mirror}"]\n`);
    await fetchFrom(`${registry}/app:1`);
    expect([mirrored.length > 0, own.length]).toEqual([true, 2]);
  });

  test("a mirror that may only pull is not asked what a tag means", async () => {
    const [mirrored, own]: [Asked[], Asked[]] = [[], []];
    const [mirror, registry] = [serve(mirrored), serve(own)];
    write(`${registry}/hosts.toml`, `[host."http://${mirror}"]\ncapabilities = ["pull"]\n`);
    await fetchFrom(`${registry}/app:1`);
    expect([mirrored.length, own.length]).toEqual([0, 1]);
    await fetchFrom(`${registry}/app@${digestOf(bytes)}`);
    expect([mirrored.length, own.length]).toEqual([1, 1]);
  });

  test.each([
    ["no toml", "= = ="],
    ["an address that is none", '[host."ftp://x"]\n'],
    ["a capability that is none", '[host."http://x"]\ncapabilities = ["fly"]\n'],
  ])("with %s is an error that names it", async (_, text) => {
    write("reg.example/hosts.toml", text);
    const fetching = fetchFrom("reg.example/app:1");
    await expect(fetching).rejects.toBeInstanceOf(InvalidParameterError);
    await expect(fetching).rejects.toThrow("reg.example/hosts.toml");
  });
});

describe("certificates", () => {
  async function authority(): Promise<{ cert: string; key: string }> {
    const [cert, key] = [join(directory, "made.pem"), join(directory, "made.key")];
    await $`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1 -keyout ${key} -out ${cert}`.quiet();
    return { cert: await Bun.file(cert).text(), key: await Bun.file(key).text() };
  }

  test("of an authority are trusted, and asked for of the client", async () => {
    const { cert, key } = await authority();
    const asked: Asked[] = [];
    const mirror = serve(asked, { cert, key, ca: cert, requestCert: true, rejectUnauthorized: true });
    write(
      "reg.example/hosts.toml",
      `[host."https://${mirror}"]\nca = "ca.pem"\nclient = [["ca.pem", "ca.key"]]\n`,
    );
    write("reg.example/ca.pem", cert);
    write("reg.example/ca.key", key);
    await fetchFrom("reg.example/app:1");
    expect(asked).toHaveLength(1);
  });

  test("in Docker's certs.d without their key are an error", async () => {
    write("reg.example/client.cert", "x");
    await expect(fetchFrom("reg.example/app:1")).rejects.toThrow("missing key client.key");
  });
});

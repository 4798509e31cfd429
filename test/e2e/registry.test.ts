/** The registry as clients see it: skopeo and the engine push and pull, accounts decide, disk comes back, crashes lose nothing. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { $ } from "bun";
import { GantryRegistry } from "../support/gantry-registry.ts";
import { useEngine } from "../support/suite.ts";

const suite = useEngine();
const IMAGE = "application/vnd.oci.image.manifest.v1+json";
const admin = "ada:correct horse";

let open: GantryRegistry;
let closed: GantryRegistry;
beforeAll(async () => {
  open = await new GantryRegistry({
    environment: { REGISTRY_REGISTRY_GRACE_UPLOAD: "1s", REGISTRY_REGISTRY_GRACE_DELETE: "1s" },
  }).start();
  closed = await new GantryRegistry().start();
  await closed.administer("PUT", "accounts/ada", { password: "correct horse", admin: true });
  await closed.administer("PUT", "accounts/walt", { password: "walts secret" });
  await closed.administer("PUT", "accounts/rita", { password: "ritas secret" });
  await closed.administer("PUT", "grants", { subject: "user:walt", prefix: "team", role: "writer" });
  await closed.administer("PUT", "grants", { subject: "user:rita", prefix: "team", role: "reader" });
}, 60_000);
afterAll(async () => {
  await open?.[Symbol.asyncDispose]();
  await closed?.[Symbol.asyncDispose]();
});

const digestOf = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** A small image of random bytes. @returns its digest */
async function push(
  registry: GantryRegistry,
  name: string,
  tag: string,
  options: { as?: string; layer?: Buffer } = {},
): Promise<string> {
  const layer = options.layer ?? randomBytes(5_000);
  const config = Buffer.from("{}");
  for (const blob of [layer, config]) {
    const reply = await registry.fetch(`/v2/${name}/blobs/uploads/?digest=${digestOf(blob)}`, {
      method: "POST",
      body: blob,
      ...options,
    });
    if (reply.status !== 201) throw new Error(`blob: ${reply.status} ${await reply.text()}`);
  }
  const describe = (bytes: Buffer, mediaType: string) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: IMAGE,
      config: describe(config, "application/vnd.oci.image.config.v1+json"),
      layers: [describe(layer, "application/vnd.oci.image.layer.v1.tar")],
    }),
  );
  const reply = await registry.fetch(`/v2/${name}/manifests/${tag}`, {
    method: "PUT",
    body: manifest,
    headers: { "Content-Type": IMAGE },
    ...options,
  });
  if (reply.status !== 201) throw new Error(`manifest: ${reply.status} ${await reply.text()}`);
  return digestOf(manifest);
}

function storedObjects(registry: GantryRegistry): string[] {
  return readdirSync(join(registry.dataRoot, "blobs"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
}

/** Its bytes are on the disk. */
function kept(layer: Buffer): boolean {
  return storedObjects(open).some((name) => digestOf(layer).endsWith(name.split(".")[0] ?? ""));
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error("it did not come true within 30 s");
    await Bun.sleep(50);
  }
}

describe("clients", () => {
  test("skopeo copies an image in and out with its digest; the engine pulls it", async () => {
    const insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    const source = `docker://${suite.registry.host}/busybox:latest`;
    await $`skopeo copy ${insecure} --all ${source} docker://${open.host}/library/busybox:1`.quiet();
    const inspect = async (image: string) =>
      (await $`skopeo inspect --tls-verify=false --raw ${image}`.quiet()).stdout;
    expect(await inspect(`docker://${open.host}/library/busybox:1`)).toEqual(await inspect(source));
    await suite.engine.pull(`${open.host}/library/busybox:1`);
    const ran = await suite
      .cli("gantry")
      .ok("run", "--rm", `${open.host}/library/busybox:1`, "echo", "from our own");
    expect(ran).toBe("from our own");
  });

  test("docker login works at once, by token and with wrong passwords refused", async () => {
    const docker = suite.cli("docker");
    const login = (password: string) => docker("login", "-u", "walt", "-p", password, closed.host);
    expect((await login("wrong password")).code).not.toBe(0);
    expect((await login("walts secret")).code).toBe(0);
  });

  test("an upload that breaks off goes on at the offset that is told", async () => {
    const blob = randomBytes(100_000);
    const begun = await open.fetch("/v2/resumed/blobs/uploads/", { method: "POST" });
    const place = begun.headers.get("location") ?? "";
    await open.fetch(place, { method: "PATCH", body: blob.subarray(0, 40_000) });
    await open.kill();
    await open.start();
    const status = await open.fetch(place);
    expect([status.status, status.headers.get("range")]).toEqual([204, "0-39999"]);
    const late = await open.fetch(place, {
      method: "PATCH",
      body: blob.subarray(50_000),
      headers: { "Content-Range": "50000-99999" },
    });
    expect([late.status, late.headers.get("range")]).toEqual([416, "0-39999"]);
    const done = await open.fetch(`${place}?digest=${digestOf(blob)}`, {
      method: "PUT",
      body: blob.subarray(40_000),
    });
    expect(done.status).toBe(201);
    const read = await open.fetch(`/v2/resumed/blobs/${digestOf(blob)}`, {
      headers: { Range: "bytes=39990-40009" },
    });
    expect(read.status).toBe(206);
    expect(Buffer.from(await read.arrayBuffer())).toEqual(blob.subarray(39_990, 40_010));
  });
});

describe("S31: accounts", () => {
  beforeAll(async () => {
    await push(closed, "team/app", "1", { as: "walt:walts secret" });
    await push(closed, "other/secret", "1", { as: admin });
  });

  test.each([
    ["nobody", undefined, "team/app", [401, 401]],
    ["who may read", "rita:ritas secret", "team/app", [200, 403]],
    ["who may write", "walt:walts secret", "team/app", [200, 202]],
    ["who may not see it", "walt:walts secret", "other/secret", [403, 403]],
    ["who may not see what is not there", "walt:walts secret", "other/nothing", [403, 403]],
    ["the administrator", admin, "other/secret", [200, 202]],
  ])("%s: pull and push", async (_, as, name, expected) => {
    const credentials = as === undefined ? {} : { as };
    const pulled = await closed.fetch(`/v2/${name}/manifests/1`, credentials);
    const pushed = await closed.fetch(`/v2/${name}/blobs/uploads/`, { method: "POST", ...credentials });
    expect([pulled.status, pushed.status]).toEqual(expected as [number, number]);
  });

  test("S28: a digest of another repository is not there, and mounts only for who may read it", async () => {
    const layer = randomBytes(1_000);
    await push(closed, "other/secret", "2", { as: admin, layer });
    const as = "walt:walts secret";
    const direct = await closed.fetch(`/v2/team/app/blobs/${digestOf(layer)}`, { as });
    expect(direct.status).toBe(404);
    for (const from of ["&from=other/secret", ""]) {
      const mount = await closed.fetch(`/v2/team/app/blobs/uploads/?mount=${digestOf(layer)}${from}`, {
        method: "POST",
        as,
      });
      expect(mount.status).toBe(202);
    }
    const allowed = await closed.fetch(
      `/v2/team/copy/blobs/uploads/?mount=${digestOf(layer)}&from=other/secret`,
      { method: "POST", as: admin },
    );
    expect(allowed.status).toBe(201);
  });

  test("somebody else's upload is not there", async () => {
    const begun = await closed.fetch("/v2/team/app/blobs/uploads/", {
      method: "POST",
      as: "walt:walts secret",
    });
    const place = begun.headers.get("location") ?? "";
    expect((await closed.fetch(place, { as: admin })).status).toBe(404);
    expect((await closed.fetch(place, { method: "DELETE", as: "walt:walts secret" })).status).toBe(204);
  });

  test("a public repository is read by everybody, and written by nobody more", async () => {
    await push(closed, "team/open", "1", { as: "walt:walts secret" });
    await closed.administer("PATCH", "repositories/team/open", { visibility: "public" });
    expect((await closed.fetch("/v2/team/open/manifests/1")).status).toBe(200);
    expect((await closed.fetch("/v2/team/open/manifests/1", { method: "DELETE" })).status).toBe(401);
  });

  test("the catalog shows what the caller may read", async () => {
    const catalog = async (as: string) =>
      (await (await closed.fetch("/v2/_catalog", { as })).json()) as { repositories: string[] };
    expect((await catalog("rita:ritas secret")).repositories.some((name) => name.startsWith("other/"))).toBe(
      false,
    );
    expect((await catalog(admin)).repositories).toContain("other/secret");
  });

  test("a right that was taken away is gone for tokens that were issued before", async () => {
    await closed.administer("PUT", "accounts/tim", { password: "tims password" });
    await closed.administer("PUT", "grants", { subject: "user:tim", prefix: "team", role: "reader" });
    const reply = await closed.fetch(`/auth/token?service=${closed.host}&scope=repository:team/app:pull`, {
      as: "tim:tims password",
    });
    const { token } = (await reply.json()) as { token: string };
    const read = () =>
      closed.fetch("/v2/team/app/manifests/1", { headers: { Authorization: `Bearer ${token}` } });
    expect((await read()).status).toBe(200);
    await closed.administer("DELETE", "grants?subject=user:tim&prefix=team");
    expect((await read()).status).toBe(401);
  });

  test("a personal token narrows what its account may do", async () => {
    const made = (await closed.administer("POST", "accounts/walt/tokens", {
      label: "ci",
      scopes: [{ prefix: "team/app", verbs: ["pull"] }],
    })) as { token: string; id: string };
    const as = `walt:${made.token}`;
    expect((await closed.fetch("/v2/team/app/manifests/1", { as })).status).toBe(200);
    expect((await closed.fetch("/v2/team/app/blobs/uploads/", { method: "POST", as })).status).toBe(401);
    await closed.administer("DELETE", `accounts/walt/tokens/${made.id}`);
    expect((await closed.fetch("/v2/team/app/manifests/1", { as })).status).toBe(401);
  });

  test("forged tokens are refused", async () => {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const now = Math.floor(Date.now() / 1000);
    const access = [{ type: "repository", name: "team/app", actions: ["pull"] }];
    const claims = { iss: "gantry-registry", sub: "ada", aud: closed.host, iat: now, exp: now + 300, access };
    const { keys } = (await (await closed.fetch("/auth/keys")).json()) as { keys: { kid: string }[] };
    const kid = keys[0]?.kid ?? "";
    const hmac = (text: string) =>
      createHmac("sha256", JSON.stringify(keys[0])).update(text).digest("base64url");
    const unsigned = `${part({ alg: "none", kid })}.${part(claims)}`;
    const withHmac = `${part({ alg: "HS256", kid })}.${part(claims)}`;
    const ownKey = `${part({ alg: "ES256", kid: "x".repeat(43), jwk: keys[0] })}.${part(claims)}`;
    for (const token of [
      `${unsigned}.`,
      `${withHmac}.${hmac(withHmac)}`,
      `${ownKey}.${"A".repeat(86)}`,
      "x.y.z",
    ]) {
      const reply = await closed.fetch("/v2/team/app/manifests/1", {
        headers: { Authorization: `Bearer ${token}` },
      });
      expect(reply.status).toBe(401);
      expect(reply.headers.get("www-authenticate")).toContain('error="invalid_token"');
    }
  });
});

describe("gantry registry", () => {
  test("makes accounts, groups, grants and tokens that work", async () => {
    const gantry = async (stdin: string, ...args: readonly string[]) => {
      const [noun = "", ...rest] = args;
      const command = ["registry", noun, "--data-root", closed.dataRoot, ...rest];
      const { code, stdout, stderr } = await suite.cli("gantry").with({ stdin }, ...command);
      if (code !== 0) throw new Error(stderr);
      return stdout.trim();
    };
    await gantry("gretas password", "user", "--password-stdin", "set", "greta");
    await gantry("", "user", "--robot", "set", "builder");
    await gantry("", "group", "add", "crew", "builder");
    await gantry("", "grant", "set", "group:crew", "crew", "writer");
    await gantry("", "grant", "set", "user:greta", "/", "reader");
    const token = await gantry("", "token", "--scope", "crew/app:push,pull", "new", "builder");
    await push(closed, "crew/app", "1", { as: `builder:${token}` });
    expect((await closed.fetch("/v2/crew/app/manifests/1", { as: "greta:gretas password" })).status).toBe(
      200,
    );
    expect(await gantry("", "grant", "ls")).toMatch(/group:crew +crew +writer/);
    expect(await gantry("", "user", "ls")).toMatch(/builder +robot +no/);
    await gantry("", "repo", "--visibility", "public", "set", "crew/app");
    expect((await closed.fetch("/v2/crew/app/manifests/1")).status).toBe(200);
    await gantry("", "repo", "rm", "crew/app");
    expect((await closed.fetch("/v2/crew/app/manifests/1", { as: admin })).status).toBe(404);
    await expect(gantry("", "user", "rm", "nobody")).rejects.toThrow("not found");
  });

  test("says what to do where no registry runs", async () => {
    const { code, stderr } = await suite.cli("gantry")("registry", "user", "--data-root", "/nowhere", "ls");
    expect(code).not.toBe(0);
    expect(stderr).toContain("registry serve");
  });
});

describe("disk that comes back", () => {
  test("deleting a manifest frees its layer, and not one that another image has", async () => {
    const [shared, alone] = [randomBytes(2_000), randomBytes(2_001)];
    await push(open, "disk/a", "1", { layer: shared });
    await push(open, "disk/b", "1", { layer: shared });
    const digest = await push(open, "disk/a", "2", { layer: alone });
    expect((await open.fetch(`/v2/disk/a/manifests/${digest}`, { method: "DELETE" })).status).toBe(202);
    expect((await open.fetch("/v2/disk/a/manifests/1", { method: "DELETE" })).status).toBe(202);
    await until(() => !kept(alone));
    await until(async () => (await open.fetch(`/v2/disk/a/blobs/${digestOf(shared)}`)).status === 404);
    expect((await open.fetch(`/v2/disk/b/blobs/${digestOf(shared)}`)).status).toBe(200);
    await open.administer("DELETE", "repositories/disk/b");
    await until(() => !kept(shared));
  });

  test("what was freed can be pushed again", async () => {
    const layer = randomBytes(2_000);
    for (let round = 0; round < 2; round++) {
      const digest = await push(open, "disk/again", "1", { layer });
      expect((await open.fetch(`/v2/disk/again/blobs/${digestOf(layer)}`)).status).toBe(200);
      await open.fetch(`/v2/disk/again/manifests/${digest}`, { method: "DELETE" });
      await until(() => !kept(layer));
    }
  });
});

describe("hostile clients", () => {
  test.each([
    ["a page of 10⁹", "/v2/_catalog?n=1000000000", 200],
    ["a page that is no number", "/v2/_catalog?n=-1", 400],
    ["a path upwards", "/v2/a/%2e%2e%2fetc/manifests/1", 400],
    ["a digest that is none", "/v2/a/blobs/sha256:x", 400],
    ["a repository that is not there", "/v2/a/tags/list", 404],
  ])("%s", async (_, path, status) => {
    const reply = await fetch(`http://${open.host}${path}`);
    expect(reply.status).toBe(status);
  });

  test("S26: wrong digests leave nothing behind", async () => {
    const wrong = digestOf(Buffer.from("other"));
    const reply = await open.fetch(`/v2/hostile/blobs/uploads/?digest=${wrong}`, {
      method: "POST",
      body: "some",
    });
    expect(reply.status).toBe(400);
    expect(((await reply.json()) as { errors: { code: string }[] }).errors[0]?.code).toBe("DIGEST_INVALID");
    expect((await open.fetch(`/v2/hostile/blobs/${wrong}`)).status).toBe(404);
    expect(readdirSync(join(open.dataRoot, "uploads"))).not.toContain("some");
  });

  test("S25: a manifest of more than 4 MiB is refused, one whose blobs are missing names them", async () => {
    const put = (body: string) =>
      open.fetch("/v2/hostile/manifests/1", { method: "PUT", body, headers: { "Content-Type": IMAGE } });
    expect((await put(" ".repeat((4 << 20) + 1))).status).toBe(413);
    const config = { mediaType: "application/x", digest: digestOf(Buffer.from("nowhere")), size: 7 };
    const reply = await put(JSON.stringify({ schemaVersion: 2, mediaType: IMAGE, config, layers: [] }));
    expect(reply.status).toBe(400);
    expect(await reply.text()).toContain(config.digest);
  });

  test("plain HTTP beyond loopback has to be asked for", async () => {
    const directory = join(open.directory, "refused");
    writeFileSync(`${directory}.yml`, "http:\n  addr: 0.0.0.0:0\n");
    const program = process.env.GANTRY_TEST_EXECUTABLE ?? "dist/gantry";
    const refused = await $`${program} registry serve --config ${directory}.yml --data-root ${directory}`
      .nothrow()
      .quiet();
    expect(refused.exitCode).toBe(125);
    expect(refused.stderr.toString()).toContain("refusing plain HTTP");
  });
});

describe("F19: SIGKILL while images are pushed and deleted", () => {
  test("loses nothing that was acknowledged, and lists nothing whose blobs are missing", async () => {
    const acknowledged = new Map<string, string>();
    for (let round = 0; round < 3; round++) {
      let stopped = false;
      const worker = async (number: number) => {
        for (let turn = 0; !stopped; turn++) {
          const tag = `r${round}-${number}-${turn}`;
          try {
            acknowledged.set(tag, await push(open, "crash/app", tag));
          } catch {
            return;
          }
        }
      };
      const workers = [0, 1, 2, 3].map(worker);
      await Bun.sleep(150 + Math.random() * 250);
      await open.kill();
      stopped = true;
      await Promise.all(workers);
      await open.start();
    }
    expect(acknowledged.size).toBeGreaterThan(0);
    for (const [tag, digest] of acknowledged) {
      const reply = await open.fetch(`/v2/crash/app/manifests/${tag}`);
      expect(reply.headers.get("docker-content-digest")).toBe(digest);
    }
    const { tags } = (await (await open.fetch("/v2/crash/app/tags/list")).json()) as { tags: string[] };
    for (const tag of tags) {
      const manifest = (await (await open.fetch(`/v2/crash/app/manifests/${tag}`)).json()) as {
        layers: { digest: string }[];
      };
      for (const layer of manifest.layers) {
        const blob = Buffer.from(
          await (await open.fetch(`/v2/crash/app/blobs/${layer.digest}`)).arrayBuffer(),
        );
        expect(digestOf(blob)).toBe(layer.digest);
      }
    }
  }, 60_000);
});

/** Images: every form that a registry may give them in, content checked inside a container; tags, removal, refusals. */
import { describe, expect, test } from "bun:test";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { ensureImageStorage } from "../fixtures/images.ts";
import { account, digestOf, listen, startRegistry } from "../support/registry.ts";
import { notInOracle, useEngine, withEachClient } from "../support/suite.ts";

const suite = useEngine();

/** Removes all images but busybox:latest. */
async function forgetOthers(): Promise<void> {
  const images = (await suite.engine.call("GET", "/images/json?all=1")) as {
    Id: string;
    RepoTags: string[] | null;
  }[];
  for (const { Id, RepoTags } of images) {
    if (RepoTags?.includes("busybox:latest")) {
      for (const tag of RepoTags.filter((name) => !name.endsWith("busybox:latest")))
        await suite.engine.request("DELETE", `/images/${tag}`);
    } else {
      await suite.engine.request("DELETE", `/images/${Id}?force=1`);
    }
  }
}

withEachClient(suite, "images", (cli) => {
  describe("the application image is the same in every form", () => {
    const checks = "cd / && sha256sum -c app.sha256 > /tmp/sums || grep -v OK$ /tmp/sums; wc -l < /tmp/sums";

    const verified = async (tag: string) => {
      const name = `${suite.registry.host}/app:${tag}`;
      await cli.ok("pull", "-q", name);
      const count = Number(await cli.ok("run", "--rm", name, "sh", "-c", checks));
      expect(count).toBeGreaterThan(4_000);
      const metadata =
        "find app -not -type d -print0 | sort -z | xargs -0 stat -c '%f %u %g %h %n' > /tmp/s; find app -type d -print0 | sort -z | xargs -0 stat -c '%f %u %g %n' >> /tmp/s; sort app.stat > /tmp/want; sort /tmp/s | diff /tmp/want - && echo same";
      const found = await cli("run", "--rm", name, "sh", "-c", metadata);
      expect(found.stdout).toBe("same\n");
      const user = await cli(
        "run",
        "--rm",
        "-u",
        "gina",
        name,
        "sh",
        "-c",
        "cat /app/bin/secret; /app/bin/setuid-cat /app/bin/secret; /app/bin/capable-cat /app/bin/secret",
      );
      expect(user.stdout).toBe("only root may read\nonly root may read\n");
      expect(user.stderr).toMatch(/cat: .*Permission denied/);
      const links =
        "cat /app/links/absolute /app/links/hard-3 /app/to-directory/relative; head -n 1 /app/links/above-root; ls /app/opaque; ls -A /app/removed 2>/dev/null; cat /app/z/removed-later";
      expect(await cli.ok("run", "--rm", name, "sh", "-c", links)).toBe(
        "reached through links\nreached through links\nreached through links\nroot:x:0:0:root:/root:/bin/sh\nnew\nback again, in the third layer",
      );
      await cli.ok("rmi", name);
    };

    test("OCI, gzip", () => verified("latest"));
    test("OCI, no compression", () => verified("plain"));
    test("Docker schema 2", () => verified("docker"));
    notInOracle("20.10 cannot read zstd")("OCI, zstd", () => verified("zstd"));
  });

  test("a Debian works: its package manager knows its packages", async () => {
    const name = `${suite.registry.host}/debian:bookworm`;
    await cli.ok("pull", "-q", name);
    const script =
      "dpkg --verify 2>&1 | head -5; dpkg-query -f '.' -W | wc -c; . /etc/os-release; echo $VERSION_CODENAME; apt-get --version | head -1";
    const [count, codename, apt] = (await cli.ok("run", "--rm", name, "bash", "-c", script)).split("\n");
    expect(Number(count)).toBeGreaterThan(50);
    expect(codename).toBe("bookworm");
    expect(apt).toStartWith("apt ");
    await cli.ok("rmi", name);
  });

  describe("platforms", () => {
    const platform = (name: string, ...args: string[]) =>
      cli("run", "--rm", ...args, name, "cat", "/platform");

    test.each(["latest", "docker"])("of an index (%s) this machine's is taken", async (tag) => {
      expect((await platform(`${suite.registry.host}/multi:${tag}`)).stdout).toBe("amd64\n");
      await forgetOthers();
    });

    test("another one on request", async () => {
      const name = `${suite.registry.host}/multi`;
      await cli.ok("pull", "-q", "--platform", "linux/arm/v7", name);
      expect(await cli.ok("inspect", "--type", "image", "-f", "{{.Architecture}} {{.Variant}}", name)).toBe(
        "arm v7",
      );
      await forgetOthers();
    });

    test("an index without this machine's is an error", async () => {
      const { code, stderr, stdout } = await cli("pull", `${suite.registry.host}/foreign`);
      expect(stderr + stdout).toContain("no matching manifest for linux/amd64");
      expect(code).toBe(1);
    });
  });

  describe("pull", () => {
    test("says what it does, line by line where there is no terminal", async () => {
      const name = `${suite.registry.host}/app:docker`;
      const { stdout } = await cli("pull", name);
      const lines = stdout.trim().split("\n");
      expect(lines[0]).toBe(`docker: Pulling from app`);
      expect(stdout).toMatch(/^[0-9a-f]{12}: Pulling fs layer$/m);
      expect(stdout).toMatch(/^[0-9a-f]{12}: (Pull complete|Already exists)$/m);
      expect(lines.at(-3)).toMatch(/^Digest: sha256:[0-9a-f]{64}$/);
      expect(lines.at(-2)).toBe(`Status: Downloaded newer image for ${name}`);
      expect(lines.at(-1)).toBe(name);
      expect((await cli("pull", name)).stdout).toContain(`Status: Image is up to date for ${name}`);
      await forgetOthers();
    });

    test("shows bars on a terminal", async () => {
      const name = `${suite.registry.host}/app:latest`;
      using client = cli.terminal("pull", name);
      expect(await client.ended()).toBe(0);
      expect(client.screen).toContain("Pull complete");
      expect(client.screen).toContain("\x1b[");
      await forgetOthers();
    });

    test("by digest", async () => {
      const name = `${suite.registry.host}/busybox`;
      const [digest = ""] = /sha256:[0-9a-f]{64}/.exec((await cli("pull", `${name}:next`)).stdout) ?? [];
      await forgetOthers();
      await cli.ok("pull", `${name}@${digest}`);
      expect(
        await cli.ok("inspect", "--type", "image", "-f", "{{json .RepoDigests}}", `${name}@${digest}`),
      ).toBe(`["${name}@${digest}"]`);
      expect(await cli.ok("inspect", "--type", "image", "-f", "{{len .RepoTags}}", `${name}@${digest}`)).toBe(
        "0",
      );
      expect((await cli("run", "--rm", `${name}@${digest}`, "true")).code).toBe(0);
      await forgetOthers();
    });

    test("what is not there, and where nobody is", async () => {
      const missing = await cli("pull", `${suite.registry.host}/busybox:no-such-tag`);
      expect(missing.stderr + missing.stdout).toMatch(/manifest (for \S+ not found: manifest )?unknown/);
      expect(missing.code).toBe(1);
      const nobody = await cli("pull", "127.0.0.1:1/busybox");
      expect(nobody.stderr + nobody.stdout).toContain("connection refused");
      expect(nobody.code).toBe(1);
    });

    test("of a name that is none", async () => {
      const { code, stderr } = await cli("pull", "Not/A:Name:x");
      expect(stderr).toContain("invalid reference format");
      expect(code).toBe(1);
    });

    test("layers that are there are not fetched again", async () => {
      await cli.ok("pull", `${suite.registry.host}/app:latest`);
      const before = suite.registry.log().match(/GET \/v2\/busybox\/blobs/g)?.length ?? 0;
      await cli.ok("pull", `${suite.registry.host}/busybox:1.35`);
      expect(suite.registry.log().match(/GET \/v2\/busybox\/blobs/g)?.length ?? 0).toBe(before);
      await forgetOthers();
    });

    test("-a pulls every tag", async () => {
      await cli.ok("pull", "-a", "-q", `${suite.registry.host}/busybox`);
      const tags = await cli.ok("images", "--format", "{{.Tag}}", `${suite.registry.host}/busybox`);
      expect(tags.split("\n").sort()).toEqual(["1.35", "docker", "latest", "next"]);
      await forgetOthers();
    });
  });

  describe("list, tag, inspect, remove", () => {
    test("images prints Docker's columns", async () => {
      await forgetOthers();
      const [head = "", line = ""] = (await cli.ok("images", "busybox")).split("\n");
      expect(head).toMatch(/^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE$/);
      expect(line).toMatch(/^busybox +latest +[0-9a-f]{12} +.+ago +\d+(\.\d+)?MB$/);
    });

    test("filters, -q, --digests, --no-trunc", async () => {
      await cli.ok("pull", "-q", `${suite.registry.host}/busybox:next`);
      expect(await cli.ok("images", "-f", "label=next=yes", "--format", "{{.Tag}}")).toBe("next");
      expect(await cli.ok("images", "-f", "reference=*/busybox:n*", "--format", "{{.Tag}}")).toBe("next");
      expect(await cli.ok("images", "-q", "--no-trunc", "busybox:latest")).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect(await cli.ok("images", "--digests", "--format", "{{.Repository}}:{{.Tag}} {{.Digest}}")).toMatch(
        /\/busybox:next sha256:[0-9a-f]{64}/,
      );
      await forgetOthers();
    });

    test("tag gives another name to the same image; rmi takes names, then the image", async () => {
      await forgetOthers();
      await cli.ok("pull", "-q", `${suite.registry.host}/busybox:next`);
      const id = await cli.ok("images", "-q", "--no-trunc", `${suite.registry.host}/busybox:next`);
      await cli.ok("tag", `${suite.registry.host}/busybox:next`, "mine:1");
      await cli.ok("tag", id, "mine:2");
      const conflict = await cli("rmi", id);
      expect(conflict.stderr).toContain("image is referenced in multiple repositories");
      expect(conflict.code).toBe(1);
      expect(await cli.ok("rmi", "mine:1")).toBe("Untagged: mine:1");
      await cli.ok("rmi", `${suite.registry.host}/busybox:next`);
      const last = await cli.ok("rmi", "mine:2");
      expect(last).toContain("Untagged: mine:2");
      expect(last).toContain(`Deleted: ${id}`);
      expect((await cli("rmi", "mine:2")).stderr).toContain("No such image: mine:2");
    });

    test("an image in use by a container stays unless forced", async () => {
      await cli.ok("pull", "-q", `${suite.registry.host}/busybox:next`);
      const name = `${suite.registry.host}/busybox:next`;
      const container = await cli.ok("create", name);
      const { code, stderr } = await cli("rmi", name);
      expect(stderr).toMatch(/conflict: unable to (remove repository reference|delete)/);
      expect(stderr).toContain(container.slice(0, 12));
      expect(code).toBe(1);
      expect(await cli.ok("rmi", "-f", name)).toContain(`Untagged: ${name}`);
      await cli.ok("start", "-a", container);
      await cli.ok("rm", container);
      await forgetOthers();
    });

    test("inspect", async () => {
      const [found] = JSON.parse(await cli.ok("inspect", "--type", "image", "busybox"));
      expect(found).toMatchObject({
        Id: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
        RepoTags: expect.arrayContaining(["busybox:latest"]),
        Architecture: "amd64",
        Os: "linux",
        Config: { Cmd: ["sh"] },
        RootFS: { Type: "layers", Layers: [expect.stringMatching(/^sha256:/)] },
      });
      expect(found.Size).toBeGreaterThan(1_000_000);
      expect(Date.parse(found.Created)).toBe(Date.parse("2026-01-02T03:04:05Z"));
    });

    test("history through the API", async () => {
      const history = await suite.engine.call("GET", "/images/busybox/history");
      expect(history).toHaveLength(1);
      expect(history[0]).toMatchObject({
        CreatedBy: "layer 0",
        Tags: expect.arrayContaining(["busybox:latest"]),
      });
    });

    test("a tag of nothing, and a bad name", async () => {
      expect((await cli("tag", "nothing-here", "x")).stderr).toContain("No such image: nothing-here");
      expect((await cli("tag", "busybox", "UPPER")).code).toBe(1);
    });
  });
});

describe("registries that ask who it is", () => {
  /** Docker's clients send URL-safe base64 with its padding. */
  const credentials = (password: string) => {
    const json = JSON.stringify({ username: account.username, password });
    return {
      "X-Registry-Auth": Buffer.from(json).toString("base64").replaceAll("+", "-").replaceAll("/", "_"),
    };
  };

  test.each(["htpasswd", "token"] as const)("%s: with the right password only", async (auth) => {
    await using registry = await startRegistry({ storage: await ensureImageStorage(), auth });
    const path = `/images/create?fromImage=${registry.host}/private/busybox&tag=latest`;
    const pulled = async (headers: Record<string, string>) =>
      (await suite.engine.request("POST", path, { headers })).text;
    expect(await pulled({})).toMatch(/no basic auth credentials|unauthorized|denied/);
    expect(await pulled(credentials("wrong"))).toMatch(/unauthorized|denied|Unauthorized/);
    expect(await pulled(credentials(account.password))).toContain("Downloaded newer image");
    await forgetOthers();
  });

  test("token: anonymous where the registry allows it", async () => {
    await using registry = await startRegistry({ storage: await ensureImageStorage(), auth: "token" });
    expect(await suite.engine.pull(`${registry.host}/busybox:next`)).toContain("Downloaded newer image");
    await forgetOthers();
  });

  notInOracle("20.10 answers 500 to a wrong password")("POST /auth checks credentials", async () => {
    await using registry = await startRegistry({ storage: await ensureImageStorage(), auth: "htpasswd" });
    const login = (password: string) =>
      suite.engine.request("POST", "/auth", {
        body: { username: account.username, password, serveraddress: `http://${registry.host}` },
      });
    const good = await login(account.password);
    expect([good.status, good.json().Status]).toEqual([200, "Login Succeeded"]);
    expect((await login("wrong")).status).toBe(401);
  });
});

/** A registry that serves what it is told, right or wrong. */
async function startBadRegistry(
  answer: (path: string, reply: ServerResponse, request: IncomingMessage) => boolean,
) {
  const server = createServer((request, reply) => {
    if (request.url === "/v2/") reply.writeHead(200).end("{}");
    else if (!answer(request.url ?? "", reply, request))
      reply.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}');
  });
  const port = await listen(server);
  return {
    host: `127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** An image of one layer as documents; `tamper` changes what is served under a digest. */
function servedImage(tar: Uint8Array, tamper: { layer?: (bytes: Buffer) => Buffer; diffId?: string } = {}) {
  const layer = gzipSync(tar);
  const config = Buffer.from(
    JSON.stringify({
      architecture: "amd64",
      os: "linux",
      config: {},
      rootfs: { type: "layers", diff_ids: [tamper.diffId ?? digestOf(tar)] },
    }),
  );
  const descriptor = (mediaType: string, bytes: Buffer) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  });
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config: descriptor("application/vnd.oci.image.config.v1+json", config),
      layers: [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
    }),
  );
  return (path: string, reply: ServerResponse): boolean => {
    const bytes = path.includes("/manifests/")
      ? manifest
      : path.endsWith(digestOf(config))
        ? config
        : path.endsWith(digestOf(layer))
          ? (tamper.layer?.(layer) ?? layer)
          : undefined;
    if (!bytes) return false;
    reply.writeHead(200, {
      "Content-Type": path.includes("/manifests/") ? mediaType : "application/octet-stream",
      "Content-Length": bytes.length,
    });
    reply.end(bytes);
    return true;
  };
}

/** A ustar entry. */
function tarEntry(name: string, type: "0" | "1" | "2" | "5", content = "", link = ""): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write("0000755\0", 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000000\0", 136);
  header.write("        ", 148);
  header.write(type, 156);
  header.write(link, 157);
  header.write("ustar\x0000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  body.write(content);
  return Buffer.concat([header, body]);
}

const tarEnd = Buffer.alloc(1024);

describe("registries and layers that lie", () => {
  const refused = async (answer: Parameters<typeof startBadRegistry>[0]): Promise<string> => {
    await using registry = await startBadRegistry(answer);
    const { text, status } = await suite.engine.request(
      "POST",
      `/images/create?fromImage=${registry.host}/bad&tag=latest`,
    );
    expect(status >= 400 || text.includes('"errorDetail"')).toBe(true);
    expect((await suite.engine.request("GET", `/images/${registry.host}/bad:latest/json`)).status).toBe(404);
    expect(await suite.engine.answers()).toBe(true);
    return text;
  };
  const good = Buffer.concat([tarEntry("file", "0", "hello"), tarEnd]);

  test("a layer with one flipped byte", async () => {
    const flipped = (bytes: Buffer) => {
      const copy = Buffer.from(bytes);
      copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
      return copy;
    };
    await refused(servedImage(good, { layer: flipped }));
  });

  test("a layer that is too short, and one that is too long", async () => {
    await refused(servedImage(good, { layer: (bytes) => bytes.subarray(0, 20) }));
    await refused(servedImage(good, { layer: (bytes) => Buffer.concat([bytes, Buffer.from("more")]) }));
  });

  test("a layer whose content is not the config's diffID", async () => {
    await refused(servedImage(good, { diffId: digestOf("something else") }));
  });

  notInOracle("20.10 falls over null and hangs up")(
    "a manifest that is no JSON, empty, or of 8 MiB",
    async () => {
      for (const body of ["{", "", "null", "[]", `{"x":"${"y".repeat(8 << 20)}"}`]) {
        await refused((path, reply) => {
          if (!path.includes("/manifests/")) return false;
          reply.writeHead(200, { "Content-Type": "application/vnd.oci.image.manifest.v1+json" }).end(body);
          return true;
        });
      }
    },
  );

  test("a connection that breaks in the middle of a layer, every time", async () => {
    const serve = servedImage(Buffer.concat([tarEntry("file", "0", "never seen before"), tarEnd]));
    await refused((path, reply) => {
      if (!path.includes("/blobs/")) return serve(path, reply);
      reply.writeHead(200, { "Content-Length": 1000 });
      reply.write("x");
      setTimeout(() => reply.destroy(), 10);
      return true;
    });
  }, 120_000);

  const outside = "/tmp/gantry-escape-test";
  const hostile: [string, Buffer[]][] = [
    ["..", [tarEntry("../../../../../../../../..".concat(outside), "0", "escaped")]],
    ["an absolute path", [tarEntry(outside, "0", "escaped")]],
    [
      "a symlink, then a file through it",
      [tarEntry("link", "2", "", "/tmp"), tarEntry("link/gantry-escape-test", "0", "escaped")],
    ],
    [
      "a relative symlink out",
      [
        tarEntry("a/", "5"),
        tarEntry("a/link", "2", "", "../../../../../../../../../tmp"),
        tarEntry("a/link/gantry-escape-test", "0", "escaped"),
      ],
    ],
    ["a hard link to a file of the host", [tarEntry("shadow", "1", "", "/etc/hostname")]],
    ["a hard link with ..", [tarEntry("shadow", "1", "", "../../../../../../../../etc/hostname")]],
  ];

  test.each(hostile)("a layer with %s touches nothing outside", async (_name, entries) => {
    const before = await Bun.$`stat -c '%i %h %Y' /etc/hostname`.text();
    await using registry = await startBadRegistry(servedImage(Buffer.concat([...entries, tarEnd])));
    await suite.engine.request("POST", `/images/create?fromImage=${registry.host}/hostile&tag=latest`);
    expect(await Bun.file(outside).exists()).toBe(false);
    expect(await Bun.$`stat -c '%i %h %Y' /etc/hostname`.text()).toBe(before);
    expect(await suite.engine.answers()).toBe(true);
    await forgetOthers();
  });
});

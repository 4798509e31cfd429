/** Images on their way out of an engine and into one: push, save, load, commit, import, with peers that others wrote. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "bun";
import { account, digestOf, startRegistry, type TestRegistry } from "../support/registry.ts";
import { notInOracle, useEngine } from "../support/suite.ts";

let work: string;
let target: TestRegistry;
// Before the suite's own: connections that the engine keeps to it end with it.
afterAll(async () => {
  await target[Symbol.asyncDispose]();
  rmSync(work, { recursive: true, force: true });
});
const suite = useEngine();
const cli = suite.cli("docker");

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), "gantry-transfer-"));
  target = await startRegistry({ storage: join(work, "registry"), writable: true });
});

async function manifestOf(registry: TestRegistry, name: string, tag: string) {
  const accept =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
  const reply = await fetch(`http://${registry.host}/v2/${name}/manifests/${tag}`, { headers: { accept } });
  const bytes = new Uint8Array(await reply.arrayBuffer());
  return { digest: digestOf(bytes), document: JSON.parse(Buffer.from(bytes).toString()) };
}

async function forget(...names: string[]): Promise<void> {
  await cli("rmi", "-f", ...names);
}

describe("push", () => {
  test.each(["latest", "docker", "zstd", "plain"])(
    "gives app:%s its digests as they were pulled",
    async (tag) => {
      const [from, to] = [`${suite.registry.host}/app:${tag}`, `${target.host}/copy/app:${tag}`];
      await cli.ok("pull", "-q", from);
      await cli.ok("tag", from, to);
      const { stdout } = await cli("push", to);
      const before = await manifestOf(suite.registry, "app", tag);
      expect(stdout).toContain(`The push refers to repository [${target.host}/copy/app]`);
      expect(stdout).toMatch(new RegExp(`${tag}: digest: ${before.digest} size: \\d+`));
      expect((await manifestOf(target, "copy/app", tag)).digest).toBe(before.digest);
      await forget(from, to);
    },
  );

  test("sends nothing twice, and mounts what another repository has", async () => {
    const [from, to] = [`${suite.registry.host}/app:docker`, `${target.host}/again/app:1`];
    await cli.ok("pull", "-q", from);
    await cli.ok("tag", from, to);
    expect((await cli("push", to)).stdout).toContain(": Pushed");
    expect((await cli("push", to)).stdout).toContain(": Layer already exists");
    await cli.ok("tag", to, `${target.host}/third/app:1`);
    expect((await cli("push", `${target.host}/third/app:1`)).stdout).toContain(": Mounted from again/app");
    await forget(from, to, `${target.host}/third/app:1`);
  });

  test("of what is not there is an error", async () => {
    const { code, stderr } = await cli("push", `${target.host}/none:1`);
    expect([code, stderr]).toEqual([1, expect.stringContaining("does not exist")]);
  });

  test("of all tags", async () => {
    const repository = `${target.host}/many`;
    for (const tag of ["a", "b"]) await cli.ok("tag", "busybox", `${repository}:${tag}`);
    const { stdout } = await cli("push", "-a", repository);
    expect(stdout).toMatch(/a: digest: [\s\S]*b: digest: /);
    await forget(`${repository}:a`, `${repository}:b`);
  });

  test.each(["htpasswd", "token"] as const)("with an account, %s", async (auth) => {
    await using registry = await startRegistry({ storage: join(work, auth), writable: true, auth });
    const name = `${registry.host}/private/app:1`;
    await cli.ok("tag", "busybox", name);
    const refused = await cli("push", name);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/denied|unauthorized|no basic auth credentials/);
    await cli.with(
      { stdin: account.password },
      "login",
      "-u",
      account.username,
      "--password-stdin",
      registry.host,
    );
    await cli.ok("push", "-q", name);
    await forget(name);
    await cli.ok("pull", "-q", name);
    await forget(name);
  });
});

describe("save and load", () => {
  test("keep digests, names and content; the same images are the same archive", async () => {
    const names = [`${suite.registry.host}/app:docker`, `${suite.registry.host}/app:zstd`];
    for (const name of names) await cli.ok("pull", "-q", name);
    const file = join(work, "two.tar");
    await cli.ok("save", "-o", file, ...names);
    const again = join(work, "again.tar");
    await cli.ok("save", "-o", again, ...names);
    expect(digestOf(readFileSync(again))).toBe(digestOf(readFileSync(file)));
    const ids = await cli.ok("images", "--no-trunc", "-q");
    await forget(...names);
    expect(await cli.ok("load", "-i", file)).toBe(names.map((name) => `Loaded image: ${name}`).join("\n"));
    expect((await cli.ok("images", "--no-trunc", "-q")).split("\n").sort()).toEqual(ids.split("\n").sort());
    const to = `${target.host}/loaded/app:docker`;
    await cli.ok("tag", names[0] ?? "", to);
    await cli.ok("push", "-q", to);
    expect((await manifestOf(target, "loaded/app", "docker")).digest).toBe(
      (await manifestOf(suite.registry, "app", "docker")).digest,
    );
    await forget(...names, to);
  });

  test.each(["gzip", "zstd", "xz", "bzip2"])("an archive compressed with %s is read", async (program) => {
    const archive = await $`${cliCommand("save", "busybox")} | ${program} -c`.quiet().arrayBuffer();
    const loaded = await cli.with({ stdin: new Uint8Array(archive), timeout: 60_000 }, "load");
    expect(loaded.stdout).toBe("Loaded image: busybox:latest\n");
  });

  test("by id an image has no name", async () => {
    const id = await cli.ok("image", "inspect", "-f", "{{.Id}}", "busybox");
    const file = join(work, "id.tar");
    await cli.ok("save", "-o", file, id);
    expect(await cli.ok("load", "-i", file)).toBe(`Loaded image ID: ${id}`);
  });

  test("a Debian keeps its digests through pull, save, load and push", async () => {
    const name = `${suite.registry.host}/debian:bookworm`;
    await cli.ok("pull", "-q", name);
    const file = join(work, "debian.tar");
    await cli.with({ timeout: 120_000 }, "save", "-o", file, name);
    await forget(name);
    await cli.with({ timeout: 120_000 }, "load", "-q", "-i", file);
    const to = `${target.host}/debian:copy`;
    await cli.ok("tag", name, to);
    await cli.with({ timeout: 120_000 }, "push", "-q", to);
    const [before, after] = [
      await manifestOf(suite.registry, "debian", "bookworm"),
      await manifestOf(target, "debian", "copy"),
    ];
    expect(after).toEqual(before);
    await forget(name, to);
    rmSync(file);
  });

  notInOracle("dockerd keeps no archives")(
    "a flipped byte is found, named, and mended by pulling again",
    async () => {
      const name = `${suite.registry.host}/app:docker`;
      await cli.ok("pull", "-q", name);
      const { layers } = (await manifestOf(suite.registry, "app", "docker")).document;
      const digest: string = layers.at(-1).digest;
      const blob = join(suite.engine.dataRoot, "content/blobs/sha256", digest.slice("sha256:".length));
      const flip = () => {
        const bytes = readFileSync(blob);
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
        writeFileSync(blob, bytes);
      };
      flip();
      const file = join(work, "flipped.tar");
      expect((await cli("save", "-o", file, name)).code).toBe(1);
      expect(suite.engine.log()).toContain(digest);
      await cli.ok("pull", "-q", name);
      await cli.ok("save", "-o", file, name);
      flip();
      const to = `${target.host}/flipped/app:1`;
      await cli.ok("tag", name, to);
      const pushed = await cli("push", to);
      expect([pushed.code, pushed.stderr]).toEqual([
        1,
        expect.stringContaining(`${digest} is corrupt on disk`),
      ]);
      await cli.ok("pull", "-q", name);
      await cli.ok("push", "-q", to);
      await forget(name, to);
    },
  );

  const broken: [what: string, archive: () => Promise<Uint8Array>, message: string][] = [
    ["nothing", async () => new Uint8Array(0), "manifest.json"],
    ["noise", async () => new Uint8Array(4096).fill(7), "invalid archive"],
    ["an archive of something else", async () => await tarOf({ hello: "world" }), "manifest.json"],
    [
      "a list that names what is not there",
      async () => await tarOf({ "manifest.json": '[{"Config":"a.json","Layers":[]}]' }),
      "not in it",
    ],
    [
      "a blob that is not what its name says",
      async () => await tarOf({ [`blobs/sha256/${"0".repeat(64)}`]: "x", "manifest.json": "[]" }),
      "has the digest",
    ],
  ];
  notInOracle("its words are its own").each(broken)(
    "%s is refused, and leaves nothing",
    async (_, archive, message) => {
      const { code, stderr, stdout } = await cli.with({ stdin: await archive() }, "load");
      expect(stderr + stdout).toContain(message);
      expect(code).toBe(1);
      expect(await cli.ok("images", "-aq", "--filter", "dangling=true")).toBe("");
    },
  );

  test("of what is not there is an error", async () => {
    const { code, stderr } = await cli("save", "-o", join(work, "none.tar"), "none");
    expect([code, stderr]).toEqual([1, expect.stringContaining("reference does not exist")]);
  });
});

describe("archives of other engines, and for them", () => {
  test("skopeo reads ours, as docker-archive and as OCI layout", async () => {
    const file = join(work, "ours.tar");
    await cli.ok("save", "-o", file, "busybox");
    const id = await cli.ok("image", "inspect", "-f", "{{.Id}}", "busybox");
    for (const transport of ["docker-archive", "oci-archive"]) {
      const config = await $`skopeo inspect --config --raw ${transport}:${file}`.quiet().text();
      expect(JSON.parse(config).rootfs.diff_ids).toEqual(
        JSON.parse(await cli.ok("image", "inspect", "-f", "{{json .RootFS.Layers}}", id)),
      );
    }
  });

  test.each(["docker-archive", "oci-archive"])("skopeo's %s is read", async (transport) => {
    const file = join(work, `skopeo-${transport}.tar`);
    const name = `${suite.registry.host}/app:docker`;
    const reference = transport === "docker-archive" ? ":skopeo/app:1" : ":skopeo/app:1";
    await $`skopeo copy -q --src-tls-verify=false docker://${name} ${transport}:${file}${reference}`.quiet();
    expect(await cli.ok("load", "-q", "-i", file)).toBe("Loaded image: skopeo/app:1");
    expect(
      await cli.ok(
        "run",
        "--rm",
        "skopeo/app:1",
        "sh",
        "-c",
        "cd / && sha256sum -c app.sha256 | grep -cv OK$; true",
      ),
    ).toBe("0");
    await forget("skopeo/app:1");
  });

  const podman = Bun.which("podman");
  test.skipIf(!podman)("podman reads ours, and we read podman's", async () => {
    const file = join(work, "podman.tar");
    await cli.ok("save", "-o", file, "busybox");
    const root = [
      "--root",
      join(work, "podman"),
      "--runroot",
      join(work, "podman-run"),
      "--storage-driver",
      "vfs",
    ];
    try {
      expect(await $`podman ${root} load -q -i ${file}`.quiet().text()).toContain("busybox:latest");
      for (const format of ["docker-archive", "oci-archive"]) {
        const saved = join(work, `podman-${format}.tar`);
        await $`podman ${root} tag busybox:latest example.org/from-podman:1`.quiet();
        await $`podman ${root} save -q --format ${format} -o ${saved} example.org/from-podman:1`.quiet();
        expect(await cli.ok("load", "-q", "-i", saved)).toBe("Loaded image: example.org/from-podman:1");
        await forget("example.org/from-podman:1");
      }
    } finally {
      await $`rm -rf ${join(work, "podman")} ${join(work, "podman-run")}`.quiet();
    }
  });

  /** A current dockerd in a namespace of its own, where the machine has one. */
  const dockerd = process.env.GANTRY_TEST_CURRENT_DOCKERD ?? "";
  test.skipIf(!existsSync(dockerd))("a current dockerd reads ours, and we read its", async () => {
    const there = (...args: string[]) => $`docker -H unix://${dockerd} ${args}`.quiet().text();
    const file = join(work, "for-dockerd.tar");
    await cli.ok("tag", "busybox", "images-transfer:1");
    await cli.ok("save", "-o", file, "images-transfer:1");
    try {
      expect(await there("load", "-q", "-i", file)).toContain("Loaded image: images-transfer:1");
      const id = await cli.ok("image", "inspect", "-f", "{{.Id}}", "busybox");
      expect((await there("image", "inspect", "-f", "{{.Id}}", "images-transfer:1")).trim()).toBe(id);
      const back = join(work, "from-dockerd.tar");
      await there("save", "-o", back, "images-transfer:1");
      await forget("images-transfer:1");
      expect(await cli.ok("load", "-q", "-i", back)).toBe("Loaded image: images-transfer:1");
      expect(await cli.ok("image", "inspect", "-f", "{{.Id}}", "images-transfer:1")).toBe(id);
    } finally {
      await there("rmi", "images-transfer:1").catch(() => "");
      await forget("images-transfer:1");
    }
  });
});

describe("commit", () => {
  test("makes an image of what a container changed", async () => {
    await cli.ok(
      "run",
      "--name",
      "changed",
      "busybox",
      "sh",
      "-c",
      "echo new > /new; rm /bin/vi; mkdir -m 1777 /dir",
    );
    const changes = [
      'CMD ["cat", "/new"]',
      "ENV A=b C=$A",
      "LABEL x=y",
      "EXPOSE 80 9000-9001/udp",
      "USER 1000:100",
      "WORKDIR sub",
      "VOLUME /data",
    ];
    const id = await cli.ok(
      "commit",
      "-a",
      "Somebody <a@b>",
      "-m",
      "why",
      ...changes.flatMap((line) => ["-c", line]),
      "changed",
      "committed:1",
    );
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
    const [image] = JSON.parse(await cli.ok("image", "inspect", "committed:1"));
    expect(image).toMatchObject({ Id: id, Author: "Somebody <a@b>", Comment: "why", Architecture: "amd64" });
    expect(image.Config).toMatchObject({
      Cmd: ["cat", "/new"],
      Labels: { x: "y" },
      ExposedPorts: { "80/tcp": {}, "9000/udp": {}, "9001/udp": {} },
      User: "1000:100",
      WorkingDir: "/sub",
      Volumes: { "/data": {} },
    });
    expect(image.Config.Env).toContain("A=b");
    expect(await cli.ok("run", "--rm", "committed:1")).toBe("new");
    const shown = "ls /bin/vi 2>/dev/null; stat -c %a /dir";
    expect(await cli.ok("run", "--rm", "-u", "0", "committed:1", "sh", "-c", shown)).toBe("1777");
    const [newest = ""] = (
      await cli.ok("history", "--no-trunc", "--format", "{{json .}}", "committed:1")
    ).split("\n");
    const history = JSON.parse(newest);
    expect(history).toMatchObject({ Comment: "why", ID: id });
    await forget("committed:1");
  });

  test("of a container that runs freezes it, and lets it go on", async () => {
    await cli.ok("run", "-d", "--name", "running", "busybox", "sh", "-c", "while :; do date > /now; done");
    await cli.ok("commit", "running", "frozen:1");
    expect(await cli.ok("inspect", "-f", "{{.State.Status}}", "running")).toBe("running");
    await forget("frozen:1");
  });

  test("of nothing has no layer of its own; the same content is the same layer", async () => {
    await cli.ok("create", "--name", "same", "busybox");
    await cli.ok("commit", "same", "same:1");
    const layers = async (name: string) =>
      JSON.parse(await cli.ok("image", "inspect", "-f", "{{json .RootFS.Layers}}", name));
    expect(await layers("same:1")).toEqual(await layers("busybox"));
    const made: string[] = [];
    for (const name of ["first", "second"]) {
      await cli.ok(
        "run",
        "--name",
        name,
        "busybox",
        "sh",
        "-c",
        "mkdir /d; echo 1 > /d/f; ln /d/f /d/g; touch -d @1000000000 /d/f /d /new",
      );
      await cli.ok("commit", name, `same:${name}`);
      made.push((await layers(`same:${name}`)).at(-1));
    }
    expect(new Set(made).size).toBe(1);
    await forget("same:1", "same:first", "same:second");
  });

  test("is pushed, pulled and saved like any other", async () => {
    await cli.ok("run", "--name", "pushed", "busybox", "sh", "-c", "echo committed > /file");
    const name = `${target.host}/committed:1`;
    const id = await cli.ok("commit", "pushed", name);
    const { stdout } = await cli("push", name);
    const [, digest] = /digest: (sha256:\S+)/.exec(stdout) ?? [];
    await cli.ok("rm", "pushed");
    await forget(name);
    await cli.ok("pull", "-q", name);
    expect(await cli.ok("image", "inspect", "-f", "{{.Id}} {{index .RepoDigests 0}}", name)).toBe(
      `${id} ${target.host}/committed@${digest}`,
    );
    expect(await cli.ok("run", "--rm", name, "cat", "/file")).toBe("committed");
    await forget(name);
  });

  test.each([
    ["RUN true", "run is not a valid change command"],
    ["NONSENSE 1", "unknown instruction"],
  ])("with %p is refused", async (change, message) => {
    await cli.ok("create", "--name", "refused", "busybox");
    const { code, stderr } = await cli("commit", "-c", change, "refused");
    expect([code, stderr.toLowerCase()]).toEqual([1, expect.stringContaining(message)]);
  });
});

describe("import", () => {
  test("makes an image of a tree", async () => {
    const tree = join(work, "tree.tar");
    await $`mkdir -p ${work}/tree/bin && cp /bin/busybox ${work}/tree/bin/busybox && ln -sf busybox ${work}/tree/bin/echo && tar -C ${work}/tree -czf ${tree} .`.quiet();
    const id = await cli.ok(
      "import",
      "-m",
      "from a tree",
      "-c",
      'CMD ["/bin/echo", "imported"]',
      tree,
      "imported:1",
    );
    const [image] = JSON.parse(await cli.ok("image", "inspect", "imported:1"));
    expect(image).toMatchObject({
      Id: id,
      Comment: "from a tree",
      Config: { Cmd: ["/bin/echo", "imported"] },
    });
    expect(image.RootFS.Layers).toHaveLength(1);
    const file = join(work, "imported.tar");
    await cli.ok("save", "-o", file, "imported:1");
    await forget("imported:1");
    expect(await cli.ok("load", "-q", "-i", file)).toBe("Loaded image: imported:1");
    expect(await cli.ok("image", "inspect", "-f", "{{.Id}}", "imported:1")).toBe(id);
    await forget("imported:1");
  });

  test("of noise is an error, and leaves nothing", async () => {
    const { code } = await cli.with({ stdin: new Uint8Array(4096).fill(7) }, "import", "-", "noise:1");
    expect(code).toBe(1);
    expect(await cli.ok("images", "-q", "noise")).toBe("");
  });
});

describe("gantry's own commands", () => {
  const own = suite.cli("gantry");

  test("say and do what Docker's do", async () => {
    await own.ok("run", "--name", "own", "busybox", "sh", "-c", "echo own > /own");
    const name = `${target.host}/own:1`;
    const id = await own.ok("commit", "-m", "by gantry", "-c", "ENV OWN=1", "own", name);
    expect(
      await own
        .ok("history", "--format", "{{.ID}} {{.Comment}}", "--no-trunc", name)
        .then((text) => text.split("\n")[0]),
    ).toBe(`${id} by gantry`);
    const table = await Promise.all([own, cli].map((client) => client.ok("history", name)));
    expect(table[0]).toBe(table[1] ?? "");
    const pushed = await own("push", name);
    expect(pushed.stdout).toMatch(/1: digest: sha256:[0-9a-f]{64} size: \d+\n$/);
    const file = join(work, "own.tar");
    await own.ok("save", "-o", file, name);
    await own.ok("rmi", name);
    expect(await own.ok("load", "-i", file)).toBe(`Loaded image: ${name}`);
    expect(await own.ok("image", "inspect", "-f", "{{.Id}}", name)).toBe(id);
    expect(await own.ok("run", "--rm", name, "sh", "-c", "cat /own; echo $OWN")).toBe("own\n1");
    await own.ok("rm", "own");
    await forget(name);
  });

  test("show bars on a terminal", async () => {
    const name = `${target.host}/bars:1`;
    await own.ok("tag", "busybox", name);
    using client = own.terminal("push", name);
    expect(await client.ended()).toBe(0);
    expect(client.screen).toMatch(/Pushed|Layer already exists|Mounted from/);
    await forget(name);
  });

  test("import a tree from standard input", async () => {
    const tree = await tarOf({ hello: "world" });
    const id = (await own.with({ stdin: tree }, "import", "-m", "piped", "-", "piped:1")).stdout.trim();
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await own.ok("image", "inspect", "-f", "{{.Comment}}", "piped:1")).toBe("piped");
    await forget("piped:1");
  });

  notInOracle("dockerd searches an index only")("search a registry by its catalog", async () => {
    const results = await Promise.all(
      [own, cli].map((client) => client.ok("search", `${suite.registry.host}/busy`)),
    );
    expect(results[0]).toContain(`${suite.registry.host}/busybox`);
    expect(results[0]).toBe(results[1] ?? "");
  });

  notInOracle("dockerd counts apparent sizes")("system df agrees with the disk", async () => {
    const name = `${suite.registry.host}/debian:bookworm`;
    await own.ok("pull", "-q", name);
    const { LayersSize } = (await suite.engine.call("GET", "/v1.51/system/df")) as { LayersSize: number };
    const directories = ["layers", "content"].map((directory) => join(suite.engine.dataRoot, directory));
    const used = Number(
      (await $`du -s -B1 -c ${directories}`.quiet().text()).trim().split("\n").at(-1)?.split("\t")[0],
    );
    expect(Math.abs(LayersSize - used) / used).toBeLessThan(0.01);
    const [ours, dockers] = await Promise.all([own, cli].map((client) => client.ok("system", "df")));
    expect(ours).toBe(dockers ?? "");
    expect(await own.ok("system", "df", "-v")).toContain("Images space usage:");
    await forget(name);
  });
});

function cliCommand(...args: string[]): string[] {
  return ["docker", "-H", suite.engine.host, ...args];
}

async function tarOf(files: Readonly<Record<string, string>>): Promise<Uint8Array> {
  const root = mkdtempSync(join(work, "archive-"));
  for (const [name, content] of Object.entries(files)) {
    await $`mkdir -p ${join(root, name, "..")}`.quiet();
    writeFileSync(join(root, name), content);
  }
  return new Uint8Array(await $`tar -C ${root} -cf - .`.quiet().arrayBuffer());
}

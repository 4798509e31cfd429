/** Builds by real clients: what they see while it goes on, and what is in the image. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { $ } from "bun";
import { StatusResponse } from "../../src/builder/protocol/messages/control.ts";
import { useEngine } from "../support/suite.ts";

const suite = useEngine();
let base: string;
let count = 0;

beforeAll(() => {
  base = mkdtempSync("/tmp/build-test-");
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** A directory with these files. */
function context(files: Readonly<Record<string, string>>): string {
  const directory = join(base, String(count++));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  return directory;
}

describe("docker build without BuildKit", () => {
  const docker = () => suite.cli("docker");
  const build = (directory: string, ...args: string[]) =>
    docker().with({ timeout: 60_000 }, "build", ...args, directory);

  test("runs, copies and configures, and tells each step", async () => {
    const directory = context({
      Dockerfile: `FROM busybox
LABEL maker=me
ENV GREETING=hello TWO="a b"
WORKDIR /srv
COPY files/ ./files/
RUN echo "$GREETING" > greeting && cat files/one
EXPOSE 80 81/udp
USER 12:34
ENTRYPOINT ["cat"]
CMD ["greeting"]
`,
      "files/one": "first\n",
      "files/sub/two": "second\n",
      ".dockerignore": "files/sub\n",
    });
    const result = await build(directory, "-t", "classic:one");
    expect(result.stderr).toContain("DEPRECATED: The legacy builder");
    expect(result.code).toBe(0);
    expect(result.stdout).toMatch(/^Sending build context to Docker daemon/);
    expect(result.stdout).toContain("Step 1/10 : FROM busybox\n ---> ");
    expect(result.stdout).toMatch(/Step 6\/10 : RUN .*\n ---> Running in [0-9a-f]{12}\nfirst\n/);
    expect(result.stdout).toMatch(/ ---> Removed intermediate container [0-9a-f]{12}\n ---> [0-9a-f]{12}\n/);
    expect(result.stdout).toMatch(/Successfully built [0-9a-f]{12}\nSuccessfully tagged classic:one\n$/);

    expect(await docker().ok("run", "--rm", "classic:one")).toBe("hello");
    const listing = await docker().ok("run", "--rm", "--entrypoint", "find", "classic:one", "/srv");
    expect(listing.split("\n").sort()).toEqual(["/srv", "/srv/files", "/srv/files/one", "/srv/greeting"]);
    const [image] = JSON.parse(await docker().ok("image", "inspect", "classic:one"));
    expect(image.Config).toMatchObject({
      User: "12:34",
      Env: [expect.stringMatching(/^PATH=/), "GREETING=hello", "TWO=a b"],
      Cmd: ["greeting"],
      Entrypoint: ["cat"],
      WorkingDir: "/srv",
      Labels: { maker: "me" },
      ExposedPorts: { "80/tcp": {}, "81/udp": {} },
    });
    const history = await docker().ok("history", "--no-trunc", "--format", "{{.CreatedBy}}", "classic:one");
    expect(history.split("\n").slice(0, 3)).toEqual([
      '/bin/sh -c #(nop)  CMD ["greeting"]',
      '/bin/sh -c #(nop)  ENTRYPOINT ["cat"]',
      "/bin/sh -c #(nop)  USER 12:34",
    ]);
  });

  test("again uses the cache up to what changed, and steps are hidden from the list", async () => {
    const directory = context({
      Dockerfile: "FROM busybox\nRUN echo slow > /slow\nCOPY a /a\nRUN cat /a\n",
      a: "1",
    });
    const first = await build(directory, "-q", "-t", "classic:cache");
    const again = await build(directory, "-t", "classic:cache");
    expect(again.stdout.match(/Using cache/g)).toHaveLength(3);
    expect(await docker().ok("images", "-q", "--no-trunc", "classic:cache")).toBe(first.stdout.trim());
    writeFileSync(join(directory, "a"), "2");
    const changed = await build(directory, "-t", "classic:cache");
    expect(changed.stdout.match(/Using cache/g)).toHaveLength(1);
    const without = await build(directory, "--no-cache");
    expect(without.stdout).not.toContain("Using cache");
    const listed = await docker().ok("images", "-q");
    const all = await docker().ok("images", "-aq");
    expect(all.split("\n").length).toBeGreaterThan(listed.split("\n").length);
  });

  test("stages, arguments and targets", async () => {
    const directory = context({
      Dockerfile: `ARG BASE=nowhere
FROM $BASE AS build
ARG WHAT=default
ARG EMPTY
RUN echo "$WHAT$EMPTY" > /out && chown 5:6 /out
FROM scratch AS unused-but-run
COPY --from=build /out /out
FROM busybox
COPY --from=build --chown=7:8 /out /a
COPY --from=0 /out /b
COPY --from=busybox /bin/true /t
RUN stat -c %u:%g /a /b
`,
    });
    const args = ["--build-arg", "BASE=busybox", "--build-arg", "WHAT=given", "--build-arg", "NOBODY=1"];
    const result = await build(directory, "-t", "classic:stages", ...args);
    expect(result.stdout).toContain("7:8\n5:6\n");
    expect(result.stdout).toContain("[Warning] One or more build-args [NOBODY] were not consumed");
    expect(await docker().ok("run", "--rm", "classic:stages", "cat", "/a")).toBe("given");
    const target = await build(directory, "--target", "build", "-t", "classic:target", ...args);
    expect(target.stdout).toContain("Step 5/5 : RUN");
    expect((await build(directory, "--target", "none", ...args)).stderr).toContain(
      'target stage "none" could not be found',
    );
  });

  test("failures name what is wrong, with the program's exit code", async () => {
    const failing = await build(context({ Dockerfile: "FROM busybox\nRUN echo before; exit 7\n" }));
    expect(failing.code).toBe(7);
    expect(failing.stdout).toContain("before");
    expect(failing.stderr).toContain(
      "The command '/bin/sh -c echo before; exit 7' returned a non-zero code: 7",
    );
    const missing = await build(context({ Dockerfile: "FROM busybox\nCOPY nothing /x\n" }));
    expect(missing.stderr).toContain(
      "COPY failed: file not found in build context or excluded by .dockerignore: stat nothing: file does not exist",
    );
    const unknown = await build(context({ Dockerfile: "FROM busybox\nRUNN x\n" }));
    expect(unknown.stderr).toContain("dockerfile parse error on line 2: unknown instruction: RUNN");
    const mount = await build(
      context({ Dockerfile: "FROM busybox\nRUN --mount=type=tmpfs,target=/x true\n" }),
    );
    expect(mount.stderr).toContain("the --mount option requires BuildKit");
    const none = await build(context({ Dockerfile: `FROM ${suite.registry.host}/none:none\n` }));
    expect(none.stderr).toContain("not found");
  });

  test("a Dockerfile alone comes by standard input", async () => {
    const result = await docker().with({ stdin: "FROM busybox\nRUN echo alone > /x\n" }, "build", "-q", "-");
    expect(await docker().ok("run", "--rm", result.stdout.trim(), "cat", "/x")).toBe("alone");
  });

  test("triggers run in the image that is built on top", async () => {
    const directory = context({
      Dockerfile: "FROM busybox\nONBUILD COPY f /f\nONBUILD RUN cat /f\n",
      f: "trigger\n",
    });
    await build(directory, "-t", "classic:onbuild");
    writeFileSync(join(directory, "Dockerfile"), "FROM classic:onbuild\nENV A=b\n");
    const result = await build(directory);
    expect(result.stdout).toContain("# Executing 2 build triggers");
    expect(result.stdout).toContain("trigger\n");
  });

  test("networks, hosts and limits are those of the request", async () => {
    await docker().ok("network", "create", "build-net");
    const directory = context({
      Dockerfile: "FROM busybox\nRUN cat /etc/hosts; ip -o addr | wc -l; ulimit -n\n",
    });
    const args = ["--network", "none", "--add-host", "extra:1.2.3.4", "--ulimit", "nofile=123:456"];
    const none = await build(directory, "--no-cache", ...args);
    expect(none.stdout).toContain("1.2.3.4\textra");
    expect(none.stdout).toContain("\n2\n123\n");
    const named = await build(directory, "--no-cache", "--network", "build-net");
    expect(named.code).toBe(0);
  });

  test("a build that the client leaves is over, and leaves nothing", async () => {
    const directory = context({ Dockerfile: "FROM busybox\nRUN echo up; sleep 1000\n" });
    const leaving = docker().spawn("build", "--no-cache", directory);
    await leaving.shows("up\n");
    leaving.signal("SIGINT");
    await leaving.ended();
    expect(await docker().ok("ps", "-aq")).toBe("");
  });
});

describe("a build through the solver", () => {
  interface Result {
    readonly id: string;
    readonly error: string;
    readonly log: string;
    /** Names of vertices that ran, and of those that did not have to. */
    readonly ran: readonly string[];
    readonly cached: readonly string[];
    readonly warnings: readonly string[];
  }

  async function build(directory: string, query = ""): Promise<Result> {
    const archive = await $`tar -C ${directory} -cf - .`.arrayBuffer();
    const reply = await suite.engine.request("POST", `/build?version=2&${query}`, {
      body: new Uint8Array(archive),
      timeout: 60_000,
    });
    const messages = reply.text.split("\n").flatMap((line) => (line.trim() === "" ? [] : [JSON.parse(line)]));
    const traces = messages.flatMap(({ id, aux }) =>
      id === "moby.buildkit.trace" ? [StatusResponse.decode(Buffer.from(aux, "base64"))] : [],
    );
    const done = new Map(
      traces.flatMap(({ vertexes }) => vertexes.map((vertex) => [vertex.digest, vertex] as const)),
    );
    const texts = traces.flatMap(({ logs }) => logs.map(({ msg }) => Buffer.from(msg).toString()));
    return {
      id: messages.find(({ id }) => id === "moby.image.id")?.aux.ID ?? "",
      error: messages.find(({ error }) => error)?.error ?? "",
      log: texts.join(""),
      warnings: traces.flatMap(({ warnings }) => warnings.map(({ short }) => Buffer.from(short).toString())),
      ran: [...done.values()].filter(({ cached }) => !cached).map(({ name }) => name),
      cached: [...done.values()].filter(({ cached }) => cached).map(({ name }) => name),
    };
  }

  const docker = () => suite.cli("docker");
  const steps = (names: readonly string[]) => names.filter((name) => /\d\/\d\]/.test(name));

  test("knows all of the language, and runs again only what changed", async () => {
    const directory = context({
      Dockerfile: `# syntax=docker/dockerfile:1
FROM busybox AS build
WORKDIR /w
COPY a sub ./
RUN --mount=type=cache,target=/cache --mount=type=bind,source=sub,target=/s --mount=type=tmpfs,target=/t \\
  cat a /s/b > out; grep -c ' /t ' /proc/mounts
RUN <<EOT
echo heredoc >> out
EOT
FROM busybox
COPY --from=build --chown=3:4 --chmod=640 /w/out /out
COPY --link a /linked
RUN stat -c %u:%g:%a /out; ls -d /cache /s /t 2>/dev/null; cat /linked
CMD ["cat", "/out"]
`,
      a: "one\n",
      "sub/b": "two\n",
    });
    const first = await build(directory, "t=kit:one");
    expect(first.error).toBe("");
    expect(first.log).toContain("3:4:640\none\n");
    expect(await docker().ok("run", "--rm", "-u", "0", "kit:one")).toBe("one\ntwo\nheredoc");

    const again = await build(directory, "t=kit:one");
    expect(again.id).toBe(first.id);
    expect(steps(again.ran)).toEqual([]);

    await suite.engine.restart();
    expect((await build(directory, "t=kit:one")).id).toBe(first.id);

    writeFileSync(join(directory, "a"), "changed\n");
    const changed = await build(directory, "t=kit:one");
    expect(steps(changed.cached).join()).toContain("WORKDIR /w");
    expect(steps(changed.ran).join()).toContain("COPY a sub ./");
    expect(await docker().ok("run", "--rm", "-u", "0", "kit:one")).toBe("changed\ntwo\nheredoc");
  });

  test("equal steps of builds at the same time run once", async () => {
    const directory = context({
      Dockerfile: "FROM busybox\nRUN sleep 1; cat /proc/sys/kernel/random/uuid > /u\n",
    });
    const [one, two] = await Promise.all([build(directory, "t=kit:a"), build(directory, "t=kit:b")]);
    expect([one.error, two.error]).toEqual(["", ""]);
    const read = (name: string) => docker().ok("run", "--rm", name, "cat", "/u");
    expect(await read("kit:a")).toBe(await read("kit:b"));
  });

  test("fails with the step's words, and does not keep what failed", async () => {
    const failing = await build(context({ Dockerfile: "FROM busybox\nRUN echo said; exit 3\n" }));
    expect(failing.error).toContain(
      'process "/bin/sh -c echo said; exit 3" did not complete successfully: exit code: 3',
    );
    expect(failing.log).toContain("said\n");
    const missing = await build(context({ Dockerfile: "FROM busybox\nCOPY nothing /\n" }));
    expect(missing.error).toContain('"/nothing": not found');
  });

  test("results stay when their image goes", async () => {
    const directory = context({ Dockerfile: "FROM busybox\nRUN echo kept > /kept\n" });
    await build(directory, "t=kit:kept");
    await docker().ok("rmi", "kit:kept");
    const again = await build(directory, "t=kit:kept");
    expect(steps(again.ran)).toEqual([]);
    expect(await docker().ok("run", "--rm", "kit:kept", "cat", "/kept")).toBe("kept");
  });

  test("what is kept is listed, and goes when it is pruned, unless an image has it", async () => {
    const directory = context({
      Dockerfile: `FROM busybox
RUN --mount=type=cache,target=/c head -c 100000 /dev/zero > /c/f; head -c 200000 /dev/zero > /kept
COPY a /a
`,
      a: "a\n",
    });
    await build(directory, "t=kit:pruned");
    const usage = async () =>
      (await suite.engine.call("GET", "/v1.51/system/df?type=build-cache")) as {
        BuildCache: {
          Type: string;
          Description: string;
          Size: number;
          Shared: boolean;
          Parents?: string[];
        }[];
      };
    const before = (await usage()).BuildCache;
    const mount = before.find(({ Description }) => Description === "cached mount /c");
    expect(mount?.Size).toBeGreaterThanOrEqual(100_000);
    expect(before.some(({ Shared, Parents }) => Shared && Parents?.length === 1)).toBe(true);
    const none = encodeURIComponent(JSON.stringify({ label: ["any"] }));
    expect(await suite.engine.call("POST", `/build/prune?filters=${none}`)).toEqual({
      ...{ CachesDeleted: null, SpaceReclaimed: 0 },
    });

    const mounts = encodeURIComponent(JSON.stringify({ type: ["exec.cachemount"] }));
    const pruned = (await suite.engine.call("POST", `/build/prune?filters=${mounts}`)) as {
      SpaceReclaimed: number;
    };
    expect(pruned.SpaceReclaimed).toBeGreaterThanOrEqual(100_000);
    expect((await usage()).BuildCache.map(({ Type }) => Type)).not.toContain("exec.cachemount");

    await docker().ok("rmi", "kit:pruned");
    expect(await docker().ok("builder", "prune", "-af")).toContain("Total reclaimed space: ");
    expect((await usage()).BuildCache).toEqual([]);
    const again = await build(directory, "t=kit:pruned");
    expect(steps(again.cached).join()).not.toContain("RUN");
    await docker().ok("system", "prune", "-f");
  });

  test("options that are not done are refused by name, or told of", async () => {
    const directory = context({ Dockerfile: "FROM busybox\nRUN true\n" });
    const outputs = encodeURIComponent(JSON.stringify([{ Type: "moby", Attrs: { compression: "zstd" } }]));
    const archive = await $`tar -C ${directory} -cf - .`.arrayBuffer();
    const refused = await suite.engine.request("POST", `/build?version=2&outputs=${outputs}`, {
      body: new Uint8Array(archive),
    });
    expect(refused.text).toContain("the option compression=zstd of the exporter moby is not implemented");
    const args = encodeURIComponent(JSON.stringify({ BUILDKIT_INLINE_CACHE: "1" }));
    const told = await build(
      directory,
      `t=kit:inline&buildargs=${args}&cachefrom=${encodeURIComponent('["a:b"]')}`,
    );
    expect(told.error).toBe("");
    expect(told.warnings.join()).toContain("inline build cache was not written");
    expect(told.warnings.join()).toContain("type=registry a:b was not read");
  });
});

/**
 * Real clients of BuildKit's protocol: buildx and Compose over `/grpc`, docker CLI 20.10 over `/session`. Each is skipped
 * where it is not there.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { useEngine } from "../support/suite.ts";

const programs = {
  buildx: process.env.GANTRY_TEST_BUILDX ?? "",
  compose: process.env.GANTRY_TEST_COMPOSE ?? "",
  docker20: process.env.GANTRY_TEST_DOCKER_20 ?? "",
};
const absent = (...names: (keyof typeof programs)[]) => names.some((name) => !existsSync(programs[name]));

const suite = useEngine();
let base: string;
let count = 0;

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), "buildkit-test-"));
  const plugins = join(base, "home/.docker/cli-plugins");
  mkdirSync(plugins, { recursive: true });
  if (!absent("buildx")) copyFileSync(programs.buildx, join(plugins, "docker-buildx"));
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

interface Output {
  readonly code: number;
  readonly stdout: string;
  /** Both, as progress goes to one and results to the other. */
  readonly all: string;
}

async function run(
  program: keyof typeof programs,
  cwd: string,
  args: readonly string[],
  stdin?: Uint8Array,
): Promise<Output> {
  const child = Bun.spawn([programs[program], ...args], {
    cwd,
    stdin: stdin ?? "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: {
      PATH: process.env.PATH ?? "",
      HOME: join(base, "home"),
      DOCKER_HOST: suite.engine.host,
      DOCKER_BUILDKIT: "1",
      BUILDX_NO_DEFAULT_ATTESTATIONS: "1",
    },
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, all: stdout + stderr };
}

const app = {
  Dockerfile: `# syntax=docker/dockerfile:1
FROM busybox AS one
ARG V=1
RUN --mount=type=cache,target=/c echo $V >> /c/x && cat /c/x > /out
RUN --mount=type=secret,id=s wc -c < /run/secrets/s >> /out
COPY <<EOF /here
v=$V
EOF
FROM busybox
WORKDIR /w
COPY --from=one /out /here ./
COPY --link --chown=1:2 a.txt b/
RUN --mount=type=bind,target=/ctx test ! -e /ctx/ignored
CMD ["cat", "out", "here", "b/a.txt"]
`,
  ".dockerignore": "ignored\n",
  "a.txt": "hi\n",
  s: "secret",
  ignored: "x",
};
const SHOWN = "1\n6\nv=1\nhi";
const cat = (image: string) => suite.cli("docker").ok("run", "--rm", image);

describe.skipIf(absent("buildx"))("buildx", () => {
  const build = (directory: string, ...args: string[]) =>
    run("buildx", directory, ["build", "--progress=plain", "--secret", "id=s,src=s", ...args, "."]);

  test("builds stages with mounts, secrets and here-documents; a second time from the cache", async () => {
    const directory = context(app);
    const first = await build(directory, "-t", "bx:1", "--metadata-file", join(base, "meta"));
    expect(first.all).toContain("[one 2/4] RUN --mount=type=cache");
    expect(first.code).toBe(0);
    expect(await cat("bx:1")).toBe(SHOWN);
    const second = await build(directory, "-t", "bx:2", "--metadata-file", join(base, "meta2"));
    expect(second.all).toContain("CACHED");
    const digestOf = (name: string) =>
      (JSON.parse(readFileSync(join(base, name), "utf8")) as Record<string, unknown>)[
        "containerimage.digest"
      ];
    expect(digestOf("meta2")).toBe(digestOf("meta"));
  }, 120_000);

  test("gives files to the client", async () => {
    const directory = context(app);
    expect((await build(directory, "--output", "type=local,dest=out")).code).toBe(0);
    expect(readFileSync(join(directory, "out/w/b/a.txt"), "utf8")).toBe("hi\n");
  }, 60_000);

  test("shows where a Dockerfile is wrong, and which step failed", async () => {
    const wrong = await build(context({ ...app, Dockerfile: "FROM busybox\nCOPPY a b\n" }));
    expect(wrong.code).toBe(1);
    expect(wrong.all).toContain("   2 | >>> COPPY a b\n");
    expect(wrong.all).toContain("unknown instruction: COPPY (did you mean COPY?)");
    const failed = await build(context({ ...app, Dockerfile: "FROM busybox\nRUN echo out; exit 3\n" }));
    expect(failed.all).toContain("   2 | >>> RUN echo out; exit 3\n");
    expect(failed.all).toContain(
      'process "/bin/sh -c echo out; exit 3" did not complete successfully: exit code: 3',
    );
  }, 60_000);

  test("asks for checks, outlines and targets", async () => {
    const directory = context({ ...app, Dockerfile: "# x the x\nFROM scratch as x\nARG A=1\nWORKDIR rel\n" });
    const check = await run("buildx", directory, ["build", "--check", "."]);
    expect(check.stdout).toContain("Check complete, 2 warnings have been found!");
    expect(check.stdout).toContain(
      "WARNING: WorkdirRelativePath - https://docs.docker.com/go/dockerfile/rule/",
    );
    const outline = await run("buildx", directory, ["build", "--call=outline", "."]);
    expect(outline.stdout).toMatch(/TARGET: +x\nDESCRIPTION: the x\n/);
    const targets = await run("buildx", directory, ["build", "--call=targets", "."]);
    expect(targets.stdout).toMatch(/x \(default\) +the x/);
  }, 60_000);

  test("bakes targets that start from one another", async () => {
    const directory = context({
      "docker-bake.hcl": `group "default" {
  targets = ["b"]
}
target "a" {
  dockerfile-inline = "FROM busybox\\nRUN echo inner > /i"
}
target "b" {
  dockerfile-inline = "FROM base\\nCMD cat /i"
  contexts = { base = "target:a" }
  tags = ["baked:1"]
}
`,
    });
    const { code, all } = await run("buildx", directory, ["bake", "--progress=plain"]);
    expect(all).toContain("RUN echo inner > /i");
    expect(code).toBe(0);
    expect(await cat("baked:1")).toBe("inner");
  }, 60_000);

  test("lists what is kept and what was built", async () => {
    expect((await run("buildx", base, ["du"])).all).toMatch(/Total:\s+\d/);
    expect((await run("buildx", base, ["history", "ls"])).all).toContain("Completed");
  }, 60_000);
});

describe.skipIf(absent("buildx", "compose"))("Compose", () => {
  test("builds a service with its secrets", async () => {
    const directory = context({
      ...app,
      "compose.yaml":
        "name: made\nservices:\n  s:\n    build: {context: ., secrets: [s]}\nsecrets: {s: {file: ./s}}\n",
    });
    const { code, all } = await run("compose", directory, ["--progress", "plain", "build"]);
    expect(all).toContain("exporting to image");
    expect(code).toBe(0);
    expect(await cat("made-s")).toBe(SHOWN);
  }, 120_000);
});

describe.skipIf(absent("docker20"))("docker CLI 20.10", () => {
  test("builds a directory with its session", async () => {
    const directory = context(app);
    const args = ["build", "--progress=plain", "--secret", "id=s,src=s", "-t", "d20:1", "."];
    const { code, all } = await run("docker20", directory, args);
    expect(all).toContain("[one 2/4] RUN --mount=type=cache");
    expect(code).toBe(0);
    expect(await cat("d20:1")).toBe(SHOWN);
  }, 120_000);

  test("builds an archive that comes in a request of its own", async () => {
    const directory = context({
      Dockerfile: "FROM busybox\nCOPY a.txt /\nCMD cat /a.txt\n",
      "a.txt": "hi\n",
    });
    const archive = Bun.spawn(["tar", "c", "."], { cwd: directory, stdout: "pipe" });
    const stdin = new Uint8Array(await new Response(archive.stdout).arrayBuffer());
    const { code, all } = await run(
      "docker20",
      directory,
      ["build", "--progress=plain", "-t", "d20:2", "-"],
      stdin,
    );
    expect(all).toContain("exporting to image");
    expect(code).toBe(0);
    expect(await cat("d20:2")).toBe("hi");
  }, 60_000);

  test("tells what is wrong with a Dockerfile", async () => {
    const directory = context({ Dockerfile: "FROM busybox\nCOPPY a b\n" });
    const { code, all } = await run("docker20", directory, ["build", "--progress=plain", "."]);
    expect(code).toBe(1);
    expect(all).toContain("unknown instruction: COPPY (did you mean COPY?)");
  }, 60_000);
});

import { describe, expect, test } from "bun:test";
import { SourceError } from "../errors.ts";
import type { ExecOp, FileOp } from "../graph/ops.ts";
import { buildWith, textOf, type World } from "./test-gateway.ts";

const BUSYBOX = "docker.io/library/busybox:latest";
const busybox = {
  architecture: "amd64",
  os: "linux",
  created: "2020-01-01T00:00:00Z",
  config: { Env: ["PATH=/bin", "A=base"], Cmd: ["sh"], WorkingDir: "/home" },
  rootfs: { type: "layers", diff_ids: [`sha256:${"1".repeat(64)}`] },
  history: [{ created_by: "base" }],
};
const images = { [BUSYBOX]: busybox };

const names = (steps: readonly { name: string }[]) => steps.map((step) => step.name);

async function failureOf(
  dockerfile: string,
  world: World = {},
): Promise<{ message: string; lines: number[] }> {
  try {
    await buildWith(dockerfile, { images, ...world });
  } catch (error) {
    const lines: number[] = [];
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      if (cause instanceof SourceError) lines.push(...cause.ranges.map((range) => range.start.line));
    }
    return { message: (error as Error).message, lines };
  }
  throw new Error("built");
}

function actionsOf(steps: readonly { op: { op: unknown } }[], index: number): FileOp["actions"] {
  const op = steps[index]?.op.op as FileOp | undefined;
  return op?.actions ?? [];
}

describe("a stage", () => {
  test("is a chain of steps over its image, with the names that clients show", async () => {
    const { steps, config } = await buildWith(
      'FROM busybox\nARG V=1\nENV B=$V-$A\nRUN echo $B "x  y"\nWORKDIR sub\nCOPY a b /c/\nUSER me\nCMD ["x"]\nLABEL l=$B\n',
      { images },
    );
    expect(names(steps)).toEqual([
      expect.stringMatching(/^\[1\/4\] FROM docker\.io\/library\/busybox:latest@sha256:/),
      '[2/4] RUN echo 1-base "x  y"',
      "[3/4] WORKDIR sub",
      "[internal] load build context",
      "[4/4] COPY a b /c/",
    ]);
    expect(config).toMatchObject({
      architecture: "amd64",
      os: "linux",
      config: {
        User: "me",
        Env: ["PATH=/bin", "A=base", "B=1-base"],
        Cmd: ["x"],
        WorkingDir: "/home/sub",
        Labels: { l: "1-base" },
        ArgsEscaped: true,
      },
    });
    expect(config).not.toHaveProperty("created");
    expect(config.history).toEqual([
      { created_by: "base" },
      { created_by: "ARG V=1", comment: "buildkit.dockerfile.v0", empty_layer: true },
      { created_by: "ENV B=1-base", comment: "buildkit.dockerfile.v0", empty_layer: true },
      { created_by: 'RUN |1 V=1 /bin/sh -c echo $B "x  y" # buildkit', comment: "buildkit.dockerfile.v0" },
      { created_by: "WORKDIR /home/sub", comment: "buildkit.dockerfile.v0" },
      { created_by: "COPY a b /c/ # buildkit", comment: "buildkit.dockerfile.v0" },
      { created_by: "USER me", comment: "buildkit.dockerfile.v0", empty_layer: true },
      { created_by: 'CMD ["x"]', comment: "buildkit.dockerfile.v0", empty_layer: true },
      { created_by: "LABEL l=1-base", comment: "buildkit.dockerfile.v0", empty_layer: true },
    ]);
  });

  test("asks the client for what it copies, and for nothing that is ignored", async () => {
    const { steps, warnings } = await buildWith(
      "FROM scratch\nCOPY src/ /x\nADD --chown=1:2 y.tar /\nCOPY .git /",
      {
        files: { "context/.dockerignore": ".git\n" },
      },
    );
    const [context] = steps;
    expect(context?.op.op).toMatchObject({
      identifier: "local://context",
      attrs: {
        "local.followpaths": '[".git","src","y.tar"]',
        "local.excludepatterns": '[".git"]',
        "local.session": "session",
      },
    });
    expect(actionsOf(steps, 2)[0]?.action).toMatchObject({
      type: "copy",
      src: "/y.tar",
      dest: "/",
      attemptUnpackDockerCompatibility: true,
      owner: { user: { by: "id", id: 1 }, group: { by: "id", id: 2 } },
    });
    expect(warnings).toEqual([
      'CopyIgnoredFile: Attempting to Copy file ".git" that is excluded by .dockerignore (line 4)',
    ]);
  });

  test("an ignore file beside the Dockerfile goes before the context's", async () => {
    const { steps } = await buildWith("", {
      options: { filename: "x/web.Dockerfile" },
      files: {
        "dockerfile/x/web.Dockerfile": "FROM scratch\nCOPY . /",
        "dockerfile/x/web.Dockerfile.dockerignore": "own",
        "context/.dockerignore": "other",
      },
    });
    expect(steps[0]?.op.op).toMatchObject({ attrs: { "local.excludepatterns": '["own"]' } });
  });

  test("several sources and here-documents make one layer", async () => {
    const { steps } = await buildWith("FROM scratch\nCOPY a <<E b /c/\nx=$X\nE\n");
    const actions = actionsOf(steps, 2);
    expect(actions.map(({ input, secondaryInput, output }) => [input, secondaryInput, output])).toEqual([
      [-1, 0, -1],
      [2, 0, -1],
      [3, 1, 0],
    ]);
    expect(actionsOf(steps, 1)[0]?.action).toMatchObject({ type: "mkfile", path: "/E", mode: 0o644 });
  });

  test("--link over nothing is the copy alone", async () => {
    const { steps } = await buildWith("FROM scratch\nCOPY --link a /");
    expect(steps.map((step) => step.op.op.type)).toEqual(["source", "file"]);
  });

  test("a variable that is set again comes last, in the image where it was", async () => {
    const { steps, config } = await buildWith("FROM busybox\nENV X=1 Y=2\nENV X=3\nRUN a", { images });
    const exec = steps.findLast(({ op }) => op.op.type === "exec")?.op.op as ExecOp;
    expect(exec.meta.env.slice(-2)).toEqual(["Y=2", "X=3"]);
    expect(config.config.Env?.slice(-2)).toEqual(["X=3", "Y=2"]);
  });

  test("--link copies onto nothing and merges", async () => {
    const { steps } = await buildWith("FROM busybox\nCOPY --link a /", { images });
    expect(steps.map((step) => step.op.op.type)).toEqual(["source", "source", "file", "merge"]);
    expect(names(steps).at(-1)).toBe("[2/2] LINK COPY --link a /");
  });
});

describe("RUN", () => {
  const execOf = async (dockerfile: string, world: World = {}) => {
    const { steps } = await buildWith(dockerfile, { images, ...world });
    return steps.findLast(({ op }) => op.op.type === "exec")?.op.op as ExecOp;
  };

  test("gets the stage's variables, directory and user", async () => {
    const exec = await execOf("FROM busybox\nARG P=1\nARG Q\nUSER u:g\nRUN a", {
      options: { "build-arg:Q": "2", "build-arg:http_proxy": "http://p" },
    });
    expect(exec.meta).toMatchObject({
      args: ["/bin/sh", "-c", "a"],
      env: ["PATH=/bin", "A=base", "P=1", "Q=2"],
      cwd: "/home",
      user: "u:g",
      proxyEnv: { httpProxy: "http://p", httpsProxy: "" },
    });
    expect(exec.mounts).toMatchObject([{ dest: "/", input: 0, output: 0 }]);
  });

  test("mounts caches, stages, secrets and agents", async () => {
    const exec = await execOf(
      `FROM busybox AS one
FROM busybox
ARG D=/dir
RUN --mount=type=cache,target=$D,sharing=locked,uid=5 --mount=from=one,source=/bin,target=bin \\
    --mount=type=secret,id=dir/s --mount=type=secret,id=t,env=T,required --mount=type=ssh --mount=type=tmpfs,target=/t x`,
      { options: { "build-arg:BUILDKIT_CACHE_MOUNT_NS": "ns" } },
    );
    expect(exec.mounts).toMatchObject([
      { dest: "/", output: 0 },
      { dest: "/dir", mountType: "cache", selector: "/cache", cache: { id: "ns//dir", sharing: "locked" } },
      { dest: "/home/bin", mountType: "bind", selector: "/bin", readonly: true, output: -1 },
      { dest: "/t", mountType: "tmpfs", input: -1 },
      { dest: "/run/secrets/s", mountType: "secret", secret: { id: "dir/s", mode: 0o400, optional: true } },
      { dest: "/run/buildkit/ssh_agent.0", mountType: "ssh", ssh: { id: "", mode: 0o600 } },
    ]);
    expect(exec.secretEnv).toEqual([{ id: "t", name: "T", optional: false }]);
    expect(exec.meta.env).toContain("SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0");
  });

  test("a lone here-document is a script, with #! a file", async () => {
    expect((await execOf("FROM busybox\nRUN <<-E\n\ta\n\tb\n\tE")).meta.args).toEqual([
      "/bin/sh",
      "-c",
      "a\nb\n",
    ]);
    const script = await execOf("FROM busybox\nRUN <<E\n#!/x\nE");
    expect(script.meta.args).toEqual(["/bin/sh", "-c", "/dev/pipes/E"]);
    expect(script.mounts).toMatchObject([{ dest: "/" }, { dest: "/dev/pipes/", readonly: true }]);
    expect((await execOf("FROM busybox\nRUN cat <<A <<B\n1\nA\n2\nB")).meta.args[2]).toBe(
      "cat <<A <<B\n1\nA\n2\nB",
    );
  });

  test("SHELL goes in front", async () => {
    expect((await execOf('FROM busybox\nSHELL ["bash", "-ec"]\nRUN a')).meta.args).toEqual([
      "bash",
      "-ec",
      "a",
    ]);
  });

  test("takes networks, hosts and limits of the build", async () => {
    const exec = await execOf("FROM busybox\nRUN --security=insecure a", {
      options: {
        "force-network-mode": "mine",
        "add-hosts": "h=1.2.3.4",
        ulimit: "nofile=1:2",
        "shm-size": "64",
      },
    });
    expect(exec).toMatchObject({ network: "sandbox", networkName: "mine", security: "insecure" });
    expect(exec.meta).toMatchObject({
      extraHosts: [{ host: "h", ip: "1.2.3.4" }],
      ulimits: [{ name: "nofile", soft: 1, hard: 2 }],
    });
    expect(exec.mounts.at(-1)).toMatchObject({ dest: "/dev/shm", tmpfs: { size: 64 } });
  });
});

describe("several stages", () => {
  const three = "FROM busybox AS a\nRUN a\nFROM busybox AS b\nRUN b\nFROM a\nCOPY --from=B /x /y\n";

  test("only those that the target needs are built", async () => {
    expect(names((await buildWith(three, { images })).steps)).toEqual([
      expect.stringContaining("FROM"),
      "[a 2/2] RUN a",
      "[b 2/2] RUN b",
      "[stage-2 1/1] COPY --from=B /x /y",
    ]);
    const { steps } = await buildWith(three, { images, options: { target: "B" } });
    expect(names(steps).at(-1)).toBe("[b 2/2] RUN b");
  });

  test("can be copied from by number, and images without a stage", async () => {
    const { resolved } = await buildWith(
      "FROM scratch AS a\nFROM scratch\nCOPY --from=0 / /\nCOPY --from=busybox / /b",
      { images },
    );
    expect(resolved).toEqual([BUSYBOX]);
  });

  test("inherit arguments and what the image holds", async () => {
    const { config } = await buildWith("FROM busybox AS a\nARG X=1\nENV E=1\nFROM a\nENV F=$X$E", { images });
    expect(config.config.Env).toEqual(["PATH=/bin", "A=base", "E=1", "F=11"]);
  });

  test("global arguments are seen by FROM, and by stages that ask for them", async () => {
    const { resolved, config } = await buildWith(
      "ARG I=busybox\nARG G=1\nFROM $I\nENV N=$G\nARG G\nENV Y=$G T=$TARGETARCH",
      {
        images,
      },
    );
    expect(resolved).toEqual([BUSYBOX]);
    expect(config.config.Env?.slice(2)).toEqual(["N=", "Y=1", "T="]);
  });
});

describe("ONBUILD", () => {
  test("triggers of the image run first and are gone afterwards", async () => {
    const withTriggers = { ...busybox, config: { OnBuild: ["COPY --from=other /a /b", "RUN x"] } };
    const { steps, config } = await buildWith("FROM busybox AS other\nFROM trigger\nRUN y", {
      images: { ...images, "docker.io/library/trigger:latest": withTriggers },
    });
    expect(names(steps).slice(-3)).toEqual([
      "[stage-1 2/4] ONBUILD COPY --from=other /a /b",
      "[stage-1 3/4] ONBUILD RUN x",
      "[stage-1 4/4] RUN y",
    ]);
    expect(config.config).not.toHaveProperty("OnBuild");
  });

  test("triggers of a stage run in those that start from it", async () => {
    const { steps, config } = await buildWith(
      "FROM busybox AS a\nONBUILD RUN x\nFROM a\nRUN y\nONBUILD RUN z",
      { images },
    );
    expect(names(steps).slice(-2)).toEqual(["[stage-1 1/2] ONBUILD RUN x", "[stage-1 2/2] RUN y"]);
    expect(config.config.OnBuild).toEqual(["RUN z"]);
  });
});

describe("platforms", () => {
  const arm = { ...busybox, architecture: "arm64" };

  test("several give one reference each, keyed by platform", async () => {
    const { result } = await buildWith(
      "FROM --platform=$BUILDPLATFORM busybox\nARG TARGETARCH\nRUN $TARGETARCH",
      {
        images,
        options: { platform: "linux/amd64,linux/arm64" },
      },
    );
    expect([...result.refs.keys()]).toEqual(["linux/amd64", "linux/arm64"]);
    expect(JSON.parse(textOf(result, "containerimage.config/linux/arm64"))).toMatchObject({
      architecture: "arm64",
    });
    expect(JSON.parse(textOf(result, "refs.platforms"))).toEqual({
      Platforms: [
        { ID: "linux/amd64", Platform: { architecture: "amd64", os: "linux" } },
        { ID: "linux/arm64", Platform: { architecture: "arm64", os: "linux" } },
      ],
    });
    const steps = [...(result.refs.get("linux/arm64")?.definition.metadata.values() ?? [])];
    expect(steps.map((entry) => entry.description["llb.customname"])).toContain(
      "[linux/amd64->arm64 2/2] RUN arm64",
    );
  });

  test("a base of another architecture is told", async () => {
    const { warnings } = await buildWith("FROM busybox", { images: { [BUSYBOX]: arm } });
    expect(warnings).toEqual([
      'InvalidBaseImagePlatform: Base image busybox was pulled with platform "linux/arm64", expected "linux/amd64" for current build (line 1)',
    ]);
  });
});

describe("named contexts", () => {
  test("a directory stands in for an image, with its own ignore file", async () => {
    const { steps, resolved } = await buildWith("FROM scratch\nCOPY --from=alpine a /", {
      options: { "context:alpine": "local:dir", "local-sessionid:dir": "other" },
      files: { "dir/.dockerignore": "x" },
    });
    expect(resolved).toEqual([]);
    expect(steps[0]).toMatchObject({
      name: "[context alpine] load from client",
      op: {
        op: {
          identifier: "local://dir",
          attrs: { "local.session": "other", "local.excludepatterns": '["x"]', "local.followpaths": '["a"]' },
        },
      },
    });
  });

  test("an image stands in for a stage, for one platform before all", async () => {
    const { steps, config } = await buildWith("FROM nothing AS base\nRUN no\nFROM base\nRUN yes", {
      images,
      options: {
        "context:base": "docker-image://other",
        "context:base::linux/amd64": "docker-image://busybox",
      },
    });
    expect(names(steps)).toEqual([`[context base::linux/amd64] ${BUSYBOX}`, "[stage-1 1/1] RUN yes"]);
    expect(config.config.WorkingDir).toBe("/home");
  });

  test("an input stands in with its configuration", async () => {
    const inner = await buildWith("FROM busybox\nRUN inner", { images });
    const definition = [...inner.result.refs.values()][0]?.definition;
    const config = Buffer.from(inner.result.metadata.get("containerimage.config") ?? "").toString("base64");
    const { steps } = await buildWith("FROM base\nRUN outer", {
      options: {
        "context:base": "input:base",
        "input-metadata:base": JSON.stringify({ "containerimage.config": config }),
      },
      inputs: new Map(definition ? [["base", definition]] : []),
    });
    expect(names(steps).slice(1)).toEqual(["[2/2] RUN inner", "[1/2] RUN outer"]);
  });

  test("git and http become what they are", async () => {
    const { steps } = await buildWith("FROM a AS x\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /b", {
      options: { "context:a": "https://h/r.git#main:dir", "context:b": "https://h/f.tgz" },
    });
    expect(
      steps
        .slice(0, 1)
        .concat(steps.slice(2, 3))
        .map(({ op }) => op.op),
    ).toMatchObject([
      { identifier: "git://h/r.git#main:dir", attrs: { "git.fullurl": "https://h/r.git" } },
      { identifier: "https://h/f.tgz", attrs: { "http.filename": "context" } },
    ]);
  });
});

describe("frontends", () => {
  test("Docker's own, in any version, is this one", async () => {
    const { forwarded } = await buildWith("# syntax=docker/dockerfile:1.7-labs\nFROM scratch");
    expect(forwarded).toEqual([]);
  });

  test("others are handed the build", async () => {
    const { forwarded } = await buildWith("# syntax=me/mine:2 a b\nanything", { options: { target: "t" } });
    expect(Object.fromEntries(forwarded[0] ?? [])).toEqual({
      target: "t",
      cmdline: "me/mine:2 a b",
      source: "me/mine:2",
    });
  });

  test("a capability that nobody knows is refused in words that clients look for", async () => {
    const options = { "frontend.caps": "moby.buildkit.frontend.inputs,x.y" };
    expect((await failureOf("FROM scratch", { options })).message).toBe(
      "unsupported frontend capability x.y",
    );
  });
});

describe("errors point at the lines", () => {
  test.each<[string, string, number[]]>([
    [
      "FROM busybox\nRUN a\nCOPPY b",
      "dockerfile parse error on line 3: unknown instruction: COPPY (did you mean COPY?)",
      [3],
    ],
    ["FROM busyboz", "busyboz: docker.io/library/busyboz:latest: not found (did you mean busybox?)", [1]],
    ['FROM busybox\nENV A="${B:?set B}"', "B: set B", [2]],
    ["FROM busybox\nCOPY --from=9 a b", "invalid stage index 9", [2]],
    [
      "FROM a AS b\nFROM b AS a\nFROM scratch\nCOPY --from=c / /\nFROM scratch AS c\nCOPY --from=d / /\nFROM scratch AS d\nCOPY --from=c / /",
      "circular dependency detected on stage: stage-2",
      [4, 6, 8],
    ],
    [
      "FROM busybox\nCOPY --chmod=9 a b",
      "invalid chmod parameter: '9'. it should be octal string and between 0 and 07777",
      [2],
    ],
    ["FROM busybox\nRUN --mount=target=/ a", 'invalid mount target "/"', [2]],
    ["FROM busybox\nSTOPSIGNAL nope", "invalid signal: nope", [2]],
    ["FROM busybox\nEXPOSE 70000", "invalid containerPort: 70000", [2]],
    ["FROM ${X}", "base name (${X}) should not be blank", [1]],
    ["FROM --platform=x/y/z/w/v busybox", "failed to parse platform", [1]],
  ])("%s", async (dockerfile, message, lines) => {
    const failure = await failureOf(dockerfile);
    expect(failure.message).toContain(message);
    expect([...new Set(failure.lines)].sort()).toEqual(lines);
  });

  test("a target that is not there", async () => {
    const failure = await failureOf("FROM scratch AS one", { options: { target: "onee" } });
    expect(failure.message).toBe('target stage "onee" could not be found (did you mean one?)');
  });
});

describe("questions", () => {
  test("lint names rules and lines, in all stages", async () => {
    const { result } = await buildWith(
      "FROM scratch as A\nCMD x\nFROM scratch\nENV API_KEY 1\nWORKDIR rel\nRUN echo $NOPE\nEXPOSE 80/TCP 1.2.3.4:80:80\nCOPY $NOP /",
      {
        options: { requestid: "frontend.lint" },
      },
    );
    const json = JSON.parse(textOf(result, "result.json")) as {
      warnings: { ruleName: string; location: { ranges: { start: { line: number } }[] } }[];
    };
    expect(json.warnings.map(({ ruleName, location }) => [ruleName, location.ranges[0]?.start.line])).toEqual(
      [
        ["StageNameCasing", 1],
        ["FromAsCasing", 1],
        ["JSONArgsRecommended", 2],
        ["LegacyKeyValueFormat", 4],
        ["SecretsUsedInArgOrEnv", 4],
        ["WorkdirRelativePath", 5],
        ["ExposeInvalidFormat", 7],
        ["ExposeProtoCasing", 7],
        ["UndefinedVar", 8],
      ],
    );
    expect(textOf(result, "result.statuscode")).toBe("1");
    expect(textOf(result, "result.txt")).toContain(
      "WARNING: WorkdirRelativePath - https://docs.docker.com/go/dockerfile/rule/workdir-relative-path/\n" +
        'Relative workdir "rel" can have unexpected results if the base image changes\nDockerfile:5\n--------------------\n' +
        "   3 |     FROM scratch\n",
    );
  });

  test("outline and targets", async () => {
    const file =
      "# base the base\nFROM scratch AS base\n# A what A is\nARG A=1\nRUN --mount=type=secret,id=s,required x\nFROM base\n";
    const outline = await buildWith(file, { options: { requestid: "frontend.outline", target: "base" } });
    expect(textOf(outline.result, "result.txt")).toBe(
      "TARGET:      base\nDESCRIPTION: the base\n\nBUILD ARG   VALUE   DESCRIPTION\nA           1       what A is\n\nSECRET   REQUIRED\ns        true\n\n",
    );
    const targets = await buildWith(file, { options: { requestid: "frontend.targets" } });
    expect(textOf(targets.result, "result.txt")).toBe(
      "TARGET    DESCRIPTION\nbase      the base\n(default) \n",
    );
  });

  test("violations fail the build where the file says so", async () => {
    const failure = await failureOf("# check=error=true\nFROM scratch as x");
    expect(failure.message).toBe("lint violation found for rules: FromAsCasing");
  });
});

describe("SOURCE_DATE_EPOCH", () => {
  test("dates the history and the working directory", async () => {
    const { steps, config, result } = await buildWith("FROM scratch\nWORKDIR /x\nENV A=b", {
      options: { "build-arg:SOURCE_DATE_EPOCH": "86400" },
    });
    expect(actionsOf(steps, 0)[0]?.action).toMatchObject({
      type: "mkdir",
      timestamp: 86400n * 1_000_000_000n,
    });
    expect(config.history?.map((entry) => entry.created)).toEqual([
      "1970-01-02T00:00:00Z",
      "1970-01-02T00:00:00Z",
    ]);
    expect(textOf(result, "source.date.epoch")).toBe("86400");
  });

  test("may be the time of a commit", async () => {
    const commit = "tree x\ncommitter me <a@b> 1700000000 +0100\n\nmessage";
    const { result } = await buildWith(
      "ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nADD https://h/r.git /\nFROM scratch",
      {
        meta: () => ({
          git: { checksum: "", ref: "", commitChecksum: "", commitObject: new TextEncoder().encode(commit) },
        }),
      },
    );
    expect(textOf(result, "source.date.epoch")).toBe("1700000000");
  });
});

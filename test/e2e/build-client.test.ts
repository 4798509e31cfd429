/** `gantry build`: what of a directory becomes the context, where the Dockerfile comes from, and what is said. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { useEngine } from "../support/suite.ts";

const suite = useEngine();
const root = mkdtempSync(join(tmpdir(), "gantry-build-client-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let context = "";
let count = 0;
beforeEach(() => {
  context = join(root, String(count++));
  mkdirSync(join(context, "sub/deep"), { recursive: true });
  for (const file of ["a.txt", "sub/b.log", "sub/deep/c.txt", "skip.log"])
    writeFileSync(join(context, file), file);
  symlinkSync("a.txt", join(context, "link"));
});

const gantry = (...args: readonly string[]) => suite.cli("gantry")(...args);
const dockerfile = (text: string, at = "Dockerfile") => writeFileSync(join(context, at), text);
/** What a build of `COPY . /c` has in it. */
async function copied(): Promise<string> {
  await suite.cli("gantry").ok("build", "-q", "-t", "client:1", context);
  return await suite
    .cli("gantry")
    .ok("run", "--rm", "client:1", "sh", "-c", "cd /c && find . -type f -o -type l | sort");
}

describe("gantry build", () => {
  test("sends what .dockerignore leaves, links as links", async () => {
    dockerfile("FROM busybox\nCOPY . /c\n");
    writeFileSync(join(context, ".dockerignore"), "**/*.log\n!sub/b.log\nDockerfile\nsub/deep\n");
    expect(await copied()).toBe("./.dockerignore\n./Dockerfile\n./a.txt\n./link\n./sub/b.log");
  });

  test("takes the Dockerfile from elsewhere, from standard input, and with ignore patterns of its own", async () => {
    const elsewhere = join(root, `Dockerfile.${count}`);
    writeFileSync(elsewhere, "FROM busybox\nARG WORD\nRUN echo $WORD > /word\n");
    await suite
      .cli("gantry")
      .ok("build", "-q", "-t", "client:2", "--build-arg", "WORD=far", "-f", elsewhere, context);
    expect(await suite.cli("gantry").ok("run", "--rm", "client:2", "cat", "/word")).toBe("far");
    const stdin = "FROM busybox\nCOPY a.txt /a\n";
    const { code } = await suite.cli("gantry").with({ stdin }, "build", "-t", "client:3", "-f", "-", context);
    expect(code).toBe(0);
    expect(await suite.cli("gantry").ok("run", "--rm", "client:3", "cat", "/a")).toBe("a.txt");
    const alone = await suite
      .cli("gantry")
      .with({ stdin: "FROM busybox\nRUN echo x > /x\n" }, "build", "-q", "-");
    expect(alone.stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/);
  });

  test("tells each step, and writes the image's id down", async () => {
    dockerfile("FROM busybox AS base\nRUN echo hello\nFROM base\nLABEL a=b\n");
    const file = join(root, `iid.${count}`);
    const { code, stderr } = await gantry("build", "--iidfile", file, "--target", "base", context);
    expect(code).toBe(0);
    expect(stderr).toMatch(/#\d+ \[.*\] RUN echo hello\n/);
    expect(stderr).toMatch(/#\d+ \d\.\d{3} hello\n/);
    expect(readFileSync(file, "utf8")).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  test("fails as the step failed", async () => {
    dockerfile("FROM busybox\nRUN echo before; exit 7\n");
    const { code, stderr } = await gantry("build", context);
    expect(code).not.toBe(0);
    expect(stderr).toContain("before");
    expect(stderr).toContain("did not complete successfully: exit code: 7");
  });

  test("says what is missing before it sends anything", async () => {
    expect((await gantry("build", join(root, "nowhere"))).stderr).toContain("not found");
    expect((await gantry("build", context)).stderr).toContain("Dockerfile");
    expect((await gantry("build", "--progress", "loud", context)).stderr).toContain("invalid progress mode");
    expect(existsSync(join(context, "Dockerfile"))).toBe(false);
  });
});

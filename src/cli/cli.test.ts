/** The command line as a process of its own: what only its exit status and its streams show. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const directory = mkdtempSync(join(tmpdir(), "gantry-cli-"));
const main = join(import.meta.dir, "..", "main.ts");
afterAll(() => rmSync(directory, { recursive: true }));

/** Runs `gantry` in a shell, as `"$@"`, with a configuration directory of its own. */
async function shell(
  script: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
) {
  const child = Bun.spawn(["sh", "-c", script, "sh", process.execPath, main, ...args], {
    env: { PATH: process.env.PATH ?? "", DOCKER_CONFIG: directory, ...environment },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { stdout, stderr, exitCode: await child.exited };
}

describe("the command line", () => {
  test("ends silently, as by SIGPIPE, when nobody reads its output", async () => {
    const script = 'mkfifo $FIFO; true <$FIFO & exec 3>$FIFO; wait; "$@" >&3; echo "status $?"';
    const { stdout, stderr } = await shell(script, ["run", "--help"], { FIFO: join(directory, "fifo") });
    expect({ stdout, stderr }).toEqual({ stdout: "status 141\n", stderr: "" });
  });

  /** An `ssh` that runs a script instead, before the others in PATH. */
  function fakeSsh(script: string): Record<string, string> {
    writeFileSync(join(directory, "ssh"), `#!/bin/sh\n${script}\n`);
    chmodSync(join(directory, "ssh"), 0o755);
    return { PATH: `${directory}:${process.env.PATH ?? ""}`, DOCKER_HOST: "ssh://far" };
  }

  test("reaches an engine through ssh, and joins ssh's streams to an engine", async () => {
    const unix = join(directory, "engine.sock");
    const engine = Bun.serve({ unix, fetch: () => Response.json([{ Id: "f".repeat(64), Name: "n" }]) });
    const dial = `exec ${process.execPath} ${main} -H unix://${unix} system dial-stdio`;
    const { stdout, stderr } = await shell('"$@"', ["network", "ls", "-q"], fakeSsh(dial));
    await engine.stop(true);
    expect({ stdout, stderr }).toEqual({ stdout: "ffffffffffff\n", stderr: "" });
  });

  test("tells why ssh failed", async () => {
    const environment = fakeSsh("echo no route >&2; exit 255");
    const { stderr, exitCode } = await shell('"$@"', ["network", "ls"], environment);
    expect(stderr).toContain("has exited with exit status 255, make sure the URL is valid");
    expect(stderr).toContain("stderr=no route");
    expect(exitCode).toBe(1);
  });

  test.skipIf(process.getuid?.() !== 0)(
    "without an engine of ours says how to start one, below Docker's own sentence",
    async () => {
      // In a mount namespace of its own: this machine may have an engine there.
      const alone = 'mkdir -p /run/gantry && mount -t tmpfs none /run/gantry && exec "$@"';
      const script = `exec unshare --mount sh -c '${alone}' sh "$@"`;
      const { stderr, exitCode } = await shell(script, ["ps"]);
      expect(stderr).toBe(
        "Cannot connect to the Docker daemon at unix:///run/gantry/gantry.sock. Is the docker daemon running?\n" +
          "Start it as root: npm start in its clone, or gantry daemon.\n",
      );
      expect(exitCode).toBe(1);
      const elsewhere = await shell('"$@"', ["-H", "unix:///nowhere", "ps"]);
      expect(elsewhere.stderr).toBe(
        "Cannot connect to the Docker daemon at unix:///nowhere. Is the docker daemon running?\n",
      );
    },
  );

  test("a command that is not there: what may have been meant, where something is near", async () => {
    expect((await shell('"$@"', ["rnu"])).stderr).toBe(
      "gantry: unknown command: gantry rnu\n\nDid you mean this?\n\trun\n\nRun 'gantry --help' for more information\n",
    );
    expect((await shell('"$@"', ["container", "frobnicate"])).stderr).toBe(
      "gantry: unknown command: gantry container frobnicate\n\nUsage:  gantry container\n\nRun 'gantry container --help' for more information\n",
    );
  });
});

/** The command line as a process of its own: what only its exit status and its streams show. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const directory = mkdtempSync(join(tmpdir(), "gantry-cli-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** Runs `gantry` in a shell, as `"$@"`, with a configuration directory of its own. */
function shell(script: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const main = join(import.meta.dir, "..", "main.ts");
  const { stdout, stderr, exitCode } = Bun.spawnSync(
    ["sh", "-c", script, "sh", process.execPath, main, ...args],
    { env: { PATH: process.env.PATH ?? "", DOCKER_CONFIG: directory, ...environment } },
  );
  return { stdout: stdout.toString(), stderr: stderr.toString(), exitCode };
}

describe("the command line", () => {
  test("ends silently, as by SIGPIPE, when nobody reads its output", () => {
    const script = 'mkfifo $FIFO; true <$FIFO & exec 3>$FIFO; wait; "$@" >&3; echo "status $?"';
    const { stdout, stderr } = shell(script, ["run", "--help"], { FIFO: join(directory, "fifo") });
    expect({ stdout, stderr }).toEqual({ stdout: "status 141\n", stderr: "" });
  });
});

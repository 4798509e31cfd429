/** What the client does without an engine: contexts, and Docker's CLI plugins. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executablePath } from "../support/engine.ts";

const root = mkdtempSync(join(tmpdir(), "gantry-settings-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let directory = "";
let count = 0;
beforeEach(() => {
  directory = join(root, String(count++));
  mkdirSync(join(directory, "cli-plugins"), { recursive: true });
});

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function gantry(
  args: readonly string[],
  options: { environment?: Record<string, string>; stdin?: Uint8Array } = {},
): Result {
  const { stdout, stderr, exitCode } = Bun.spawnSync([executablePath, ...args], {
    env: { PATH: process.env.PATH ?? "", DOCKER_CONFIG: directory, HOME: directory, ...options.environment },
    cwd: directory,
    ...(options.stdin ? { stdin: options.stdin } : {}),
  });
  return { code: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** A plugin that tells how it was called. */
function plugin(name: string, metadata: unknown, body = 'echo "$@"; echo "host=$DOCKER_HOST"; exit 3'): void {
  const path = join(directory, "cli-plugins", `docker-${name}`);
  const asked = `if [ "$1" = docker-cli-plugin-metadata ]; then echo '${JSON.stringify(metadata)}'; exit; fi`;
  writeFileSync(path, `#!/bin/sh\n${asked}\n${body}\n`);
  chmodSync(path, 0o755);
}
const metadata = { SchemaVersion: "0.1.0", Vendor: "Tests", Version: "v1", ShortDescription: "Says hello" };

describe("contexts", () => {
  test("are made, listed, used, shown and removed", () => {
    const made = gantry([
      "context",
      "create",
      "one",
      "--docker",
      "host=tcp://127.0.0.1:1",
      "--description",
      "First",
    ]);
    expect(made).toEqual({ code: 0, stdout: "one\n", stderr: 'Successfully created context "one"\n' });
    expect(gantry(["context", "use", "one"]).stderr).toBe('Current context is now "one"\n');
    expect(gantry(["context", "show"]).stdout).toBe("one\n");
    expect(gantry(["context", "ls"]).stdout).toMatch(/^one \* +First +tcp:\/\/127\.0\.0\.1:1 *$/m);
    expect(gantry(["ps"]).stderr).toContain("tcp://127.0.0.1:1");
    expect(gantry(["context", "rm", "one"]).stderr).toContain(
      'context "one" is in use, set -f flag to force remove',
    );
    expect(gantry(["context", "rm", "-f", "one"]).stdout).toBe("one\n");
    expect(gantry(["context", "show"]).stdout).toBe("default\n");
  });

  test("carry certificates over an export and an import", () => {
    writeFileSync(join(directory, "ca"), "-----CA-----");
    gantry(["context", "create", "tls", "--docker", `host=tcp://127.0.0.1:1,ca=${join(directory, "ca")}`]);
    expect(gantry(["context", "export", "tls"]).stderr).toBe('Written file "tls.dockercontext"\n');
    expect(gantry(["context", "export", "tls"]).code).toBe(1);
    expect(gantry(["context", "import", "copy", "tls.dockercontext"]).stdout).toBe("copy\n");
    const shown = gantry([
      "context",
      "inspect",
      "copy",
      "-f",
      "{{json .TLSMaterial}} {{.Endpoints.docker.Host}}",
    ]);
    expect(shown.stdout).toBe('{"docker":["ca.pem"]} tcp://127.0.0.1:1\n');
  });

  test("refuse names, keys and archives that make no sense", () => {
    expect(gantry(["context", "create", "a/b"]).stderr).toContain(
      "is invalid, names are validated against regexp",
    );
    expect(gantry(["context", "create", "x1", "--docker", "colour=red"]).stderr).toContain(
      "unrecognized config key: colour",
    );
    expect(gantry(["context", "use", "nowhere"]).stderr).toContain("context not found");
    expect(gantry(["context", "import", "x2", "-"], { stdin: Buffer.from("no archive") }).code).toBe(1);
    expect(existsSync(join(directory, "contexts"))).toBe(false);
  });
});

describe("CLI plugins", () => {
  test("run in the client's place, with all its arguments, and know where our engine is", () => {
    plugin("hello", metadata);
    const ran = gantry(["--debug", "hello", "--name", "you"]);
    expect(ran).toEqual({
      code: 3,
      stdout: "--debug hello --name you\nhost=unix:///run/gantry/gantry.sock\n",
      stderr: "",
    });
    const told = gantry(["hello"], { environment: { DOCKER_HOST: "tcp://127.0.0.1:1" } });
    expect(told.stdout).toBe("hello\nhost=tcp://127.0.0.1:1\n");
  });

  test("are shown in help and info", () => {
    plugin("hello", metadata);
    expect(gantry(["--help"]).stdout).toMatch(/^ {2}hello\* +Says hello$/m);
    const listed = gantry(["info", "-f", "{{range .ClientInfo.Plugins}}{{.Name}} {{.Version}}{{end}}"]);
    expect(listed.stdout).toBe("hello v1\n");
  });

  test.each([
    ["that takes a command's name", "ps", metadata, /CONTAINER ID|failed to connect|Cannot connect/i],
    ["without a vendor", "novendor", { SchemaVersion: "0.1.0" }, /does not define a vendor/],
    ["of a version to come", "future", { ...metadata, SchemaVersion: "2.0.0" }, /is not supported/],
  ])("one %s is not run", (_, name, told, expected) => {
    plugin(name, told, "echo ran");
    const { stdout, stderr } = gantry([name], {
      environment: { DOCKER_HOST: `unix://${directory}/none.sock` },
    });
    expect(stdout).not.toContain("ran");
    expect(stderr).toMatch(expected);
  });

  test("no command and no plugin is an unknown command", () => {
    expect(gantry(["nothing-like-it"]).stderr).toContain("unknown command");
  });
});

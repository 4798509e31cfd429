/** The set-up scripts on machines that are not like this one, as far as one process can show it. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { firstError, lockHolder, missingPackages } from "../../scripts/lib/apt.mjs";
import { interpreterOf } from "../../scripts/lib/elf.mjs";
import { freePort, lastError } from "../../scripts/lib/engine.mjs";

const repository = resolve(import.meta.dir, "../..");
let directory;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "gantry set-up "));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A program of a few lines of shell, in a directory that stands for the whole PATH. */
function program(name, script) {
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** Runs a line that uses the scripts' parts, with `node`, and gives what came of it. */
function inNode(line, environment = {}) {
  const imports = `const apt = await import(${JSON.stringify(join(repository, "scripts/lib/apt.mjs"))});`;
  const { status, stdout, stderr } = spawnSync(
    "node",
    ["--input-type=module", "--eval", `${imports} ${line}`],
    { encoding: "utf8", env: { ...process.env, ...environment } },
  );
  return { status, stdout, stderr };
}

describe("which libraries a program needs", () => {
  test("the loader of a dynamic program is found in its headers", () => {
    expect(interpreterOf(process.execPath)).toMatch(/^\/lib(64)?\/.*ld-linux/);
  });

  test("a static program has none, although the loader's name stands in it", () => {
    // The smallest thing that the kernel takes for a program: a header, and no segment that names a loader.
    const file = join(directory, "static");
    const bytes = Buffer.alloc(64 + 56 + 32);
    bytes.write("\x7fELF", 0, "latin1");
    bytes.set([2, 1, 1], 4);
    bytes.writeBigUInt64LE(64n, 32);
    bytes.writeUInt16LE(56, 54);
    bytes.writeUInt16LE(1, 56);
    bytes.writeUInt32LE(1, 64);
    bytes.write("/lib64/ld-linux-x86-64.so.2", 120, "latin1");
    writeFileSync(file, bytes);
    expect(interpreterOf(file)).toBeUndefined();
  });

  test("a script has none", () => {
    expect(interpreterOf(program("script", "true"))).toBeUndefined();
  });
});

describe("packages", () => {
  test("what is there, program or file, is not installed again, whatever package it is of", () => {
    const there = program("busybox", "true");
    expect(missingPackages({ [there]: "busybox", sh: "dash" })).toEqual([]);
  });

  test("what is missing is named once", () => {
    const wanted = { "gantry-no-such": "one", "/no/such/file": "one", "gantry-neither": "two" };
    expect(missingPackages(wanted)).toEqual(["one", "two"]);
  });

  test("nothing of the machine is removed for it", () => {
    program("apt-get", `echo "$*" >> '${directory}/calls'`);
    const { status } = inNode(`apt.ensurePackages({ "gantry-no-such": "a-package" })`, {
      PATH: pathWith(directory),
    });
    expect(status).toBe(0);
    const calls = readFileSync(join(directory, "calls"), "utf8").trim().split("\n");
    expect(calls.at(-1)).toBe("install -q -y --no-install-recommends --no-remove a-package");
  });

  test("another apt is waited for", () => {
    program(
      "apt-get",
      `[ -e '${directory}/free' ] && exit 0
       : > '${directory}/free'
       echo 'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (unattended-upgr)' >&2
       exit 100`,
    );
    const { status, stdout } = inNode(`apt.ensurePackages({ "gantry-no-such": "a-package" })`, {
      PATH: pathWith(directory),
    });
    expect(status).toBe(0);
    expect(stdout).toContain("apt is in use by process 4711 (unattended-upgr); waiting for it to end");
  });

  test("lists that cannot be renewed do not matter where the package can be had", () => {
    program("apt-get", `[ "$1" = install ] || { echo 'E: The repository is not signed.' >&2; exit 100; }`);
    const { status } = inNode(`apt.ensurePackages({ "gantry-no-such": "a-package" })`, {
      PATH: pathWith(directory),
    });
    expect(status).toBe(0);
  });

  test("a failure says what failed and what to do", () => {
    program(
      "apt-get",
      `[ "$1" = update ] || { echo 'E: Unable to locate package a-package' >&2; exit 100; }`,
    );
    const { status, stderr } = inNode(`apt.ensurePackages({ "gantry-no-such": "a-package" })`, {
      PATH: pathWith(directory),
      npm_lifecycle_event: "start",
    });
    expect(status).toBe(1);
    expect(stderr).toBe(
      "apt-get could not install a-package: Unable to locate package a-package\n" +
        "Mend that (apt-get install a-package shows more), then run npm start again.\n",
    );
  });

  test.each([
    [
      "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 12 (apt-get)",
      "process 12 (apt-get)",
    ],
    [
      "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?",
      "another program",
    ],
    ["E: Unable to locate package busybox", undefined],
    ["", undefined],
  ])("%s", (errors, holder) => {
    expect(lockHolder(`W: something\n${errors}\n`)).toBe(holder);
  });

  test("the first error is the one that is told", () => {
    expect(firstError("W: a\nE: b\nE: c\n")).toBe("b");
    expect(firstError("")).toBeUndefined();
  });
});

describe("npm start", () => {
  test("whoever is not root is told so in one line", () => {
    const { status, stderr } = spawnSync("node", [join(repository, "scripts/start.mjs")], {
      encoding: "utf8",
      uid: 65_534,
      gid: 65_534,
      env: { ...process.env, npm_lifecycle_event: "start" },
    });
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: "Containers need root: run this as root (sudo npm start).\n",
    });
  });

  test("a path with a space in it is a path", () => {
    const copy = join(directory, "a clone");
    mkdirSync(copy);
    spawnSync("cp", ["-r", join(repository, "scripts"), copy]);
    const { status, stdout } = spawnSync(
      "node",
      [
        "--input-type=module",
        "--eval",
        `console.log((await import(process.argv[1])).executable)`,
        join(copy, "scripts/lib/host.mjs"),
      ],
      { encoding: "utf8" },
    );
    expect({ status, stdout }).toEqual({ status: 0, stdout: `${join(copy, "dist/gantry")}\n` });
  });

  test("the example takes a port that is free", async () => {
    const server = createServer();
    await new Promise((listening) => server.listen(0, "0.0.0.0", listening));
    const { port } = server.address();
    expect(await freePort(port)).toBeGreaterThan(port);
    server.close();
  });

  test.each([
    [
      'time=x level=info msg="loading"\nfailed to start daemon: the data root /var/lib/gantry is in use by another running gantry daemon\n',
      "the data root /var/lib/gantry is in use by another running gantry daemon",
    ],
    [
      'time=x level=error msg="no \\"conmon\\"" error="not found"\ntime=x level=info msg="stopping"\n',
      'no "conmon": not found',
    ],
    ["something unforeseen\n", "something unforeseen"],
    ["", undefined],
  ])("why an engine ended is told in one line", (log, reason) => {
    expect(lastError(log)).toBe(reason);
  });
});

function pathWith(first) {
  return `${first}:${process.env.PATH}`;
}

test("the scripts are there, each with a line that says what it is for", () => {
  const { scripts } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8"));
  const files = Object.values(scripts).flatMap((line) => /^node (scripts\/\S+)/.exec(line)?.[1] ?? []);
  expect(files.filter((file) => !existsSync(join(repository, file)))).toEqual([]);
});

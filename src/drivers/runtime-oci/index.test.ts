import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { makeBusyboxRoot } from "../../../scripts/lib/busybox.mjs";
import { type RuntimeUnderTest, runtimeContract, type SpecChange } from "../../core/runtime.contract.ts";
import type { CreateTaskOptions } from "../../core/runtime.ts";
import type { RuntimeSpec } from "../../core/runtime-spec.ts";
import { detectCgroups, groupsBelow } from "../../linux/cgroups.ts";
import { processArguments } from "../../linux/processes.ts";
import type { RuntimeConfiguration } from "./binaries.ts";
import { findProgram } from "./binaries.ts";
import { engineCgroup, OciRuntime } from "./index.ts";

let rootfs: string;

beforeAll(() => {
  rootfs = mkdtempSync("/tmp/runtime-root-");
  makeBusyboxRoot(rootfs);
});
afterAll(() => rmSync(rootfs, { recursive: true, force: true }));

interface OciUnderTest extends RuntimeUnderTest {
  readonly execRoot: string;
}

async function make(runtime: string, runtimes: RuntimeConfiguration["runtimes"] = {}): Promise<OciUnderTest> {
  const base = mkdtempSync("/tmp/runtime-oci-");
  const execRoot = join(base, "exec");
  const logs = join(base, "logs");
  mkdirSync(execRoot);
  mkdirSync(logs);
  const instance = base.slice(-6).padStart(8, "0");
  const open = (): OciRuntime =>
    new OciRuntime({ paths: { execRoot, instance }, configuration: () => ({ runtime, runtimes }) });
  let current = open();
  return {
    runtime: current,
    execRoot,
    logs,
    async restart() {
      current[Symbol.dispose]();
      current = open();
      return current;
    },
    spec: (id, args, change) => spec(id, args, { instance, ...change }),
    killMonitor(id) {
      process.kill(Number(readFileSync(join(execRoot, "tasks", id, "conmon.pid"), "utf8")), 9);
    },
    remains: () => [
      ...["tasks", "runtime", "exits"].flatMap((name) => readdirSync(join(execRoot, name))),
      ...groupsBelow(detectCgroups(), engineCgroup(instance)),
      ...[...processArguments()]
        .filter(({ args }) => args.join(" ").includes(execRoot))
        .map(({ pid }) => `${pid}`),
    ],
    async [Symbol.asyncDispose]() {
      await current.recover(new Set());
      current[Symbol.dispose]();
      rmSync(base, { recursive: true, force: true });
    },
  };
}

function spec(
  id: string,
  args: readonly string[],
  { instance, process = {}, resources, hostPids = false }: SpecChange & { instance: string },
): RuntimeSpec {
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args,
      env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"],
      cwd: "/",
      ...process,
    },
    root: { path: rootfs },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["mode=755"] },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["newinstance", "ptmxmode=0666"],
      },
    ],
    linux: {
      cgroupsPath: `${engineCgroup(instance)}/${id}`,
      resources,
      namespaces: [
        ...(hostPids ? [] : [{ type: "pid" as const }]),
        ...(["mount", "ipc", "uts", "network"] as const).map((type) => ({ type })),
      ],
    },
  };
}

describe("crun under conmon", () => {
  runtimeContract(() => make("crun"));
});

describe.if(findProgram("runc") !== undefined)("runc under conmon", () => {
  test("creates, starts, executes and removes as crun does", async () => {
    await using subject = await make("runc");
    const task = await subject.runtime.create({
      id: "one",
      spec: subject.spec("one", ["sh", "-c", "echo hi; sleep 1000"]),
      tty: false,
      stdin: false,
      stdinOnce: false,
      logPath: join(subject.logs, "one"),
      runtime: undefined,
      signal: new AbortController().signal,
    });
    await task.start();
    const { process } = subject.spec("one", ["sh", "-c", "exit 4"]);
    const exec = await task.exec("e", process, { tty: false, stdin: false });
    expect((await exec.exited).exitCode).toBe(4);
    expect(readFileSync(join(subject.logs, "one"), "utf8")).toContain(" stdout F hi\n");
    await task[Symbol.asyncDispose]();
    expect(subject.remains()).toEqual([]);
  });
});

function options(subject: OciUnderTest, id: string, args: readonly string[]): CreateTaskOptions {
  return {
    id,
    spec: subject.spec(id, args),
    tty: false,
    stdin: false,
    stdinOnce: false,
    logPath: join(subject.logs, id),
    runtime: undefined,
    signal: new AbortController().signal,
  };
}

test("torn notes of one task do not keep others from being found", async () => {
  await using subject = await make("crun");
  for (const id of ["torn", "torn-exec", "whole"]) {
    const task = await subject.runtime.create(options(subject, id, ["sleep", "1000"]));
    await task.start();
  }
  const exec = join(subject.execRoot, "tasks", "torn-exec", "execs", "one");
  mkdirSync(exec, { recursive: true });
  writeFileSync(join(exec, "exec.json"), "");
  writeFileSync(join(subject.execRoot, "tasks", "torn", "task.json"), '{"bootId":');
  const runtime = await subject.restart();
  const found = await runtime.recover(new Set(["torn", "torn-exec", "whole"]));
  expect([...found.keys()].sort()).toEqual(["torn-exec", "whole"]);
  for (const task of found.values()) await task[Symbol.asyncDispose]();
  expect(subject.remains()).toEqual([]);
});

test("what an end left behind is removed by the next start", async () => {
  await using subject = await make("crun");
  const first = await subject.runtime.create(options(subject, "again", ["true"]));
  await first.start();
  await first.exited;
  const second = await subject.runtime.create(options(subject, "again", ["sleep", "1000"]));
  await second.start();
  expect(subject.runtime.create(options(subject, "again", ["true"]))).rejects.toThrow("exists already");
  await second[Symbol.asyncDispose]();
  expect(subject.remains()).toEqual([]);
});

test("a runtime that hangs is ended when its start is called off", async () => {
  const hanging = join(rootfs, "..", `hanging-${process.pid}`);
  writeFileSync(hanging, "#!/bin/sh\ncase $1 in --version) exec crun --version;; esac\nexec sleep 1000\n", {
    mode: 0o755,
  });
  await using subject = await make("hanging", { hanging: { path: hanging, args: [] } });
  const start = new AbortController();
  const created = subject.runtime.create({ ...options(subject, "stuck", ["true"]), signal: start.signal });
  const monitor = join(subject.execRoot, "tasks", "stuck", "conmon.pid");
  while (!existsSync(monitor)) await Bun.sleep(5);
  start.abort(new Error("called off"));
  expect(created).rejects.toThrow("called off");
  await created.catch(() => {});
  expect(subject.remains()).toEqual([]);
  rmSync(hanging);
});

test("near the limit of open files nothing more is started, and what runs goes on", async () => {
  await using subject = await make("crun");
  const task = await subject.runtime.create(options(subject, "before", ["sleep", "1000"]));
  await task.start();
  const limited = (soft: string) => Bun.spawnSync(["prlimit", `--pid=${process.pid}`, `--nofile=${soft}:`]);
  const { stdout } = Bun.spawnSync([
    "prlimit",
    `--pid=${process.pid}`,
    "--nofile",
    "-o",
    "SOFT",
    "--noheadings",
  ]);
  limited("140");
  try {
    const refused = subject.runtime.create(options(subject, "after", ["true"]));
    await expect(refused).rejects.toThrow("too many open files");
  } finally {
    limited(stdout.toString().trim());
  }
  await task.kill(9);
  expect((await task.exited).exitCode).toBe(137);
  await task[Symbol.asyncDispose]();
  expect(subject.remains()).toEqual([]);
});

test("programs get no descriptor, directory or variable of the daemon's", async () => {
  await using subject = await make("crun");
  const task = await subject.runtime.create({
    id: "clean",
    spec: subject.spec("clean", ["sleep", "1000"]),
    tty: false,
    stdin: false,
    stdinOnce: false,
    logPath: join(subject.logs, "clean"),
    runtime: undefined,
    signal: new AbortController().signal,
  });
  await task.start();
  while (!readFileSync(`/proc/${task.pid}/cmdline`, "utf8").startsWith("sleep")) await Bun.sleep(5);
  const monitor = readFileSync(`/proc/${task.pid}/stat`, "utf8").split(") ")[1]?.split(" ")[1];
  expect(readFileSync(`/proc/${monitor}/environ`, "utf8")).not.toContain("HOME=");
  expect(readFileSync(`/proc/${task.pid}/environ`, "utf8")).not.toContain("_OCI");
  expect(readdirSync(`/proc/${task.pid}/fd`)).toEqual(["0", "1", "2"]);
  await task[Symbol.asyncDispose]();
  expect(existsSync(`/proc/${task.pid}`)).toBe(false);
});

test("the runtime is a sealed copy, which nothing in a container can write to", async () => {
  await using subject = await make("crun");
  const task = await subject.runtime.create({
    id: "sealed",
    spec: subject.spec("sealed", ["sleep", "1000"]),
    tty: false,
    stdin: false,
    stdinOnce: false,
    logPath: join(subject.logs, "sealed"),
    runtime: undefined,
    signal: new AbortController().signal,
  });
  await task.start();
  // From then on nobody executes the copy: a write is refused by the seal alone.
  while (!readFileSync(`/proc/${task.pid}/cmdline`, "utf8").startsWith("sleep")) await Bun.sleep(5);
  const monitor = readFileSync(`/proc/${task.pid}/stat`, "utf8").split(") ")[1]?.split(" ")[1];
  const args = readFileSync(`/proc/${monitor}/cmdline`, "utf8").split("\0");
  const copy = args
    .map((arg) => arg.replace(/^--runtime-arg=/, ""))
    .find((arg) => /^\/proc\/\d+\/fd\/\d+$/.test(arg));
  expect(readlinkSync(copy ?? "")).toBe("/memfd:crun (deleted)");
  const before = readFileSync(copy ?? "");
  expect(before.equals(readFileSync(findProgram("crun") ?? ""))).toBe(true);
  expect(() => writeFileSync(copy ?? "", "other")).toThrow("EPERM");
  expect(() => appendFileSync(copy ?? "", "more")).toThrow("EPERM");
  expect(readFileSync(copy ?? "").equals(before)).toBe(true);
  await task[Symbol.asyncDispose]();
});

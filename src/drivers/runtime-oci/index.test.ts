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
import type { RuntimeSpec } from "../../core/runtime-spec.ts";
import { detectCgroups, groupsBelow } from "../../linux/cgroups.ts";
import { processArguments } from "../../linux/processes.ts";
import { findProgram } from "./binaries.ts";
import { engineCgroup, OciRuntime } from "./index.ts";

let rootfs: string;

beforeAll(() => {
  rootfs = mkdtempSync("/tmp/runtime-root-");
  makeBusyboxRoot(rootfs);
});
afterAll(() => rmSync(rootfs, { recursive: true, force: true }));

async function make(runtime: string): Promise<RuntimeUnderTest> {
  const base = mkdtempSync("/tmp/runtime-oci-");
  const execRoot = join(base, "exec");
  const logs = join(base, "logs");
  mkdirSync(execRoot);
  mkdirSync(logs);
  const instance = base.slice(-6).padStart(8, "0");
  const open = (): OciRuntime => new OciRuntime({ paths: { execRoot, instance }, runtime, runtimes: {} });
  let current = open();
  return {
    runtime: current,
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
  { instance, process = {}, resources }: SpecChange & { instance: string },
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
      namespaces: [{ type: "mount" }, { type: "pid" }, { type: "ipc" }, { type: "uts" }, { type: "network" }],
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

/**
 * A program that runs to its end as a child of the daemon: `crun run` with pipes for output. Without a monitor there is
 * one process less to start, and nobody to outlive the daemon: boot finds the task's directory and ends what it names.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { RunOnceOptions, StdioChunk, TaskExit } from "../../core/runtime.ts";
import type { Cgroup, CgroupHost } from "../../linux/cgroups.ts";
import { CLEAN_ENVIRONMENT, type RuntimeBinary } from "./binaries.ts";
import { runtimeCommand } from "./host-view.ts";
import { runtimeRoot, type TaskPaths } from "./paths.ts";
import { runtimeError } from "./runtime-errors.ts";
import { killCgroup } from "./task.ts";

interface Parts {
  readonly paths: TaskPaths;
  readonly binary: RuntimeBinary;
  readonly cgroup: Cgroup;
  readonly host: { readonly execRoot: string; readonly cgroups: CgroupHost };
}

/** The bundle is written. @throws SystemError in the runtime's words; the signal's reason */
export async function runOnce(
  { id, spec, signal, onOutput }: RunOnceOptions,
  { paths, binary, cgroup, host }: Parts,
): Promise<Pick<TaskExit, "exitCode">> {
  signal.throwIfAborted();
  const runtimeLog = join(paths.directory, "runtime.log");
  using runtime = runtimeCommand(
    binary,
    host.cgroups,
    ...["--root", runtimeRoot(host.execRoot), "--log", runtimeLog, "--log-format", "text"],
    ...["run", "--bundle", paths.directory, "--pid-file", paths.initPid, id],
  );
  const child = Bun.spawn([...runtime.command], {
    cwd: paths.directory,
    env: { ...CLEAN_ENVIRONMENT },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const onAbort = (): void => {
    child.kill("SIGKILL");
    void killCgroup(cgroup).catch(() => {}); // whoever called tries again, and says so
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const [, , exitCode] = await Promise.all([
      deliver(child.stdout, "stdout", onOutput),
      deliver(child.stderr, "stderr", onOutput),
      child.exited,
    ]);
    signal.throwIfAborted();
    if (exitCode !== 0 && !existsSync(paths.initPid)) {
      throw runtimeError("create", readText(runtimeLog), spec.process.args[0] ?? "");
    }
    return { exitCode: exitCode & 0xff };
  } catch (error) {
    onAbort();
    await child.exited;
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function deliver(
  from: ReadableStream<Uint8Array>,
  stream: StdioChunk["stream"],
  onOutput: RunOnceOptions["onOutput"],
): Promise<void> {
  for await (const bytes of from) await onOutput({ stream, bytes });
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

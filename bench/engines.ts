/**
 * The two engines that are compared, each on a data root of its own on one fresh file system, each driven by its
 * own client. Everything that is started here is stopped by `[Symbol.asyncDispose]`, by pid.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

export interface Engine extends AsyncDisposable {
  readonly name: string;
  /** argv of its own client, connected to it. */
  readonly client: readonly string[];
  /** The engine's processes, without containers and their monitors. */
  readonly pids: readonly number[];
}

/** A fresh ext4 file system in a sparse file: a used one is slower by an unfair share. */
export function freshFileSystem(directory: string): Disposable & { path: string } {
  const image = `${directory}.img`;
  const path = directory;
  mkdirSync(path, { recursive: true });
  run(["truncate", "-s", "20G", image]);
  run(["mkfs.ext4", "-q", image]);
  run(["mount", "-o", "loop", image, path]);
  return {
    path,
    [Symbol.dispose]: () => {
      run(["umount", "-l", path]);
      rmSync(image);
      rmSync(path, { recursive: true });
    },
  };
}

export async function startGantry(root: string, binary: string): Promise<Engine> {
  const socket = join(root, "gantry.sock");
  const daemon = start(root, "gantry", [
    binary,
    "daemon",
    ...["--data-root", join(root, "gantry-data")],
    ...["--exec-root", join(root, "gantry-exec")],
    ...["--host", `unix://${socket}`],
    ...["--pidfile", join(root, "gantry.pid")],
    ...["--bridge", "gtbench0"],
    ...["--log-level", "warn"],
  ]);
  const client = [binary, "-H", `unix://${socket}`];
  await ready(client);
  return {
    name: "gantry",
    client,
    pids: [daemon.pid ?? 0],
    [Symbol.asyncDispose]: async () => {
      removeAll(client);
      await stop(daemon);
      Bun.spawnSync(["ip", "link", "delete", "gtbench0"]);
    },
  };
}

/** Debian's docker.io: dockerd with its own containerd, so that a Docker of the host is left alone. */
export async function startDocker(root: string, binary: string): Promise<Engine> {
  const socket = join(root, "docker.sock");
  const before = nftTables();
  const linksBefore = existsSync("/sys/class/net/docker0");
  const containerdSocket = join(root, "containerd.sock");
  const containerd = start(root, "containerd", [
    "containerd",
    ...["--root", join(root, "containerd-data")],
    ...["--state", join(root, "containerd-run")],
    ...["--address", containerdSocket],
    ...["--log-level", "error"],
  ]);
  const daemon = start(root, "dockerd", [
    "/usr/sbin/dockerd",
    ...["--containerd", containerdSocket],
    ...["--data-root", join(root, "docker-data")],
    ...["--exec-root", join(root, "docker-exec")],
    ...["--host", `unix://${socket}`],
    ...["--pidfile", join(root, "docker.pid")],
    ...["--log-level", "error"],
  ]);
  const client = [binary, "-H", `unix://${socket}`];
  await ready(client);
  return {
    name: "docker",
    client,
    pids: [daemon.pid ?? 0, containerd.pid ?? 0],
    [Symbol.asyncDispose]: async () => {
      removeAll(client);
      await stop(daemon);
      await stop(containerd);
      if (!linksBefore) Bun.spawnSync(["ip", "link", "delete", "docker0"]);
      for (const table of nftTables())
        if (!before.has(table)) Bun.spawnSync(["nft", "delete", "table", ...table.split(" ")]);
    },
  };
}

/** Proportional set size of these processes, KiB: shared pages are counted once, unlike RSS. */
export function proportionalSetSize(pids: readonly number[]): number {
  return pids
    .map((pid) => Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0))
    .reduce((sum, kib) => sum + kib, 0);
}

/** Runs to the end and gives stdout. @throws Error with stderr on a failure */
export function run(argv: readonly string[]): string {
  const result = Bun.spawnSync([...argv], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  if (result.exitCode !== 0) throw new Error(`${argv.join(" ")}: exit ${result.exitCode}\n${result.stderr}`);
  return result.stdout.toString();
}

function start(root: string, name: string, argv: readonly string[]): ChildProcess {
  const log = openSync(join(root, `${name}.log`), "a");
  const [command = "", ...args] = argv;
  return spawn(command, args, { stdio: ["ignore", log, log], detached: true });
}

async function stop(child: ChildProcess): Promise<void> {
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const deadline = setTimeout(() => child.kill("SIGKILL"), 20_000);
  await exited;
  clearTimeout(deadline);
}

async function ready(client: readonly string[]): Promise<void> {
  for (let attempt = 0; attempt < 150; attempt++) {
    if (Bun.spawnSync([...client, "version"], { stdout: "ignore", stderr: "ignore" }).exitCode === 0) return;
    await Bun.sleep(100);
  }
  throw new Error(`no engine answers ${client.join(" ")}`);
}

function removeAll(client: readonly string[]): void {
  const ids = run([...client, "ps", "-aq"])
    .split("\n")
    .filter(Boolean);
  if (ids.length > 0) run([...client, "rm", "-f", ...ids]);
}

function nftTables(): Set<string> {
  const listed = Bun.spawnSync(["nft", "list", "tables"]).stdout.toString();
  return new Set(
    listed
      .split("\n")
      .filter(Boolean)
      .map((line) => line.replace(/^table /, "")),
  );
}

/**
 * Side by side with Docker on this host: same images, same fresh file system, one run. Each case alternates between
 * the engines (A B A B …), so that a drifting machine slows both alike; the table gives medians and their ratio.
 *
 *   npm run bench                       every case
 *   npm run bench -- run exec           cases whose name contains one of the words
 *   BENCH_PAIRS=30 npm run bench        more pairs
 */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pushBusybox } from "./busybox.ts";
import {
  type Engine,
  freshFileSystem,
  proportionalSetSize,
  run,
  startDocker,
  startGantry,
} from "./engines.ts";
import { pushBenchImage } from "./image.ts";

const REGISTRY_PORT = Number(process.env.BENCH_REGISTRY_PORT ?? 5990);
const PAIRS = Number(process.env.BENCH_PAIRS ?? 15);
const SETTLE_MS = 35_000;
const DOCKER = process.env.BENCH_DOCKER ?? "/usr/bin/docker";
const REGISTRY = process.env.GANTRY_TEST_REGISTRY ?? "docker-registry";
const GANTRY = process.env.BENCH_GANTRY ?? join(import.meta.dir, "../dist/gantry");

interface Case {
  readonly name: string;
  /** The ratio that SPEC.md promises. */
  readonly promise: number;
  readonly unit: "ms" | "MiB";
  readonly pairs: number;
  /** One sample. Preparation and clean-up inside are not measured: the case measures itself. */
  readonly sample: (engine: Engine) => Promise<number>;
}

const registry = `127.0.0.1:${REGISTRY_PORT}`;
const busybox = `${registry}/bench/busybox:latest`;
const application = `${registry}/bench/app:latest`;

const cases: readonly Case[] = [
  {
    name: "run --rm busybox true, bridge",
    promise: 0.2,
    unit: "ms",
    pairs: PAIRS,
    sample: (engine) => timed([...engine.client, "run", "--rm", busybox, "true"]),
  },
  {
    name: "run --rm busybox true, --network none",
    promise: 0.2,
    unit: "ms",
    pairs: PAIRS,
    sample: (engine) => timed([...engine.client, "run", "--rm", "--network", "none", busybox, "true"]),
  },
  {
    name: "exec true",
    promise: 0.4,
    unit: "ms",
    pairs: PAIRS,
    sample: async (engine) => {
      await ensureRunning(engine, "bench-exec");
      return await timed([...engine.client, "exec", "bench-exec", "true"]);
    },
  },
  {
    name: "40 detached starts, 8 at a time",
    promise: 0.25,
    unit: "ms",
    pairs: Math.max(3, Math.ceil(PAIRS / 5)),
    sample: async (engine) => {
      const started = performance.now();
      const names = Array.from({ length: 40 }, (_, index) => `bench-many-${index}`);
      const queue = [...names];
      const worker = async () => {
        for (let name = queue.shift(); name !== undefined; name = queue.shift())
          await timed([...engine.client, "run", "-d", "--name", name, busybox, "sleep", "1000"]);
      };
      await Promise.all(Array.from({ length: 8 }, worker));
      const elapsed = performance.now() - started;
      run([...engine.client, "rm", "-f", ...names]);
      return elapsed;
    },
  },
  {
    name: "pull of 4 layers, 120 MB",
    promise: 0.45,
    unit: "ms",
    pairs: Math.max(3, Math.ceil(PAIRS / 3)),
    sample: async (engine) => {
      Bun.spawnSync([...engine.client, "rmi", "-f", application]);
      run(["sync"]);
      return await timed([...engine.client, "pull", "-q", application]);
    },
  },
  {
    name: "push of 4 layers, 120 MB",
    promise: 0.4,
    unit: "ms",
    pairs: Math.max(3, Math.ceil(PAIRS / 3)),
    sample: async (engine) => {
      ensureApplication(engine);
      // A repository of its own each time, in a registry that mounts nothing: every byte is sent.
      const name = `${registry}/bench/push-${crypto.randomUUID().slice(0, 8)}:1`;
      run([...engine.client, "tag", application, name]);
      const elapsed = await timed([...engine.client, "push", "-q", name]);
      run([...engine.client, "rmi", name]);
      return elapsed;
    },
  },
  {
    name: "save of 4 layers, 120 MB",
    promise: 0.4,
    unit: "ms",
    pairs: Math.max(3, Math.ceil(PAIRS / 3)),
    sample: async (engine) => {
      ensureApplication(engine);
      return await timed([...engine.client, "save", "-o", archiveOf(engine), application]);
    },
  },
  {
    name: "load of 4 layers, 120 MB",
    promise: 0.25,
    unit: "ms",
    pairs: Math.max(3, Math.ceil(PAIRS / 3)),
    sample: async (engine) => {
      ensureApplication(engine);
      run([...engine.client, "save", "-o", archiveOf(engine), application]);
      run([...engine.client, "rmi", "-f", application]);
      run(["sync"]);
      return await timed([...engine.client, "load", "-q", "-i", archiveOf(engine)]);
    },
  },
  {
    name: "cp of 200 MB in and out",
    promise: 0.5,
    unit: "ms",
    pairs: Math.max(3, Math.ceil(PAIRS / 3)),
    sample: async (engine) => {
      await ensureRunning(engine, "bench-cp");
      const file = `${archiveOf(engine)}.cp`;
      writeFileSync(file, Buffer.alloc(200 << 20, "bench"));
      const into = await timed([...engine.client, "cp", file, "bench-cp:/bench"]);
      const out = await timed([...engine.client, "cp", "bench-cp:/bench", `${file}.out`]);
      for (const path of [file, `${file}.out`]) rmSync(path);
      return into + out;
    },
  },
  {
    name: "client start (ps -q)",
    promise: 1.5,
    unit: "ms",
    pairs: PAIRS * 2,
    sample: (engine) => timed([...engine.client, "ps", "-q"]),
  },
  {
    name: "daemon memory idle, PSS",
    promise: 0.6,
    unit: "MiB",
    pairs: 3,
    sample: async (engine) => proportionalSetSize(engine.pids) / 1024,
  },
];

const scratch = mkdtempSync(join(tmpdir(), "gantry-bench-files-"));

function archiveOf(engine: Engine): string {
  return join(scratch, `${engine.pids[0]}.tar`);
}

function ensureApplication(engine: Engine): void {
  const there =
    Bun.spawnSync([...engine.client, "image", "inspect", application], { stdout: "ignore" }).exitCode === 0;
  if (!there) run([...engine.client, "pull", "-q", application]);
}

const wanted = process.argv.slice(2);
const chosen = cases.filter((one) => wanted.length === 0 || wanted.some((word) => one.name.includes(word)));

await main();

async function main(): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), "gantry-bench-"));
  try {
    using disk = freshFileSystem(join(work, "disk"));
    await using _registry = await startRegistry(join(work, "registry"));
    await pushBusybox(registry, "bench/busybox", join(work, "busybox"));
    const size = await pushBenchImage(registry, "bench/app", join(work, "app"));
    await using gantry = await startGantry(disk.path, GANTRY);
    await using docker = await startDocker(disk.path, DOCKER);
    for (const engine of [gantry, docker]) run([...engine.client, "pull", "-q", busybox]);
    // Idle memory is measured first, on daemons that have started, pulled an image and then settled.
    await Bun.sleep(SETTLE_MS);
    console.log(
      `pull image: ${(size.compressed / 1e6).toFixed(0)} MB compressed, ${(size.unpacked / 1e6).toFixed(0)} MB unpacked\n`,
    );
    console.log("| case | Gantry | Docker | ratio | promised | |\n|---|---|---|---|---|---|");
    for (const one of [...chosen].sort((a, b) => Number(b.unit === "MiB") - Number(a.unit === "MiB")))
      console.log(await row(one, gantry, docker));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
    rmSync(work, { recursive: true, force: true });
  }
}

async function row(one: Case, gantry: Engine, docker: Engine): Promise<string> {
  const samples = { gantry: [] as number[], docker: [] as number[] };
  await one.sample(gantry);
  await one.sample(docker);
  for (let pair = 0; pair < one.pairs; pair++) {
    samples.gantry.push(await one.sample(gantry));
    samples.docker.push(await one.sample(docker));
  }
  const ratio = median(samples.gantry.map((value, index) => value / (samples.docker[index] ?? Number.NaN)));
  const shown = (values: number[]) => `${median(values).toFixed(1)} ${one.unit}`;
  const verdict = ratio <= one.promise ? "met" : "NOT MET";
  return `| ${one.name} | ${shown(samples.gantry)} | ${shown(samples.docker)} | ${ratio.toFixed(2)} | ≤ ${one.promise.toFixed(2)} | ${verdict} |`;
}

/** Wall time of a process from spawn to exit, ms. @throws Error if it fails: a fast failure is no result */
async function timed(argv: readonly string[]): Promise<number> {
  const started = performance.now();
  const child = Bun.spawn([...argv], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const code = await child.exited;
  const elapsed = performance.now() - started;
  if (code !== 0)
    throw new Error(`${argv.join(" ")}: exit ${code}\n${await new Response(child.stderr).text()}`);
  return elapsed;
}

async function ensureRunning(engine: Engine, name: string): Promise<void> {
  const state = Bun.spawnSync([...engine.client, "inspect", "-f", "{{.State.Running}}", name])
    .stdout.toString()
    .trim();
  if (state !== "true") run([...engine.client, "run", "-d", "--name", name, busybox, "sleep", "100000"]);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1
    ? (sorted[Math.floor(middle)] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

/** The Go registry on loopback: written by others, the same protocol as the public ones. */
async function startRegistry(directory: string): Promise<AsyncDisposable> {
  const config = `${directory}.yml`;
  writeFileSync(
    config,
    `version: 0.1\nstorage: {filesystem: {rootdirectory: ${directory}}}\nhttp: {addr: ${registry}}\nlog: {level: error}\n`,
  );
  const child = spawn(REGISTRY, ["serve", config], { stdio: "ignore" });
  for (let attempt = 0; attempt < 100; attempt++) {
    const answered = await fetch(`http://${registry}/v2/`).then(
      (reply) => reply.ok,
      () => false,
    );
    if (answered) break;
    await Bun.sleep(50);
  }
  return { [Symbol.asyncDispose]: async () => void child.kill("SIGTERM") };
}

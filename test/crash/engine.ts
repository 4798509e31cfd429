/**
 * A compiled engine to be killed: its own data root, exec root, socket and bridge, images from a Go registry on
 * loopback. `kill` is SIGKILL and waits until the process is gone; `start` waits until it answers.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pushBusybox } from "../../bench/busybox.ts";
import { pushImage } from "../../bench/image.ts";
import { removeKept } from "../support/leaks.ts";
import { startRegistry } from "../support/registry.ts";
import { type Api, apiOf } from "./api.ts";
import { type EngineOnHost, monitors, mountsBeneath } from "./residue.ts";

export interface CrashEngine extends EngineOnHost {
  readonly api: Api;
  readonly image: string;
  readonly pulledImage: string;
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Standard output and error of a container, without frames. */
  logs(name: string): Promise<string>;
  logTail(): string;
  /** Removes every container, stops the engine; what is still on the host then is returned, a line each. */
  destroy(): Promise<string[]>;
}

const BINARY = process.env.GANTRY_BINARY ?? join(import.meta.dir, "../../dist/gantry");

export async function startCrashEngine(): Promise<CrashEngine> {
  const root = mkdtempSync(join(tmpdir(), "gantry-crash-"));
  const dataRoot = join(root, "data");
  const execRoot = join(root, "exec");
  const socket = join(root, "engine.sock");
  const logFile = join(root, "engine.log");
  const bridge = `gtx${process.pid.toString(36)}`;
  mkdirSync(join(root, "registry"));
  const registry = await startRegistry({ storage: join(root, "registry"), writable: true });
  await pushBusybox(registry.host, "crash/busybox", join(root, "busybox"));
  await pushImage(registry.host, "crash/app", layersOf(join(root, "app")), { Cmd: ["true"] });
  const api = apiOf(socket);
  let daemon: ChildProcess | undefined;

  const engine: CrashEngine = {
    dataRoot,
    execRoot,
    bridge,
    api,
    image: `${registry.host}/crash/busybox:latest`,
    pulledImage: `${registry.host}/crash/app:latest`,

    async start() {
      const log = openSync(logFile, "a");
      const flags = [
        "--data-root",
        dataRoot,
        "--exec-root",
        execRoot,
        "--host",
        `unix://${socket}`,
        "--bridge",
        bridge,
      ];
      daemon = spawn(BINARY, ["daemon", ...flags, "--pidfile", join(root, "engine.pid")], {
        stdio: ["ignore", log, log],
      });
      for (let attempt = 0; attempt < 600; attempt++) {
        if (daemon.exitCode !== null)
          throw new Error(`the engine ended with ${daemon.exitCode}:\n${engine.logTail()}`);
        const answers = await api.call("GET", "/_ping").then(
          ({ status }) => status === 200,
          () => false,
        );
        if (answers) return;
        await Bun.sleep(10);
      }
      throw new Error(`the engine does not answer:\n${engine.logTail()}`);
    },

    async kill() {
      const dying = daemon;
      if (!dying) return;
      const gone = new Promise((resolve) => dying.once("exit", resolve));
      dying.kill("SIGKILL");
      await gone;
    },

    async logs(name) {
      const reply = await fetch(`http://engine/v1.51/containers/${name}/logs?stdout=1&stderr=1`, {
        unix: socket,
      });
      return unframe(new Uint8Array(await reply.arrayBuffer()));
    },

    logTail: () =>
      existsSync(logFile) ? readFileSync(logFile, "utf8").split("\n").slice(-40).join("\n") : "",

    async destroy() {
      for (const { Id } of await api.get<{ Id: string }[]>("/containers/json?all=1"))
        await api.call("DELETE", `/containers/${Id}?force=1&v=1`);
      const stopped = new Promise((resolve) => daemon?.once("exit", resolve));
      daemon?.kill("SIGTERM");
      await stopped;
      await registry[Symbol.asyncDispose]();
      const left = [
        ...monitors(execRoot).map(({ pid, id }) => `conmon ${pid} of ${id}`),
        // A mount that an engine of this exec root makes again at its next start is its own, not a leak.
        ...mountsBeneath(engine)
          .filter((target) => /[0-9a-f]{64}/.test(target))
          .map((target) => `mount ${target}`),
      ];
      for (const target of mountsBeneath(engine).reverse()) Bun.spawnSync(["umount", "-l", target]);
      removeKept(engine);
      rmSync(root, { recursive: true, force: true });
      return left;
    },
  };

  await engine.start();
  for (const image of [engine.image, engine.pulledImage]) {
    const [repository, tag] = [
      image.slice(0, image.lastIndexOf(":")),
      image.slice(image.lastIndexOf(":") + 1),
    ];
    const pulled = await api.call(
      "POST",
      `/images/create?fromImage=${encodeURIComponent(repository)}&tag=${tag}`,
    );
    if (pulled.status !== 200 || pulled.text.includes("errorDetail"))
      throw new Error(`pull: ${pulled.status} ${pulled.text}`);
  }
  return engine;
}

/** Three layers that take long enough to be interrupted. */
function layersOf(directory: string): Uint8Array[] {
  return [0, 1, 2].map((number) => {
    const root = join(directory, String(number));
    mkdirSync(join(root, `part${number}`), { recursive: true });
    for (let index = 0; index < 200; index++)
      writeFileSync(join(root, `part${number}`, `file${index}`), `${number} ${index}\n`.repeat(3000));
    return Bun.spawnSync(["tar", "-C", root, "-c", "."], { maxBuffer: 1 << 28 }).stdout;
  });
}

/** @see wire contract: eight bytes of header, stream type first, length last */
function unframe(bytes: Uint8Array): string {
  const parts: Uint8Array[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4);
    parts.push(bytes.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return Buffer.concat(parts).toString();
}

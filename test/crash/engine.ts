/**
 * A compiled engine to be killed: its own data root, exec root, socket, bridge and addresses, images from a Go
 * registry on loopback. `kill` is SIGKILL and waits until the process is gone; `start` waits until it answers.
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pushBusybox } from "../../bench/busybox.ts";
import { pushImage } from "../../bench/image.ts";
import { freeSecondOctet } from "../support/engine.ts";
import { instanceOf, remainsOf, removeKept } from "../support/leaks.ts";
import { startRegistry } from "../support/registry.ts";
import { type Api, apiOf } from "./api.ts";
import { type EngineOnHost, mountsBeneath } from "./residue.ts";

export interface CrashEngine extends EngineOnHost {
  readonly api: Api;
  readonly image: string;
  readonly pulledImage: string;
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Starts it and kills it again after so many milliseconds, wherever its start is then. */
  killWhileStarting(delay: number): Promise<void>;
  /** Standard output and error of a container, without frames. */
  logs(name: string): Promise<string>;
  logTail(): string;
  /** Removes every container, stops the engine; what is still on the host then is returned, a line each. */
  destroy(): Promise<string[]>;
}

const BINARY = process.env.GANTRY_BINARY ?? join(import.meta.dir, "../../dist/gantry");

/** @param beforeStart gets the data root, which is an empty directory then */
export async function startCrashEngine({
  beforeStart = () => {},
}: {
  readonly beforeStart?: (dataRoot: string) => void;
} = {}): Promise<CrashEngine> {
  const root = mkdtempSync(join(tmpdir(), "gantry-crash-"));
  const dataRoot = join(root, "data");
  const execRoot = join(root, "exec");
  const socket = join(root, "engine.sock");
  const logFile = join(root, "engine.log");
  const octet = freeSecondOctet();
  const bridge = `gtx${octet}`;
  mkdirSync(join(root, "registry"));
  const registry = await startRegistry({ storage: join(root, "registry"), writable: true });
  await pushBusybox(registry.host, "crash/busybox", join(root, "busybox"));
  await pushImage(registry.host, "crash/app", layersOf(join(root, "app")), { Cmd: ["true"] });
  const api = apiOf(socket);
  let daemon: ChildProcess | undefined;

  const spawnDaemon = (): ChildProcess => {
    const log = openSync(logFile, "a");
    const roots = ["--data-root", dataRoot, "--exec-root", execRoot, "--host", `unix://${socket}`];
    const network = ["--bridge", bridge, "--bip", `10.${octet}.0.1/24`];
    const pool = ["--default-address-pool", `base=10.${octet}.128.0/17,size=24`];
    const flags = [...roots, ...network, ...pool, "--pidfile", join(root, "engine.pid")];
    const child = spawn(BINARY, ["daemon", ...flags], { stdio: ["ignore", log, log] });
    closeSync(log);
    return child;
  };

  const engine: CrashEngine = {
    dataRoot,
    execRoot,
    bridge,
    api,
    image: `${registry.host}/crash/busybox:latest`,
    pulledImage: `${registry.host}/crash/app:latest`,

    get pid() {
      return daemon?.pid ?? 0;
    },

    async start() {
      daemon = spawnDaemon();
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

    async killWhileStarting(delay) {
      daemon = spawnDaemon();
      await Bun.sleep(delay);
      if (daemon.exitCode !== null)
        throw new Error(`the engine ended with ${daemon.exitCode}:\n${engine.logTail()}`);
      await engine.kill();
    },

    async kill() {
      const dying = daemon;
      if (!dying) return;
      const gone = new Promise((resolve) => dying.once("exit", resolve));
      dying.kill("SIGKILL");
      await gone;
    },

    async logs(name) {
      let text = "";
      for await (const piece of api.stream("GET", `/containers/${name}/logs?stdout=1&stderr=1`))
        text += piece;
      return text;
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
      const left = await settled(() =>
        remainsOf([root, bridge, instanceOf(dataRoot)]).filter((line) => !line.startsWith("directory: ")),
      );
      for (const target of [...mountsBeneath(engine).reverse(), dataRoot])
        Bun.spawnSync(["umount", "-l", target]);
      removeKept(engine);
      rmSync(root, { recursive: true, force: true });
      return left;
    },
  };

  mkdirSync(dataRoot, { mode: 0o710 });
  beforeStart(dataRoot);
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

/** The kernel takes some things back a moment after their last user. */
async function settled(look: () => string[]): Promise<string[]> {
  let left = look();
  for (let attempt = 0; attempt < 25 && left.length > 0; attempt++) {
    await Bun.sleep(200);
    left = look();
  }
  return left;
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

/**
 * An engine of its own for a suite: the compiled daemon, or with `GANTRY_ORACLE=1` the original dockerd, with its own
 * data root, exec root, socket, bridge and addresses, so that suites run side by side. Disposing removes everything
 * and fails if something of it is still in the kernel.
 */
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { networkInterfaces, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { $, type Subprocess } from "bun";
import { instanceOf, remainsOf, removeKept } from "./leaks.ts";

export const oracle = process.env.GANTRY_ORACLE === "1";
/** The compiled program under test. */
export const executablePath =
  process.env.GANTRY_TEST_EXECUTABLE ?? resolve(import.meta.dir, "../../dist/gantry");
const sourceDaemon = process.env.GANTRY_TEST_FROM_SOURCE === "1";

export interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: a reply is looked into by the test that asked for it
  json(): any;
}

export interface EngineOptions {
  /** More flags for the daemon. */
  readonly flags?: readonly string[];
  /** More environment for the daemon. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Descriptors that the daemon may have, if fewer than the host allows. */
  readonly openFiles?: number;
}

export class TestEngine implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "gantry-test-"));
  readonly dataRoot = join(this.directory, "data");
  readonly execRoot = join(this.directory, "exec");
  readonly socket = join(this.directory, "engine.sock");
  readonly host = `unix://${this.socket}`;
  readonly logFile = join(this.directory, "daemon.log");
  /** The default bridge's link and its address on the host. */
  readonly bridge: string;
  readonly gateway: string;
  readonly #pool: string;
  readonly #options: EngineOptions;
  #process: Subprocess | undefined;

  constructor(options: EngineOptions) {
    this.#options = options;
    const second = freeSecondOctet();
    this.bridge = `gth${second}`;
    this.gateway = `10.${second}.0.1`;
    this.#pool = `10.${second}.128.0/17`;
  }

  get pid(): number {
    if (!this.#process) throw new Error("the engine does not run");
    return this.#process.pid;
  }

  /** Starts the daemon and waits until it answers. */
  async start(): Promise<void> {
    const log = openSync(this.logFile, "a");
    if (oracle) await this.#makeBridge();
    const { openFiles } = this.#options;
    const limited = openFiles === undefined ? [] : ["prlimit", `--nofile=${openFiles}`];
    this.#process = Bun.spawn([...limited, ...(oracle ? this.#dockerdCommand() : this.#gantryCommand())], {
      stdin: "ignore",
      stdout: log,
      stderr: log,
      env: { ...process.env, ...this.#options.environment },
    });
    const deadline = Date.now() + 30_000;
    while (!(await this.answers())) {
      if (this.#process.exitCode !== null || Date.now() > deadline) {
        throw new Error(`the daemon did not start:\n${this.log().split("\n").slice(-30).join("\n")}`);
      }
      await Bun.sleep(10);
    }
  }

  /** SIGKILL, as a crash; returns when the process is gone. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
  }

  /** SIGTERM. @throws if the daemon needs longer than 20 s */
  async stop(): Promise<void> {
    this.#process?.kill("SIGTERM");
    const ended = await Promise.race([this.#process?.exited, Bun.sleep(20_000).then(() => "late")]);
    if (ended === "late") {
      await this.kill();
      throw new Error("the daemon did not end within 20 s of SIGTERM");
    }
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async answers(): Promise<boolean> {
    try {
      return (await this.request("GET", "/_ping", { timeout: 2_000 })).status === 200;
    } catch {
      return false;
    }
  }

  log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, "utf8") : "";
  }

  /** One plain request; the body is sent as JSON unless it is bytes or text. */
  async request(
    method: string,
    path: string,
    options: { body?: unknown; headers?: Record<string, string>; timeout?: number } = {},
  ): Promise<Reply> {
    const { body } = options;
    const bytes = body === undefined ? undefined : isRaw(body) ? body : JSON.stringify(body);
    const { promise, resolve: settle, reject } = Promise.withResolvers<Reply>();
    const sent = httpRequest(
      {
        socketPath: this.socket,
        method,
        path,
        headers: {
          Host: "engine",
          ...(bytes === undefined
            ? {}
            : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(bytes) }),
          ...options.headers,
        },
      },
      (reply) => {
        const chunks: Buffer[] = [];
        reply.on("data", (chunk: Buffer) => chunks.push(chunk));
        reply.on("error", reject);
        reply.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          settle({
            status: reply.statusCode ?? 0,
            headers: reply.headers,
            text,
            json: () => JSON.parse(text),
          });
        });
      },
    );
    sent.setTimeout(options.timeout ?? 30_000, () =>
      sent.destroy(new Error(`no answer to ${method} ${path}`)),
    );
    sent.on("error", reject);
    sent.end(bytes);
    return await promise;
  }

  /** A request that must succeed, with its JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: see Reply
  async call(method: string, path: string, body?: unknown): Promise<any> {
    const reply = await this.request(method, path, { body });
    if (reply.status >= 300) throw new Error(`${method} ${path}: ${reply.status} ${reply.text}`);
    return reply.text.startsWith("{") || reply.text.startsWith("[") ? reply.json() : reply.text;
  }

  /** Pulls from a registry. @throws with the error that the progress stream ends in */
  async pull(image: string, query = ""): Promise<string> {
    const reply = await this.request(
      "POST",
      `/images/create?fromImage=${encodeURIComponent(image)}${query}`,
      {
        timeout: 120_000,
      },
    );
    const trouble = reply.status >= 300 || reply.text.includes('"errorDetail"');
    if (trouble)
      throw new Error(`pull of ${image}: ${reply.status} ${reply.text.split("\n").slice(-3).join(" ")}`);
    return reply.text;
  }

  /** Pulls an image of the fixtures and names it without the registry: `busybox:latest`. */
  async provide(registry: string, ...names: readonly string[]): Promise<void> {
    for (const name of names) {
      // Without a tag the API pulls all of them.
      const [repository = "", tag = "latest"] = name.split(":");
      await this.pull(`${registry}/${repository}:${tag}`);
      await this.call("POST", `/images/${registry}/${repository}:${tag}/tag?repo=${repository}&tag=${tag}`);
    }
  }

  /** Removes every container, volume and network. */
  async clear(): Promise<void> {
    const containers = (await this.call("GET", "/containers/json?all=1")) as { Id: string }[];
    await Promise.all(containers.map(({ Id }) => this.request("DELETE", `/containers/${Id}?force=1&v=1`)));
    const volumes = (await this.call("GET", "/volumes")) as { Volumes: { Name: string }[] | null };
    for (const { Name } of volumes.Volumes ?? []) await this.request("DELETE", `/volumes/${Name}?force=1`);
    const networks = (await this.call("GET", "/networks")) as { Name: string; Id: string }[];
    const own = networks.filter(({ Name }) => !["bridge", "host", "none"].includes(Name));
    for (const { Id } of own) await this.request("DELETE", `/networks/${Id}`);
  }

  /** Ends and removes everything. @throws if anything of this engine remains in the kernel */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#process?.exitCode === null) {
        await this.clear();
        await this.stop();
      }
      if (oracle) await this.#removeOracleRemains();
      else removeKept(this);
      const remains = await this.#settledRemains();
      if (remains.length > 0) throw new Error(`left behind by the engine:\n${remains.join("\n")}`);
      const uncaught = this.#uncaught();
      if (uncaught.length > 0) throw new Error(`errors that nobody caught:\n${uncaught.join("\n")}`);
    } finally {
      await this.kill();
      await this.#forceCleanUp();
    }
  }

  /** The part of kernel names that is this engine's. */
  get instance(): string {
    return instanceOf(this.dataRoot);
  }

  /** Of all that happened while it ran, crashes aside: each is a fault, even if the daemon went on. */
  #uncaught(): string[] {
    if (oracle) return [];
    return this.log()
      .split("\n")
      .filter((line) => / msg="(?:unhandled rejection|uncaught exception)"/.test(line));
  }

  #gantryCommand(): string[] {
    const program = sourceDaemon
      ? [process.execPath, resolve(import.meta.dir, "../../src/main.ts")]
      : [executablePath];
    return [
      ...program,
      "daemon",
      ...this.#commonFlags(),
      "--bridge",
      this.bridge,
      "--bip",
      `${this.gateway}/24`,
    ];
  }

  #dockerdCommand(): string[] {
    return ["dockerd", ...this.#commonFlags(), "--bridge", this.bridge, "--fixed-cidr", `${this.gateway}/24`];
  }

  #commonFlags(): string[] {
    const roots = ["--data-root", this.dataRoot, "--exec-root", this.execRoot, "--host", this.host];
    const pool = ["--default-address-pool", `base=${this.#pool},size=24`];
    return [...roots, "--pidfile", join(this.directory, "pid"), ...pool, ...(this.#options.flags ?? [])];
  }

  /** dockerd takes `--bip` for docker0 alone; its bridge must be there if it has another name. */
  async #makeBridge(): Promise<void> {
    if (existsSync(`/sys/class/net/${this.bridge}`)) return;
    await $`ip link add ${this.bridge} type bridge && ip addr add ${this.gateway}/24 dev ${this.bridge} && ip link set ${this.bridge} up`;
  }

  /** What dockerd leaves by design: its bridges. */
  async #removeOracleRemains(): Promise<void> {
    await $`ip link del ${this.bridge}`.quiet().nothrow();
    await $`umount -l ${this.execRoot}/netns/default`.quiet().nothrow();
  }

  async #settledRemains(): Promise<string[]> {
    const words = [this.directory, `${this.bridge}`, this.instance];
    let remains = remainsOf(words).filter((line) => !line.startsWith("directory: "));
    for (let attempt = 0; attempt < 25 && remains.length > 0; attempt++) {
      await Bun.sleep(200);
      remains = remainsOf(words).filter((line) => !line.startsWith("directory: "));
    }
    return remains;
  }

  /** After a failed test too, the machine must be as it was. */
  async #forceCleanUp(): Promise<void> {
    for (const line of remainsOf([this.directory])) {
      const pid = /^process: (\d+) /.exec(line)?.[1];
      if (pid) await $`kill -9 ${pid}`.quiet().nothrow();
    }
    for (const line of remainsOf([this.directory]).reverse()) {
      const point = /^mount: (.+) \(\S+\)$/.exec(line)?.[1];
      if (point) await $`umount -l ${point}`.quiet().nothrow();
    }
    if (existsSync(`/sys/class/net/${this.bridge}`)) await $`ip link del ${this.bridge}`.quiet().nothrow();
    await $`nft delete table inet gantry-${this.instance}`.quiet().nothrow();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A running engine of its own. */
export async function startEngine(options: EngineOptions = {}): Promise<TestEngine> {
  const engine = new TestEngine(options);
  try {
    await engine.start();
  } catch (error) {
    await engine[Symbol.asyncDispose]().catch(() => {});
    throw error;
  }
  return engine;
}

/** The host's own address, other than loopback and the bridges of engines. */
export function hostAddress(): string {
  const routed = Bun.spawnSync(["ip", "-4", "route", "get", "192.0.2.1"]).stdout.toString();
  const address = /\bsrc (\S+)/.exec(routed)?.[1];
  if (!address) throw new Error("this host has no address besides loopback");
  return address;
}

/** A number 100–199 for which the host has no address 10.n.…: bridges and pools of engines side by side. */
export function freeSecondOctet(): number {
  const used = Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).map(({ address }) => address),
  );
  for (let attempt = 0; attempt < 200; attempt++) {
    const octet = 100 + Math.floor(Math.random() * 100);
    if (
      !used.some((address) => address.startsWith(`10.${octet}.`)) &&
      !existsSync(`/sys/class/net/gth${octet}`) &&
      !existsSync(`/sys/class/net/gtx${octet}`)
    ) {
      return octet;
    }
  }
  throw new Error("no free addresses 10.100–10.199");
}

function isRaw(body: unknown): body is string | Uint8Array {
  return typeof body === "string" || body instanceof Uint8Array;
}

/** A registry of our own on a free port of loopback, from the compiled program. */
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { executablePath } from "./engine.ts";
import { freePort } from "./registry.ts";

export interface GantryRegistryOptions {
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

export class GantryRegistry implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "gantry-own-registry-"));
  readonly dataRoot = join(this.directory, "data");
  readonly #options: GantryRegistryOptions;
  #port = 0;
  #process: Subprocess | undefined;

  constructor(options: GantryRegistryOptions = {}) {
    this.#options = options;
  }

  /** `127.0.0.1:<port>`; stays over a restart. */
  get host(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get pid(): number {
    if (!this.#process) throw new Error("the registry does not run");
    return this.#process.pid;
  }

  async start(): Promise<this> {
    if (this.#port === 0) this.#port = await freePort();
    const log = openSync(join(this.directory, "log"), "a");
    const flags = ["--addr", this.host, "--data-root", this.dataRoot, ...(this.#options.flags ?? [])];
    this.#process = Bun.spawn([executablePath, "registry", "serve", ...flags], {
      stdin: "ignore",
      stdout: log,
      stderr: log,
      env: { ...process.env, ...this.#options.environment },
    });
    const deadline = Date.now() + 20_000;
    while (!(await this.#isReady())) {
      if (this.#process.exitCode !== null || Date.now() > deadline) {
        throw new Error(`the registry did not start:\n${this.log()}`);
      }
      await Bun.sleep(20);
    }
    return this;
  }

  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
  }

  /** @param path below the registry: `/v2/` */
  async fetch(path: string, init: RequestInit & { readonly as?: string } = {}): Promise<Response> {
    const { as, ...rest } = init;
    const headers = new Headers(rest.headers);
    if (as !== undefined) headers.set("Authorization", `Basic ${Buffer.from(as).toString("base64")}`);
    return await fetch(`http://${this.host}${path}`, { redirect: "manual", ...rest, headers });
  }

  /** As root of the machine, over the registry's socket. @throws if the answer is no success */
  async administer(method: string, path: string, body?: unknown): Promise<unknown> {
    const reply = await fetch(`http://localhost/admin/v1/${path}`, {
      method,
      unix: join(this.dataRoot, "admin.sock"),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await reply.text();
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  log(): string {
    return readFileSync(join(this.directory, "log"), "utf8");
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await fetch(`http://${this.host}/readyz`)).ok;
    } catch {
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process?.kill("SIGTERM");
    await this.#process?.exited;
    rmSync(this.directory, { recursive: true, force: true });
  }
}

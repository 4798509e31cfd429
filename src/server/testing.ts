/** For tests of this folder: a server with a few handlers on a socket of its own, and a client that speaks bytes. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Handlers } from "./call.ts";
import { pingHandlers } from "./handlers/ping.ts";
import { type ApiServer, createServer, type Identity, type ServerOptions } from "./index.ts";

export const testIdentity: Identity = {
  version: "1.2.3",
  gitCommit: "abc",
  buildTime: "2026-01-01T00:00:00Z",
  experimental: false,
  builderVersion: "1",
  swarm: "inactive",
};

export interface TestServer extends AsyncDisposable {
  readonly server: ApiServer;
  readonly path: string;
  readonly directory: string;
}

export async function serve(handlers: Handlers, limits?: ServerOptions["limits"]): Promise<TestServer> {
  const directory = mkdtempSync(join(tmpdir(), "gantry-server-"));
  const path = join(directory, "api.sock");
  const server = createServer({
    handlers: { ...pingHandlers, ...handlers },
    identity: testIdentity,
    limits,
  });
  await server.listen({ kind: "unix", path });
  return {
    server,
    path,
    directory,
    [Symbol.asyncDispose]: async () => {
      await server.close(100);
      rmSync(directory, { recursive: true });
    },
  };
}

/** A connection as bytes. */
export class Wire implements Disposable {
  readonly socket: Socket;
  #received = "";
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(target: string | { host: string; port: number }) {
    this.socket =
      typeof target === "string"
        ? connect({ path: target, allowHalfOpen: true })
        : connect({ ...target, allowHalfOpen: true });
    this.socket.on("data", (bytes: Buffer) => {
      this.#received += bytes.toString("latin1");
      this.#wake?.();
    });
    const end = () => {
      this.#ended = true;
      this.#wake?.();
    };
    this.socket.on("end", end);
    this.socket.on("close", end);
    this.socket.on("error", end);
  }

  get received(): string {
    return this.#received;
  }

  /** The server has sent its end. */
  get ended(): boolean {
    return this.#ended;
  }

  send(text: string): this {
    this.socket.write(Buffer.from(text, "latin1"));
    return this;
  }

  halfClose(): this {
    this.socket.end();
    return this;
  }

  /** All that came until the given text did. @throws after two seconds */
  async until(text: string): Promise<string> {
    await this.#wait(() => this.#received.includes(text) || this.#ended);
    if (!this.#received.includes(text))
      throw new Error(`never came: ${text}; but ${JSON.stringify(this.#received)}`);
    return this.#received;
  }

  /** All that came until the server's end. @throws after two seconds */
  async end(): Promise<string> {
    await this.#wait(() => this.#ended);
    return this.#received;
  }

  async #wait(done: () => boolean): Promise<void> {
    const deadline = Date.now() + 4000;
    while (!done()) {
      if (Date.now() > deadline) throw new Error(`timed out; received ${JSON.stringify(this.#received)}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = setTimeout(resolve, 200);
      await promise;
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** Waits until it is true. @throws after two seconds */
export async function eventually(check: () => boolean): Promise<void> {
  for (let tries = 0; !check(); tries++) {
    if (tries > 200) throw new Error("did not become true");
    await Bun.sleep(10);
  }
}

export function request(method: string, target: string, headers = "", body = ""): string {
  const length = body
    ? `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`
    : "";
  return `${method} ${target} HTTP/1.1\r\nHost: docker\r\n${headers}${length}\r\n${body}`;
}

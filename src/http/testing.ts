/** For tests: a client that speaks bytes. */
import { connect, type Socket } from "node:net";

/** A connection as bytes. */
export class Wire implements Disposable {
  readonly socket: Socket;
  #received = "";
  #bytesReceived = 0;
  #ended = false;
  #wake: (() => void) | undefined;

  /** @param keep so many characters of what comes are kept; the rest is counted */
  constructor(
    target: string | { host: string; port: number },
    { keep = Number.POSITIVE_INFINITY }: { readonly keep?: number } = {},
  ) {
    this.socket =
      typeof target === "string"
        ? connect({ path: target, allowHalfOpen: true })
        : connect({ ...target, allowHalfOpen: true });
    this.socket.on("data", (bytes: Buffer) => {
      this.#bytesReceived += bytes.length;
      if (this.#received.length < keep)
        this.#received += bytes.toString("latin1", 0, Math.min(bytes.length, keep));
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

  get bytesReceived(): number {
    return this.#bytesReceived;
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

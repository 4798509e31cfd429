/**
 * One byte connection to an engine, over `Bun.connect`: the cheapest socket that the platform has (node:http costs
 * a short-lived client several milliseconds of start-up). Owns: connecting, back-pressure both ways, half-close.
 */
import type { EngineAddress } from "./address.ts";
import { EngineConnectionError, EngineProtocolError } from "./errors.ts";
import { CommandStream, toSshCommand } from "./ssh.ts";

/** PEM texts; all absent means encryption against the system's roots. */
export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** False for `--tls` without `--tlsverify`: encrypted, the peer is not checked. */
  readonly verify: boolean;
}

/** Unread bytes beyond which the socket is paused. */
const HIGH_WATER = 1 << 20;

type Underlying = Bun.Socket<undefined> | CommandStream;

export class ByteSocket {
  readonly #socket: Underlying;
  readonly #received: Uint8Array[] = [];
  #receivedBytes = 0;
  #ended = false;
  #failure: Error | undefined;
  #paused = false;
  #wakeReader: (() => void) | undefined;
  #wakeWriters: (() => void)[] = [];
  #writing: Promise<void> = Promise.resolve();
  #closed = false;
  #onIdleClose: (() => void) | undefined;

  private constructor(socket: Underlying) {
    this.#socket = socket;
  }

  /**
   * @param purpose what the connection is for, as an error names it: `Get "http://…"`
   * @throws EngineConnectionError
   */
  static async connect(
    address: EngineAddress,
    tls: TlsOptions | undefined,
    purpose: string,
  ): Promise<ByteSocket> {
    if (address.kind === "ssh") return ByteSocket.#over(toSshCommand(address));
    let self: ByteSocket | undefined;
    const established = Promise.withResolvers<ByteSocket>();
    const handlers: Bun.SocketHandler<undefined> = {
      open(socket) {
        self = new ByteSocket(socket);
        if (!tls) established.resolve(self);
      },
      handshake(_socket, success, error) {
        if (success || tls?.verify === false) {
          if (self) established.resolve(self);
        } else {
          established.reject(error ?? new Error("TLS handshake failed"));
        }
      },
      data(_socket, bytes) {
        if (self) self.#push(bytes);
      },
      drain() {
        if (self) self.#wakeAllWriters();
      },
      end() {
        if (self) self.#end();
      },
      close() {
        if (self) self.#shut();
        established.reject(new Error("connection closed by the engine"));
      },
      error(_socket, error) {
        if (self) self.#fail(error);
        established.reject(error);
      },
      connectError(_socket, error) {
        established.reject(error);
      },
    };
    established.promise.catch(() => {});
    try {
      const options =
        address.kind === "unix"
          ? { unix: address.path, socket: handlers, allowHalfOpen: true }
          : {
              hostname: address.hostname,
              port: address.port,
              socket: handlers,
              allowHalfOpen: true,
              ...(tls && { tls: toBunTls(tls, address.hostname) }),
            };
      Bun.connect(options as Bun.UnixSocketOptions<undefined>).catch((error: unknown) =>
        established.reject(error),
      );
      return await established.promise;
    } catch (error) {
      throw toConnectionError(address, tls, purpose, error);
    }
  }

  static #over(command: readonly string[]): ByteSocket {
    const stream = new CommandStream(command, {
      data: (bytes) => self.#push(bytes),
      end: () => self.#shut(),
      error: (error) => self.#fail(error),
    });
    const self = new ByteSocket(stream);
    return self;
  }

  /** The next bytes, or undefined at the end of what the peer sends. @throws EngineProtocolError if it broke off */
  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.#received.shift();
      if (chunk) {
        this.#receivedBytes -= chunk.byteLength;
        if (this.#paused && this.#receivedBytes < HIGH_WATER / 2) {
          this.#paused = false;
          this.#socket.resume();
        }
        return chunk;
      }
      if (this.#failure) throw this.#failure;
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  /** Puts bytes back in front: what was read beyond a message. */
  unread(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    this.#received.unshift(bytes);
    this.#receivedBytes += bytes.byteLength;
  }

  /** Resolves when the kernel has taken all of it. Calls are served in order. */
  write(bytes: Uint8Array): Promise<void> {
    const result = this.#writing.then(() => this.#writeNow(bytes));
    this.#writing = result.catch(() => {});
    return result;
  }

  /** No more bytes will be sent; reading goes on. */
  async halfClose(): Promise<void> {
    await this.#writing;
    if (!this.#closed) this.#socket.shutdown();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.terminate();
  }

  /** True if nothing is left to read and the peer is still there: the connection can carry another request. */
  get reusable(): boolean {
    return !this.#closed && !this.#ended && !this.#failure && this.#received.length === 0;
  }

  /** Called once if the peer goes away or speaks while nobody reads. */
  whenDisturbed(listener: (() => void) | undefined): void {
    this.#onIdleClose = listener;
  }

  async #writeNow(bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    for (;;) {
      if (this.#failure) throw this.#failure;
      if (this.#closed) throw new EngineProtocolError("write on a closed connection");
      const written = await this.#socket.write(rest);
      if (written < 0) throw new EngineProtocolError("connection closed by the engine");
      if (written >= rest.byteLength) return;
      rest = rest.subarray(written);
      await new Promise<void>((resolve) => this.#wakeWriters.push(resolve));
    }
  }

  #push(bytes: Uint8Array): void {
    this.#received.push(bytes);
    this.#receivedBytes += bytes.byteLength;
    if (this.#receivedBytes > HIGH_WATER && !this.#paused) {
      this.#paused = true;
      this.#socket.pause();
    }
    this.#wake();
    this.#onIdleClose?.();
  }

  #end(): void {
    this.#ended = true;
    this.#wake();
    this.#onIdleClose?.();
  }

  #shut(): void {
    this.#closed = true;
    this.#wakeAllWriters();
    this.#end();
  }

  #fail(error: Error): void {
    this.#failure ??= new EngineProtocolError(error.message, { cause: error });
    this.#wake();
    this.#wakeAllWriters();
    this.#onIdleClose?.();
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    wake?.();
  }

  #wakeAllWriters(): void {
    const waiting = this.#wakeWriters;
    this.#wakeWriters = [];
    for (const wake of waiting) wake();
  }
}

function toBunTls(tls: TlsOptions, hostname: string): Bun.TLSOptions {
  return {
    ...(tls.ca !== undefined && { ca: tls.ca }),
    ...(tls.cert !== undefined && { cert: tls.cert }),
    ...(tls.key !== undefined && { key: tls.key }),
    rejectUnauthorized: tls.verify,
    serverName: hostname,
  };
}

function toConnectionError(
  address: Exclude<EngineAddress, { kind: "ssh" }>,
  tls: TlsOptions | undefined,
  purpose: string,
  cause: unknown,
): Error {
  const code = (cause as { code?: unknown } | undefined)?.code;
  const message = cause instanceof Error ? cause.message : String(cause);
  if (code === "EACCES" || code === "EPERM") {
    const path = address.kind === "unix" ? address.path : address.text;
    return new EngineConnectionError(
      `permission denied while trying to connect to the Docker daemon socket at ${address.text}: ${purpose}: dial unix ${path}: connect: permission denied`,
      { cause },
    );
  }
  if (address.kind === "unix" || code === "ECONNREFUSED" || code === "ETIMEDOUT") {
    return new EngineConnectionError(
      `Cannot connect to the Docker daemon at ${address.text}. Is the docker daemon running?`,
      { cause },
    );
  }
  const scheme = tls ? "https" : "http";
  return new EngineConnectionError(
    `error during connect: ${scheme}://${address.hostname}:${address.port}: ${message || String(code)}`,
    { cause },
  );
}

/** Ways to a log server. A connection is made when there is something to send and made again when it broke. */
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { closeSync } from "node:fs";
import { connect as connectTcp, isIPv6, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { hasCode } from "../../../base/error-codes.ts";
import { connectLocalDatagrams, sendLocalDatagram } from "../../../linux/datagrams.ts";

export interface Transport {
  /** Settles when it was handed to the network. @throws when it could not be: then it is tried again */
  send(bytes: Uint8Array): Promise<void>;
  close(): void;
}

const CONNECT_TIMEOUT = 10_000;
const RECEIVER_PAUSE = 10;

export type StreamAddress =
  | { readonly host: string; readonly port: number; readonly tls?: ConnectionOptions }
  | { readonly path: string };

/** TCP, TLS or a local stream socket. */
export class StreamTransport implements Transport {
  readonly #address: StreamAddress;
  #socket: Promise<Socket> | undefined;
  #closed = false;

  constructor(address: StreamAddress) {
    this.#address = address;
  }

  async send(bytes: Uint8Array): Promise<void> {
    this.#socket ??= this.#connect();
    try {
      const socket = await this.#socket;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const onClose = (): void => reject(new Error("the log server closed the connection"));
      socket.once("close", onClose);
      socket.write(bytes, (error) => (error ? reject(error) : resolve()));
      try {
        await promise;
      } finally {
        socket.off("close", onClose);
      }
    } catch (error) {
      this.#socket = undefined;
      throw error;
    }
  }

  async #connect(): Promise<Socket> {
    if (this.#closed) throw new Error("closed");
    const address = this.#address;
    const secure = "tls" in address && address.tls !== undefined;
    const socket: Socket = secure
      ? connectTls({ host: address.host, port: address.port, ...address.tls })
      : connectTcp("path" in address ? { path: address.path } : { host: address.host, port: address.port });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error("connecting took too long")), CONNECT_TIMEOUT);
    socket.once(secure ? "secureConnect" : "connect", () => resolve());
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("the log server closed the connection")));
    try {
      await promise;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
    // Later ones are seen by the write that fails.
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#socket = undefined;
    });
    socket.resume();
    socket.unref();
    if (this.#closed) socket.destroy();
    return socket;
  }

  close(): void {
    this.#closed = true;
    void this.#socket?.then(
      (socket) => socket.destroySoon(),
      () => {},
    );
    this.#socket = undefined;
  }
}

/** UDP: what is lost is lost. */
export class DatagramTransport implements Transport {
  readonly #socket: DatagramSocket;
  readonly #host: string;
  readonly #port: number;

  constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
    this.#socket = createSocket(isIPv6(host) ? "udp6" : "udp4").on("error", () => {});
    this.#socket.unref();
  }

  async send(bytes: Uint8Array): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.send(bytes, this.#port, this.#host, () => resolve());
    await promise;
  }

  close(): void {
    this.#socket.close();
  }
}

/** A local socket of datagrams: syslog's and journald's. */
export class LocalTransport implements Transport {
  readonly #path: string;
  #fd = -1;
  #closed = false;

  constructor(path: string) {
    this.#path = path;
  }

  async send(bytes: Uint8Array): Promise<void> {
    try {
      if (this.#fd < 0) this.#fd = connectLocalDatagrams(this.#path);
      while (!this.#closed && !sendLocalDatagram(this.#fd, bytes)) await Bun.sleep(RECEIVER_PAUSE);
    } catch (error) {
      this.#release();
      // Longer than the receiver takes: it would fail for ever.
      if (!hasCode(error, "EMSGSIZE")) throw error;
    }
  }

  close(): void {
    this.#closed = true;
    this.#release();
  }

  #release(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

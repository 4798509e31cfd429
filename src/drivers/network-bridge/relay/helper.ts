/**
 * The relay: one process for all ports of an engine that the kernel cannot lead to a container (host IPv6 to a
 * container that has IPv4 only, and `::1`, which the kernel routes over loopback alone). It outlives the daemon, like
 * containers do, and ends when it serves nothing. Bytes are spliced: they never enter this process.
 *
 * The thread belongs to this loop: everything is done with epoll and calls that do not wait.
 */
import { closeSync, existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { hasCode } from "../../../base/error-codes.ts";
import { messageOf } from "../../../core/errors.ts";
import { receiveWithDescriptor, sendWithDescriptor } from "../../../linux/descriptor-passing.ts";
import { EPOLL, Epoll } from "../../../linux/epoll.ts";
import { acceptConnection } from "../../../linux/sockets.ts";
import type { Handler, Loop } from "./loop.ts";
import { type FromRelay, INHERITED, RELAY_SOCKET, type RelayedPort, type ToRelay } from "./protocol.ts";
import { TcpRelay } from "./tcp.ts";
import { UdpRelay } from "./udp.ts";

/** Without a port for this long it ends. */
const IDLE_MS = 10_000;
const TICK_MS = 5000;

interface Served {
  readonly port: RelayedPort;
  readonly fd: number;
  readonly relay: TcpRelay | UdpRelay;
}

/** @param args the exec root */
export async function main([execRoot = ""]: readonly string[]): Promise<void> {
  const socketPath = join(execRoot, RELAY_SOCKET);
  new Relay().run({ while: () => existsSync(socketPath) });
  rmSync(socketPath, { force: true });
}

class Relay implements Loop {
  readonly #epoll = new Epoll();
  readonly #handlers = new Map<number, Handler>();
  readonly #served = new Map<string, Served>();
  /** Descriptors that have more to do although nothing new happens. */
  #eager = new Set<number>();
  #daemon: number | undefined;
  #idleSince = performance.now();

  constructor() {
    this.watch(INHERITED.listening, () => this.#acceptDaemon());
    this.#adopt(INHERITED.daemon);
  }

  /** Ends when it serves nothing, and when nobody could find it any more. @param condition asked now and then */
  run({ while: isFindable }: { while: () => boolean }): void {
    for (;;) {
      const ready = this.#epoll.wait(this.#eager.size > 0 ? 0 : TICK_MS);
      const eager = this.#eager;
      this.#eager = new Set();
      for (const { fd, events } of ready) {
        eager.delete(fd);
        this.#handle(fd, events);
      }
      for (const fd of eager) this.#handle(fd, 0);
      for (const { relay } of this.#served.values()) relay.tick();
      if (ready.length === 0 && !isFindable()) return;
      if (this.#served.size > 0) this.#idleSince = performance.now();
      else if (this.#daemon === undefined || performance.now() - this.#idleSince > IDLE_MS) return;
    }
  }

  /** Trouble with one descriptor (none is left, say) stops nobody else. */
  #handle(fd: number, events: number): void {
    try {
      this.#handlers.get(fd)?.(events);
    } catch (error) {
      this.#tell({ kind: "trouble", reason: messageOf(error) });
    }
  }

  watch(fd: number, handler: Handler): void {
    this.#handlers.set(fd, handler);
    this.#epoll.add(fd, EPOLL.IN | EPOLL.OUT | EPOLL.RDHUP);
  }

  again(fd: number): void {
    this.#eager.add(fd);
  }

  close(fd: number): void {
    this.#handlers.delete(fd);
    this.#eager.delete(fd);
    this.#epoll.remove(fd);
    closeSync(fd);
  }

  #acceptDaemon(): void {
    for (;;) {
      const fd = acceptConnection(INHERITED.listening);
      if (fd === undefined) return;
      // What the last daemon said before it died still counts.
      if (this.#daemon !== undefined) while (this.#hear(this.#daemon));
      this.#adopt(fd);
      for (const { port, fd: socket } of this.#served.values()) this.#tell({ kind: "serving", port }, socket);
      this.#tell({ kind: "told" });
    }
  }

  /** There is one daemon: a new one takes the place of one that has not been noticed to be gone. */
  #adopt(fd: number): void {
    if (this.#daemon !== undefined) this.#forsake(this.#daemon);
    this.#daemon = fd;
    this.watch(fd, (events) => this.#listen(fd, events));
    this.again(fd);
  }

  #listen(fd: number, events: number): void {
    if (this.#hear(fd)) this.again(fd);
    else if (events & (EPOLL.HUP | EPOLL.ERR)) this.#forsake(fd);
  }

  /** False if there was nothing. */
  #hear(fd: number): boolean {
    try {
      const message = receiveWithDescriptor(fd, { wait: false });
      if (!message) return false;
      if (message.text === "") this.#forsake(fd);
      else this.#obey(JSON.parse(message.text) as ToRelay, message.descriptor);
      return message.text !== "";
    } catch (error) {
      // The daemon went without reading all that it was told; what it said before is still there.
      if (hasCode(error, "ECONNRESET")) return true;
      this.#forsake(fd);
      return false;
    }
  }

  #forsake(fd: number): void {
    if (this.#daemon !== fd) return;
    this.close(fd);
    this.#daemon = undefined;
  }

  #obey(message: ToRelay, descriptor: number | undefined): void {
    if (message.kind === "stop") {
      this.#stop(message.key);
      this.#tell({ kind: "stopped", key: message.key });
    } else if (descriptor !== undefined) {
      const { port } = message;
      this.#stop(port.key);
      const relay =
        port.protocol === "tcp" ? new TcpRelay(this, descriptor, port) : new UdpRelay(this, descriptor, port);
      this.#served.set(port.key, { port, fd: descriptor, relay });
    }
  }

  #stop(key: string): void {
    const served = this.#served.get(key);
    this.#served.delete(key);
    served?.relay[Symbol.dispose]();
  }

  #tell(message: FromRelay, descriptor?: number): void {
    if (this.#daemon === undefined) return;
    try {
      sendWithDescriptor(this.#daemon, JSON.stringify(message), descriptor);
    } catch {
      // The daemon is gone: the next event of its socket says so.
    }
  }
}

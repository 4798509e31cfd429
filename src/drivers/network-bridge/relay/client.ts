/**
 * The daemon's side of the relay: starts it when the first port needs it, finds one that a former daemon left, starts
 * another where it died. Holds a copy of each relayed socket, so that a port is never without an owner and connections
 * wait in its backlog while there is no relay.
 */
import { closeSync, rmSync } from "node:fs";
import { join } from "node:path";
import { log } from "../../../base/log.ts";
import { selfCommand } from "../../../base/self.ts";
import { receiveWithDescriptor, sendWithDescriptor } from "../../../linux/descriptor-passing.ts";
import { acceptClients, refuseClients } from "../../../linux/port-reservation.ts";
import {
  adoptSocket,
  connectSequentialPackets,
  listenSequentialPackets,
  neverWait,
  socketPair,
  waitAtMost,
} from "../../../linux/sockets.ts";
import { type FromRelay, RELAY_SOCKET, type RelayedPort, type ToRelay } from "./protocol.ts";

/** A relay that does not answer within this time is taken for dead: another one takes its place. */
const ANSWER_SECONDS = 2;
const RETRY_MS = 10;
/** Between two starts of relays that end at once. */
const RESTART_MS = 1000;

interface Relayed {
  readonly port: RelayedPort;
  readonly fd: number;
}

export class RelayClient implements Disposable {
  readonly #execRoot: string;
  readonly #wanted = new Map<string, Relayed>();
  /** Served for a former daemon, and wanted by nobody yet. */
  readonly #found = new Map<string, Relayed>();
  /** Given up here, and perhaps not there yet: the socket is taken over by whoever wants the same port again. */
  readonly #ending = new Map<string, number>();
  #socket: number | undefined;
  #connection: Bun.Socket | undefined;
  #unsent: { message: ToRelay; fd?: number }[] = [];
  #startedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** Connects to the relay of a former daemon, if there is one. @param execRoot of the engine */
  constructor(execRoot: string) {
    this.#execRoot = execRoot;
    this.#findRelay();
  }

  /** The socket of a port that is served already, or was until now: it cannot be bound a second time. */
  take(key: string): number | undefined {
    const found = this.#found.get(key)?.fd ?? this.#ending.get(key);
    this.#found.delete(key);
    this.#ending.delete(key);
    if (found !== undefined) acceptClients(found);
    return found;
  }

  /** @param fd bound; TCP: listening. Owned by this object from now on. */
  serve(port: RelayedPort, fd: number): void {
    this.#wanted.set(port.key, { port, fd });
    this.#send({ kind: "serve", port }, fd);
  }

  stop(key: string): void {
    const known = this.#wanted.get(key);
    if (!known) return;
    this.#wanted.delete(key);
    // Without a relay nobody else has it. With one it is kept until the relay has let go.
    if (this.#socket === undefined) {
      closeSync(known.fd);
      return;
    }
    refuseClients(known.fd);
    this.#ending.set(key, known.fd);
    this.#send({ kind: "stop", key });
  }

  /** Boot, at its end: what a former daemon left and nobody took is given up. */
  reclaim(): void {
    for (const [key, { port, fd }] of this.#found) {
      this.#wanted.set(key, { port, fd });
      this.stop(key);
    }
    this.#found.clear();
  }

  /** The relay goes on: what it serves is told to the next daemon. */
  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#connection?.terminate();
    this.#socket = undefined;
    for (const { fd } of [...this.#wanted.values(), ...this.#found.values()]) closeSync(fd);
    for (const fd of this.#ending.values()) closeSync(fd);
  }

  #findRelay(): void {
    let fd: number | undefined;
    try {
      fd = connectSequentialPackets(this.#execRoot, RELAY_SOCKET);
      waitAtMost(fd, ANSWER_SECONDS);
      for (;;) {
        const message = receiveWithDescriptor(fd, { wait: true });
        if (!message?.text) throw new Error("it does not answer");
        const said = JSON.parse(message.text) as FromRelay;
        if (said.kind === "told") break;
        if (said.kind === "serving" && message.descriptor !== undefined)
          this.#found.set(said.port.key, { port: said.port, fd: message.descriptor });
      }
      void this.#adopt(fd);
    } catch (error) {
      if (fd !== undefined) {
        closeSync(fd);
        log("warn", "the relay of published ports is gone", { error });
      }
    }
  }

  /** Reads what the relay says, and learns when it ends. */
  async #adopt(fd: number): Promise<void> {
    this.#socket = fd;
    const gone = () => {
      if (this.#socket !== fd || this.#closed) return;
      this.#socket = undefined;
      this.#lost();
    };
    try {
      neverWait(fd);
      this.#connection = await adoptSocket(fd, { data: (bytes) => this.#hear(bytes), close: gone });
      if (this.#closed) this.#connection.terminate();
    } catch {
      gone();
    }
  }

  #hear(bytes: Uint8Array): void {
    const said = JSON.parse(Buffer.from(bytes).toString("utf8")) as FromRelay;
    if (said.kind === "trouble")
      log("warn", "the relay of published ports has trouble", { error: said.reason });
    if (said.kind !== "stopped") return;
    const fd = this.#ending.get(said.key);
    this.#ending.delete(said.key);
    if (fd !== undefined) closeSync(fd);
  }

  #lost(): void {
    for (const fd of this.#ending.values()) closeSync(fd);
    this.#ending.clear();
    this.#unsent = [];
    if (this.#wanted.size === 0) return;
    const wait = Math.max(0, this.#startedAt + RESTART_MS - performance.now());
    this.#timer = setTimeout(() => this.#restart(), wait);
  }

  #restart(): void {
    log("warn", "the relay of published ports ended: it is started again");
    for (const { port, fd } of this.#wanted.values()) this.#send({ kind: "serve", port }, fd);
  }

  #send(message: ToRelay, fd?: number): void {
    if (this.#closed) return;
    if (this.#socket === undefined) this.#start();
    this.#unsent.push({ message, ...(fd !== undefined && { fd }) });
    this.#flush();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    while (this.#socket !== undefined && !this.#closed) {
      const [next] = this.#unsent;
      if (!next) return;
      try {
        if (!sendWithDescriptor(this.#socket, JSON.stringify(next.message), next.fd)) break;
      } catch {
        return; // it has ended: its closing tells so
      }
      this.#unsent.shift();
    }
    this.#timer = setTimeout(() => this.#flush(), RETRY_MS);
  }

  #start(): void {
    this.#startedAt = performance.now();
    using inherited = new DisposableStack();
    const { ours, theirs } = socketPair("packets");
    inherited.adopt(theirs, closeSync);
    // No relay answered at this name: it belongs to one that has died. It is there before the relay is: a daemon that
    // dies now is followed by one that waits for its answer.
    rmSync(join(this.#execRoot, RELAY_SOCKET), { force: true });
    const listening = inherited.adopt(listenSequentialPackets(this.#execRoot, RELAY_SOCKET), closeSync);
    const relay = Bun.spawn(selfCommand("internal", "relay-ports", this.#execRoot), {
      stdio: ["ignore", "ignore", "ignore", theirs, listening],
      cwd: "/",
      env: {},
      detached: true,
    });
    relay.unref();
    void this.#adopt(ours);
  }
}

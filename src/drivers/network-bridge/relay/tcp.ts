/** One relayed TCP port: accepts, connects to the container, lets bytes flow both ways until both ends are through. */
import { parseAddress, toBytes } from "../../../core/ipam.ts";
import { EPOLL } from "../../../linux/epoll.ts";
import { acceptConnection, beginTcpConnection } from "../../../linux/sockets.ts";
import { connectionError, Flow } from "../../../linux/splicing.ts";
import type { Loop } from "./loop.ts";
import type { RelayedPort } from "./protocol.ts";

/** Accepted in one turn: the next ones come after the others had theirs. */
const MOST_AT_ONCE = 64;

export class TcpRelay implements Disposable {
  readonly #loop: Loop;
  readonly #listening: number;
  readonly #port: RelayedPort;
  readonly #connections = new Set<Connection>();
  /** Connections wait in the backlog because no descriptor was free. */
  #starved = false;

  constructor(loop: Loop, listening: number, port: RelayedPort) {
    this.#loop = loop;
    this.#listening = listening;
    this.#port = port;
    loop.watch(listening, () => this.#accept());
    loop.again(listening);
  }

  tick(): void {
    if (this.#starved) this.#loop.again(this.#listening);
  }

  [Symbol.dispose](): void {
    this.#loop.close(this.#listening);
    for (const connection of this.#connections) connection[Symbol.dispose]();
  }

  #accept(): void {
    this.#starved = false;
    for (let count = 0; count < MOST_AT_ONCE; count++) {
      try {
        const client = acceptConnection(this.#listening);
        if (client === undefined) return;
        this.#serve(client);
      } catch {
        this.#starved = true;
        return;
      }
    }
    this.#loop.again(this.#listening);
  }

  #serve(client: number): void {
    const { address, port } = this.#port;
    const target = parseAddress(address);
    let container: number;
    try {
      container = beginTcpConnection(target.family, toBytes(target), port);
    } catch {
      this.#loop.close(client);
      return;
    }
    this.#connections.add(
      new Connection(this.#loop, client, container, (ended) => this.#connections.delete(ended)),
    );
  }
}

class Connection implements Disposable {
  readonly #loop: Loop;
  readonly #client: number;
  readonly #container: number;
  readonly #flows: readonly [Flow, Flow];
  readonly #onEnd: (ended: Connection) => void;
  #connected = false;
  #ended = false;

  constructor(loop: Loop, client: number, container: number, onEnd: (ended: Connection) => void) {
    this.#loop = loop;
    this.#client = client;
    this.#container = container;
    this.#onEnd = onEnd;
    this.#flows = [new Flow(client, container), new Flow(container, client)];
    loop.watch(client, () => this.#move());
    loop.watch(container, (events) => this.#answered(events));
  }

  [Symbol.dispose](): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const flow of this.#flows) flow[Symbol.dispose]();
    this.#loop.close(this.#client);
    this.#loop.close(this.#container);
    this.#onEnd(this);
  }

  #answered(events: number): void {
    if (!this.#connected) {
      if (!(events & (EPOLL.OUT | EPOLL.ERR | EPOLL.HUP))) return;
      this.#connected = connectionError(this.#container) === 0;
    }
    if (this.#connected) this.#move();
    else this[Symbol.dispose]();
  }

  #move(): void {
    if (!this.#connected || this.#ended) return;
    try {
      const states = this.#flows.map((flow) => flow.pump());
      if (states.every((state) => state === "ended")) this[Symbol.dispose]();
      else if (states.includes("more")) this.#loop.again(this.#client);
    } catch {
      this[Symbol.dispose](); // one side is gone: the other learns of it
    }
  }
}

/** One relayed UDP port: each client has a socket of its own towards the container, as long as somebody speaks. */
import { parseAddress, toBytes } from "../../../core/ipam.ts";
import { connectDatagrams, receiveDatagram, sendDatagram } from "../../../linux/datagrams.ts";
import type { Loop } from "./loop.ts";
import type { RelayedPort } from "./protocol.ts";

/** Docker's proxy waits as long. @see moby cmd/docker-proxy/udp_proxy_linux.go UDPConnTrackTimeout */
const SILENCE_MS = 90_000;
/** Of one port: the one that was silent longest makes room. */
const MOST_CLIENTS = 1024;
const MOST_AT_ONCE = 128;

interface Client {
  readonly fd: number;
  readonly address: Buffer;
  lastHeard: number;
}

export class UdpRelay implements Disposable {
  readonly #loop: Loop;
  readonly #socket: number;
  readonly #port: RelayedPort;
  /** By address, the one that spoke last at the end. */
  readonly #clients = new Map<string, Client>();

  constructor(loop: Loop, socket: number, port: RelayedPort) {
    this.#loop = loop;
    this.#socket = socket;
    this.#port = port;
    loop.watch(socket, () => this.#receive());
    loop.again(socket);
  }

  tick(): void {
    const now = performance.now();
    for (const [key, client] of this.#clients) {
      if (now - client.lastHeard < SILENCE_MS) return;
      this.#drop(key, client);
    }
  }

  [Symbol.dispose](): void {
    this.#loop.close(this.#socket);
    for (const [key, client] of this.#clients) this.#drop(key, client);
  }

  #receive(): void {
    try {
      for (let count = 0; count < MOST_AT_ONCE; count++) {
        const datagram = receiveDatagram(this.#socket);
        if (!datagram) return;
        const client = this.#clientAt(datagram.from);
        if (client) sendDatagram(client.fd, datagram.bytes);
      }
    } catch {
      // An error of one datagram (a route that is gone) says nothing about the next one.
    }
    this.#loop.again(this.#socket);
  }

  #clientAt(address: Buffer): Client | undefined {
    const key = address.toString("latin1");
    const known = this.#clients.get(key);
    this.#clients.delete(key);
    const client = known ?? this.#open(address);
    if (!client) return undefined;
    client.lastHeard = performance.now();
    this.#clients.set(key, client);
    return client;
  }

  #open(address: Buffer): Client | undefined {
    const [oldest] = this.#clients;
    if (this.#clients.size >= MOST_CLIENTS && oldest) this.#drop(...oldest);
    const target = parseAddress(this.#port.address);
    try {
      const fd = connectDatagrams(target.family, toBytes(target), this.#port.port);
      const client = { fd, address, lastHeard: 0 };
      this.#loop.watch(fd, () => this.#answer(client));
      return client;
    } catch {
      return undefined; // no way to the container, no descriptor: the datagram is lost
    }
  }

  #answer(client: Client): void {
    try {
      for (let count = 0; count < MOST_AT_ONCE; count++) {
        const datagram = receiveDatagram(client.fd);
        if (!datagram) return;
        client.lastHeard = performance.now();
        sendDatagram(this.#socket, datagram.bytes, client.address);
      }
    } catch {
      // As above.
    }
    this.#loop.again(client.fd);
  }

  #drop(key: string, client: Client): void {
    this.#clients.delete(key);
    this.#loop.close(client.fd);
  }
}

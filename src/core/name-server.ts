/** Port: answering a container's DNS questions inside of its network namespace, at 127.0.0.11. */
import type { NetworkNamespace } from "./network-driver.ts";

/** What one container may know. Asked anew for each question: networks and names change while it runs. */
export interface NameScope {
  /**
   * The addresses of a name, without its final dot and lower-case, that this container shares a network with.
   * undefined: not ours, ask the servers above. Empty: ours, and without an address of that family.
   */
  addressesOf(name: string, family: 4 | 6): readonly string[] | undefined;
  /** The name of an address, fully qualified without the final dot. */
  nameOf(address: string): string | undefined;
  /** True if the address lies in one of the container's networks: a PTR question about it never leaves. */
  owns(address: string): boolean;
  /** The servers above, in order; empty: nothing is forwarded (internal networks). */
  servers(): readonly UpstreamServer[];
}

export interface UpstreamServer {
  readonly address: string;
  /** Asked from the host's namespace: a server on the host's loopback. */
  readonly fromHost: boolean;
}

/** Serves until disposed. Idempotent. */
export interface NameService extends Disposable {}

export interface NameServer {
  /** Opens udp and tcp in the namespace and leads 127.0.0.11:53 there. @throws SystemError */
  serve(namespace: NetworkNamespace, scope: NameScope): Promise<NameService>;
}

/** What a daemon and its relay process say to each other: one JSON text a message, with a socket where one is meant. */

/** A port of the host that the kernel cannot lead to its container: its socket is served by the relay. */
export interface RelayedPort {
  /** `tcp/[::]:8080` */
  readonly key: string;
  readonly protocol: "tcp" | "udp";
  /** Where it leads to. */
  readonly address: string;
  readonly port: number;
}

export type ToRelay =
  /** Carries the bound socket; TCP: listening. Replaces one of the same key. */
  { readonly kind: "serve"; readonly port: RelayedPort } | { readonly kind: "stop"; readonly key: string };

export type FromRelay =
  /** Carries the socket: what is served already, told to a daemon that comes later. */
  | { readonly kind: "serving"; readonly port: RelayedPort }
  | { readonly kind: "told" }
  | { readonly kind: "trouble"; readonly reason: string }
  | { readonly kind: "stopped"; readonly key: string };

/** In the exec root: by which later daemons find it. */
export const RELAY_SOCKET = "relay.sock";
/** What the relay is born with: the connection to the daemon that starts it, and that socket, listening already. */
export const INHERITED = { daemon: 3, listening: 4 } as const;

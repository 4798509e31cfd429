/** Where the engine listens: `-H` as text → an endpoint. */

import { InvalidParameterError } from "../core/errors.ts";
import type { Endpoint } from "../http/index.ts";

/** `fd://`: `name` selects among the inherited sockets: a number, a systemd name, or nothing for all of them. */
export interface InheritedSockets {
  readonly kind: "inherited";
  readonly name: string;
}

/**
 * `unix:///path`, `tcp://host:port`, `fd://`; also Docker's short forms `/path`, `host:port`, `:port`.
 * @throws InvalidParameterError
 */
export function parseEndpoint(text: string): Endpoint | InheritedSockets {
  const [, scheme = "", rest = ""] = /^(?:([a-z]+):\/\/)?(.*)$/s.exec(text.trim()) ?? [];
  switch (scheme || (rest.startsWith("/") ? "unix" : "tcp")) {
    case "unix":
      if (!rest.startsWith("/"))
        throw new InvalidParameterError(`invalid socket path in -H ${text}: not absolute`);
      return { kind: "unix", path: rest };
    case "tcp":
      return parseTcp(text, rest);
    case "fd":
      return { kind: "inherited", name: rest };
    default:
      throw new InvalidParameterError(`unsupported protocol in -H ${text}: use unix://, tcp:// or fd://`);
  }
}

/** Of these, `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES` are what systemd tells a service. @see sd_listen_fds(3) */
export type ListenEnvironment = Readonly<Record<string, string | undefined>>;

const FIRST_INHERITED = 3;

/**
 * The sockets that `fd://`, `fd://3` or `fd://name` stands for.
 * @throws InvalidParameterError if there are none
 */
export function inheritedSockets(name: string, environment: ListenEnvironment, pid: number): Endpoint[] {
  const count = Number(environment.LISTEN_PID) === pid ? Number(environment.LISTEN_FDS) || 0 : 0;
  const names = environment.LISTEN_FDNAMES?.split(":") ?? [];
  const all = Array.from({ length: count }, (_, index) => ({
    fd: FIRST_INHERITED + index,
    name: names[index],
  }));
  const wanted =
    name === "" ? all : all.filter((socket) => socket.name === name || String(socket.fd) === name);
  if (wanted.length === 0) {
    throw new InvalidParameterError(
      `no sockets found for -H fd://${name}: the service has to be started by its systemd socket unit`,
    );
  }
  return wanted.map(({ fd }) => ({ kind: "fd", fd }));
}

function parseTcp(text: string, rest: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/[\]]*))(?::(\d{1,5}))?\/?$/.exec(rest);
  const port = Number(match?.[3] ?? 2375);
  if (!match || port > 65535) throw new InvalidParameterError(`invalid address in -H ${text}`);
  return { kind: "tcp", host: match[1] || match[2] || "127.0.0.1", port };
}

/**
 * Where the engine listens: `-H` as text → an endpoint, an endpoint → a listening server. Owns the socket file: its
 * mode and group, stale ones, and that a running engine's is never taken.
 */
import { chmodSync, chownSync, readFileSync, readlinkSync, renameSync, rmSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { log } from "../base/log.ts";
import { ConflictError, InvalidParameterError, NotImplementedError, SystemError } from "../core/errors.ts";

export type Endpoint =
  | { readonly kind: "unix"; readonly path: string; readonly group?: string }
  | {
      readonly kind: "tcp";
      readonly host: string;
      readonly port: number;
      readonly tls?: TlsOptions;
      readonly allowedHosts?: readonly string[];
    }
  /** `name` selects among the inherited sockets: a number, a systemd name, or nothing for all of them. */
  | { readonly kind: "inherited"; readonly name: string }
  | { readonly kind: "fd"; readonly fd: number };

/** PEM texts. With `ca`, clients must show a certificate that it signed. */
export interface TlsOptions {
  readonly cert: string;
  readonly key: string;
  readonly ca?: string;
}

const SOCKET_MODE = 0o660;
/** What the kernel takes, less the suffix below. */
const LONGEST_SOCKET_PATH = 103;
const KEEP_ALIVE_DELAY = 15_000;
/** A socket gets its name only once mode and group are right; one that a crash left here is replaced next time. */
const UNNAMED = ".new";

/**
 * `unix:///path`, `tcp://host:port`, `fd://`; also Docker's short forms `/path`, `host:port`, `:port`.
 * @throws InvalidParameterError
 */
export function parseEndpoint(text: string): Endpoint {
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

/** A server that listens. Closing it removes its socket file. */
export interface Listening {
  readonly endpoint: Endpoint;
  /** `unix:///run/gantry.sock`, `tcp://127.0.0.1:2375`: with the port that was got if 0 was asked for. */
  readonly address: string;
  close(): void;
}

export interface ListenLimits {
  /** TLS connections that are open, those of clients without a certificate included: each has a descriptor. */
  readonly maxConnections: number;
  /** Milliseconds that a client has to show who it is. */
  readonly handshakeTimeout: number;
}

/** @throws InvalidParameterError, ConflictError if another engine listens there, SystemError */
export async function listen(
  endpoint: Endpoint,
  onSocket: (socket: Socket) => void,
  limits: ListenLimits,
): Promise<Listening> {
  switch (endpoint.kind) {
    case "unix":
      return await listenUnix(endpoint, onSocket);
    case "tcp":
      return await listenTcp(endpoint, onSocket, limits);
    case "fd":
      return await listenInherited(endpoint, onSocket);
    case "inherited":
      throw new InvalidParameterError("fd:// has to be resolved to the sockets that were handed over");
  }
}

/** The socket, its file and mode belong to whoever made it. */
async function listenInherited(
  endpoint: Extract<Endpoint, { kind: "fd" }>,
  onSocket: (socket: Socket) => void,
): Promise<Listening> {
  const { fd } = endpoint;
  const path = unixSocketPath(fd);
  if (path === undefined) {
    throw new NotImplementedError(
      `fd://${fd} is not a unix socket: only those are taken over from systemd, use tcp:// for TCP`,
    );
  }
  const server = createServer({ allowHalfOpen: true }, onSocket);
  await listening(server, () => server.listen({ fd }));
  return { endpoint, address: `fd://${fd} (${path})`, close: () => void server.close() };
}

/** undefined if the descriptor is no listening unix socket. @see proc_net(5), /proc/net/unix */
function unixSocketPath(fd: number): string | undefined {
  let inode: string | undefined;
  try {
    inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
  } catch (error) {
    throw new InvalidParameterError(`fd://${fd} is not open`, { cause: error });
  }
  if (inode === undefined) return undefined;
  for (const line of readFileSync("/proc/self/net/unix", "utf8").split("\n")) {
    const fields = line.trim().split(/\s+/);
    if (fields[6] === inode) return fields[7] ?? "";
  }
  return undefined;
}

async function listenUnix(
  endpoint: Extract<Endpoint, { kind: "unix" }>,
  onSocket: (socket: Socket) => void,
): Promise<Listening> {
  const { path, group } = endpoint;
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
    throw new InvalidParameterError(`socket path is longer than ${LONGEST_SOCKET_PATH} bytes: ${path}`);
  }
  const gid = group === undefined ? undefined : groupId(group);
  await mkdir(dirname(path), { recursive: true });
  await removeStaleSocket(path);
  const server = createServer({ allowHalfOpen: true }, onSocket);
  const unnamed = `${path}${UNNAMED}`;
  rmSync(unnamed, { force: true });
  await listening(server, () => {
    const umask = process.umask(0o177);
    server.listen(unnamed);
    process.umask(umask);
  });
  if (gid !== undefined) chownSync(unnamed, 0, gid);
  chmodSync(unnamed, SOCKET_MODE);
  renameSync(unnamed, path);
  const { ino, dev } = statSync(path);
  return {
    endpoint,
    address: `unix://${path}`,
    close: () => {
      // Removes the name that it was bound to, which is not there any more.
      server.close();
      // Only our own: somebody may have taken the path over.
      const now = statSync(path, { throwIfNoEntry: false });
      if (now?.ino === ino && now.dev === dev) rmSync(path, { force: true });
    },
  };
}

async function listenTcp(
  endpoint: Extract<Endpoint, { kind: "tcp" }>,
  onSocket: (socket: Socket) => void,
  limits: ListenLimits,
): Promise<Listening> {
  const { host, port, tls } = endpoint;
  const accept = (socket: Socket) => {
    socket.setNoDelay(true);
    // A peer that vanished without a word is noticed, also by a stream that has nothing to say.
    socket.setKeepAlive(true, KEEP_ALIVE_DELAY);
    onSocket(socket);
  };
  const server = tls ? tlsServer(tls, accept, limits) : createServer({ allowHalfOpen: true }, accept);
  await listening(server, () => server.listen(port, host));
  const bound = server.address();
  const boundPort = typeof bound === "object" && bound ? bound.port : port;
  return {
    endpoint,
    address: `tcp://${host.includes(":") ? `[${host}]` : host}:${boundPort}`,
    close: () => void server.close(),
  };
}

/** `accept` gets those that are through the handshake. */
function tlsServer(
  { cert, key, ca }: TlsOptions,
  accept: (socket: Socket) => void,
  { maxConnections, handshakeTimeout }: ListenLimits,
): Server {
  const server = createTlsServer(
    {
      cert,
      key,
      ca,
      requestCert: ca !== undefined,
      rejectUnauthorized: ca !== undefined,
      minVersion: "TLSv1.2",
      allowHalfOpen: true,
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout,
    },
    accept,
  );
  server.maxConnections = maxConnections;
  // Bun leaves it open, also after the time was up.
  server.on("tlsClientError", (_, socket) => socket.destroy());
  return server;
}

async function listening(server: Server, start: () => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("listening", resolve);
  server.once("error", (error) =>
    reject(new SystemError(`cannot listen: ${error.message}`, { cause: error })),
  );
  start();
  await promise;
  // Later ones (no descriptor left for a new connection) concern nobody who is already connected.
  server.on("error", (error) => log("warn", "cannot accept a connection", { error }));
}

/** A file that nobody answers on is left over from an engine that was killed. @throws ConflictError */
async function removeStaleSocket(path: string): Promise<void> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) throw new ConflictError(`${path} exists and is not a socket`, { subject: path });
  if (await answers(path)) {
    throw new ConflictError(`${path} is in use by another running engine`, { subject: path });
  }
  rmSync(path, { force: true });
}

async function answers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = connect(path);
  probe.once("connect", () => resolve(true));
  // Only a refusal proves that nobody listens; a full backlog, say, is a busy engine.
  probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED"));
  const timer = setTimeout(() => resolve(true), 2000);
  const result = await promise;
  clearTimeout(timer);
  probe.destroy();
  return result;
}

/** @throws InvalidParameterError if there is no such group */
function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group);
  for (const line of readFileSync("/etc/group", "utf8").split("\n")) {
    const [name, , gid] = line.split(":");
    if (name === group && gid) return Number(gid);
  }
  throw new InvalidParameterError(`group ${group} not found`, { subject: group });
}

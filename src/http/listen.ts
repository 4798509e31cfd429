/**
 * An endpoint → a listening server. Owns the socket file: its mode and group, stale ones, and that a running
 * process's is never taken; and the certificates that are shown.
 */
import { chmodSync, chownSync, readFileSync, readlinkSync, renameSync, rmSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import {
  createSecureContext,
  createServer as createTlsServer,
  type TlsOptions as NodeTlsOptions,
  type Server as TlsServer,
} from "node:tls";
import { log } from "../base/log.ts";
import { ListenError } from "./errors.ts";

export type Endpoint =
  | { readonly kind: "unix"; readonly path: string; readonly group?: string }
  | {
      readonly kind: "tcp";
      readonly host: string;
      readonly port: number;
      readonly tls?: TlsOptions;
    }
  /** A unix socket that listens already: systemd's. */
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

/** A server that listens. Closing it removes its socket file. */
export interface Listening {
  readonly endpoint: Endpoint;
  /** `unix:///run/gantry.sock`, `tcp://127.0.0.1:2375`: with the port that was got if 0 was asked for. */
  readonly address: string;
  close(): void;
  /** Certificates for the handshakes from now on. @throws ListenError if they make no sense; the old ones stay */
  reloadTls(tls: TlsOptions): void;
}

export interface ListenLimits {
  /** TLS connections that are open, those of clients without a certificate included: each has a descriptor. */
  readonly maxConnections: number;
  /** Told the descriptor that listens: Bun has one length for all queues of connections that nobody accepted yet. */
  readonly onListening?: (fd: number) => void;
  /** Milliseconds that a client has to show who it is. */
  readonly handshakeTimeout: number;
}

/** @throws ListenError */
export async function listen(
  endpoint: Endpoint,
  onSocket: (socket: Socket) => void,
  limits: ListenLimits,
): Promise<Listening> {
  switch (endpoint.kind) {
    case "unix":
      return await listenUnix(endpoint, onSocket, limits);
    case "tcp":
      return await listenTcp(endpoint, onSocket, limits);
    case "fd":
      return await listenInherited(endpoint, onSocket);
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
    throw new ListenError(
      "unsupported",
      `fd://${fd} is not a unix socket: only those are taken over from systemd, use tcp:// for TCP`,
    );
  }
  const server = createServer({ allowHalfOpen: true }, onSocket);
  await listening(server, {}, () => server.listen({ fd }));
  return { endpoint, address: `fd://${fd} (${path})`, close: () => void server.close(), reloadTls: noTls };
}

/** undefined if the descriptor is no listening unix socket. @see proc_net(5), /proc/net/unix */
function unixSocketPath(fd: number): string | undefined {
  let inode: string | undefined;
  try {
    inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
  } catch (error) {
    throw new ListenError("invalid", `fd://${fd} is not open`, { cause: error });
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
  limits: ListenLimits,
): Promise<Listening> {
  const { path, group } = endpoint;
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
    throw new ListenError("invalid", `socket path is longer than ${LONGEST_SOCKET_PATH} bytes: ${path}`);
  }
  const gid = group === undefined ? undefined : groupId(group);
  await mkdir(dirname(path), { recursive: true });
  await removeStaleSocket(path);
  const server = createServer({ allowHalfOpen: true }, onSocket);
  const unnamed = `${path}${UNNAMED}`;
  rmSync(unnamed, { force: true });
  await listening(server, limits, () => {
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
    reloadTls: noTls,
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
  const secure = tls && tlsServer(tls, accept, limits);
  const server = secure ?? createServer({ allowHalfOpen: true }, accept);
  await listening(server, limits, () => server.listen(port, host));
  const bound = server.address();
  const boundPort = typeof bound === "object" && bound ? bound.port : port;
  return {
    endpoint,
    address: `tcp://${host.includes(":") ? `[${host}]` : host}:${boundPort}`,
    close: () => void server.close(),
    reloadTls: secure ? (renewed) => reload(secure, renewed) : noTls,
  };
}

function noTls(): void {
  throw new ListenError("unsupported", "there is no TLS on this endpoint");
}

/** Connections that are open keep what they began with. */
function reload(server: TlsServer, renewed: TlsOptions): void {
  try {
    createSecureContext(renewed);
    server.setSecureContext(contextOf(renewed));
  } catch (error) {
    throw new ListenError("invalid", `cannot take over certificates: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function contextOf({ cert, key, ca }: TlsOptions): NodeTlsOptions {
  return {
    cert,
    key,
    ca,
    requestCert: ca !== undefined,
    rejectUnauthorized: ca !== undefined,
    minVersion: "TLSv1.2",
  };
}

/** `accept` gets those that are through the handshake. */
function tlsServer(
  tls: TlsOptions,
  accept: (socket: Socket) => void,
  { maxConnections, handshakeTimeout }: ListenLimits,
): TlsServer {
  const server = createTlsServer(
    {
      ...contextOf(tls),
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

async function listening(
  server: Server,
  { onListening }: Partial<ListenLimits>,
  start: () => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("listening", resolve);
  server.once("error", (error) =>
    reject(new ListenError("system", `cannot listen: ${error.message}`, { cause: error })),
  );
  start();
  await promise;
  const fd = (server as Server & { readonly _handle?: { readonly fd?: number } | null })._handle?.fd;
  if (fd !== undefined && fd >= 0) onListening?.(fd);
  // Later ones (no descriptor left for a new connection) concern nobody who is already connected.
  server.on("error", (error) => log("warn", "cannot accept a connection", { error }));
}

/** A file that nobody answers on is left over from a process that was killed. @throws ListenError */
async function removeStaleSocket(path: string): Promise<void> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) throw new ListenError("in-use", `${path} exists and is not a socket`);
  if (await answers(path)) {
    throw new ListenError("in-use", `${path} is in use by another running process`);
  }
  rmSync(path, { force: true });
}

async function answers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = connect(path);
  probe.once("connect", () => resolve(true));
  // Only a refusal proves that nobody listens; a full backlog, say, is a busy server.
  probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED"));
  const timer = setTimeout(() => resolve(true), 2000);
  const result = await promise;
  clearTimeout(timer);
  probe.destroy();
  return result;
}

/** @throws ListenError if there is no such group */
function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group);
  for (const line of readFileSync("/etc/group", "utf8").split("\n")) {
    const [name, , gid] = line.split(":");
    if (name === group && gid) return Number(gid);
  }
  throw new ListenError("invalid", `group ${group} not found`);
}

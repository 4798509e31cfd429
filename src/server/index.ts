/**
 * The engine's API server. Composed in `roles/daemon`: routes and handlers in, listening endpoints out.
 * Owns connections and their end; what requests mean is the handlers'.
 */
import type { Socket } from "node:net";
import { API_VERSION, type Route } from "../api/route.ts";
import { routes as allRoutes } from "../api/routes.ts";
import { log } from "../base/log.ts";
import { admission } from "./admission.ts";
import type { Handlers } from "./call.ts";
import { type AdmissionCheck, Dispatcher } from "./dispatch.ts";
import { type Endpoint, type Listening, listen } from "./endpoint.ts";
import type { BodyLimits } from "./http-call.ts";
import { Connection, type ConnectionLimits } from "./http1/connection.ts";
import { formatHead } from "./http1/head.ts";
import type { Identity } from "./identity.ts";

export {
  type Endpoint,
  inheritedSockets,
  type ListenEnvironment,
  parseEndpoint,
  type TlsOptions,
} from "./endpoint.ts";
export { type HostFacts, type Identity, toVersion } from "./identity.ts";

export interface ServerOptions {
  /** All operations; the whole Engine API unless a test wants less. */
  readonly routes?: readonly Route[];
  /** Keyed by operation. A row without one answers 501. */
  readonly handlers: Handlers;
  readonly identity: Identity;
  readonly limits?: {
    readonly connection?: ConnectionLimits;
    readonly body?: BodyLimits;
    /** Open connections; what comes beyond is turned away, so that descriptors are left for containers. */
    readonly maxConnections?: number;
    /** Milliseconds. */
    readonly handshakeTimeout?: number;
  };
}

export interface ApiServer {
  /** Returns the address with the real port. @throws EngineError if it cannot listen there */
  listen(endpoint: Endpoint): Promise<string>;
  /**
   * Accepts nothing more, ends streams, lets changes finish for at most that many milliseconds, closes all.
   * Idempotent.
   */
  close(deadline: number): Promise<void>;
  /** Calls under way and open connections: for tests and metrics. */
  readonly load: { readonly calls: number; readonly connections: number };
}

export function createServer({ routes = allRoutes, handlers, identity, limits }: ServerOptions): ApiServer {
  const dispatcher = new Dispatcher({ routes, handlers, identity, limits: limits?.body });
  const connections = new Set<Connection>();
  const listeners: Listening[] = [];

  const maxConnections = limits?.maxConnections ?? MAX_CONNECTIONS;

  function accept(socket: Socket, admit: AdmissionCheck | undefined): void {
    if (connections.size >= maxConnections) {
      turnAway(socket);
      return;
    }
    const connection = new Connection(socket, limits?.connection);
    connections.add(connection);
    socket.once("close", () => connections.delete(connection));
    void connection.serve((exchange) => dispatcher.handle(exchange, admit));
  }

  async function close(deadline: number): Promise<void> {
    for (const listener of listeners.splice(0)) listener.close();
    for (const connection of connections) connection.close();
    await dispatcher.drain(deadline);
    for (const connection of connections) connection.destroy();
  }

  return {
    async listen(endpoint) {
      const admit = admissionOf(endpoint);
      const listener = await listen(endpoint, (socket) => accept(socket, admit), {
        maxConnections,
        handshakeTimeout: limits?.handshakeTimeout ?? HANDSHAKE_TIMEOUT,
      });
      listeners.push(listener);
      log("info", "API listens", { address: listener.address });
      return listener.address;
    },
    close,
    get load() {
      return { calls: dispatcher.callsInFlight, connections: connections.size };
    },
  };
}

const MAX_CONNECTIONS = 4096;
const HANDSHAKE_TIMEOUT = 10_000;

function turnAway(socket: Socket): void {
  const body = '{"message":"too many connections"}\n';
  socket.on("error", () => socket.destroy());
  socket.end(
    formatHead(503, "Service Unavailable", [
      ["Content-Type", "application/json"],
      ["Connection", "close"],
      ["Content-Length", String(body.length)],
    ]) + body,
    () => socket.destroy(),
  );
}

function admissionOf(endpoint: Endpoint): AdmissionCheck | undefined {
  if (endpoint.kind !== "tcp") return undefined;
  return admission({ allowedHosts: endpoint.allowedHosts, clientVerified: endpoint.tls?.ca !== undefined });
}

export interface RouteState {
  readonly operation: string;
  readonly method: string;
  /** `/containers/{id}/json`. */
  readonly path: string;
  readonly state: "built" | "not built";
}

/** What there is of the API, for `gantry daemon --list-routes`. Rows newer than the API that is served are not built. */
export function listRoutes(handlers: Handlers, routes: readonly Route[] = allRoutes): RouteState[] {
  return routes.map(({ operation, method, path, since }) => ({
    operation,
    method,
    path: path.replaceAll(":.*", ""),
    state: handlers[operation] && isServed(since) ? "built" : "not built",
  }));
}

function isServed(since: Route["since"]): boolean {
  return !since || since[0] < API_VERSION[0] || (since[0] === API_VERSION[0] && since[1] <= API_VERSION[1]);
}

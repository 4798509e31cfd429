/**
 * The engine's API server. Composed in `roles/daemon`: routes and handlers in, listening endpoints out. Sockets and
 * connections are the HTTP host's; what requests mean is the handlers'.
 */
import { API_VERSION, type Route } from "../api/route.ts";
import { routes as allRoutes } from "../api/routes.ts";
import { log } from "../base/log.ts";
import {
  type AdmissionCheck,
  admission,
  createHost,
  type Endpoint,
  type EndpointOptions,
  type HostOptions,
  type HttpError,
  type Listening,
} from "../http/index.ts";
import type { Handlers } from "./call.ts";
import { Dispatcher } from "./dispatch.ts";
import type { Gate } from "./gates/gate.ts";
import type { BodyLimits } from "./http-call.ts";
import type { Identity } from "./identity.ts";

export {
  type InheritedSockets,
  inheritedSockets,
  type ListenEnvironment,
  parseEndpoint,
} from "./endpoint.ts";
export { type AuditLog, openAuditLog } from "./gates/audit.ts";
export { authorizationGate } from "./gates/authorization.ts";
export type { Gate } from "./gates/gate.ts";
export { parseScopedSocket, type ScopedObjects, type ScopedSocket, scopeGate } from "./gates/scope.ts";
export { type HostFacts, type Identity, toVersion } from "./identity.ts";

export interface ServerOptions {
  /** All operations; the whole Engine API unless a test wants less. */
  readonly routes?: readonly Route[];
  /** Keyed by operation. A row without one answers 501. */
  readonly handlers: Handlers;
  readonly identity: Identity;
  readonly limits?: HostOptions["limits"] & { readonly body?: BodyLimits };
  readonly onListening?: HostOptions["onListening"];
  /** For clients that begin with HTTP/2: gRPC without an upgrade. */
  readonly http2?: EndpointOptions["http2"];
}

export interface ListenOptions {
  /** Further names by which clients reach the engine over TCP. */
  readonly allowedHosts?: readonly string[];
  /** Asked about every call, in this order. */
  readonly gates?: readonly Gate[];
}

export interface ApiServer {
  /** @throws ListenError */
  listen(endpoint: Endpoint, options?: ListenOptions): Promise<Listening>;
  /**
   * Accepts nothing more, ends streams, lets changes finish for at most that many milliseconds, closes all.
   * Idempotent.
   */
  close(deadline: number): Promise<void>;
  /** Calls under way and open connections: for tests and metrics. */
  readonly load: { readonly calls: number; readonly connections: number };
}

export function createServer({
  routes = allRoutes,
  handlers,
  identity,
  limits,
  onListening,
  http2,
}: ServerOptions): ApiServer {
  const dispatcher = new Dispatcher({ routes, handlers, identity, limits: limits?.body });
  const host = createHost({ limits, renderError, onListening });
  return {
    async listen(endpoint, options = {}) {
      const admit = admissionOf(endpoint, options);
      const { gates = [] } = options;
      const listening = await host.listen(
        endpoint,
        (exchange) => dispatcher.handle(exchange, { admit, gates }),
        {
          // Who may call over TCP is told by headers, and what a call does by its path: neither is read here.
          http2: admit || gates.some((gate) => !gate.idle) ? undefined : http2 && whileIdle(gates, http2),
        },
      );
      log("info", "API listens", { address: listening.address });
      return listening;
    },
    close: (deadline) => host.close(deadline),
    get load() {
      return { calls: host.load.exchanges, connections: host.load.connections };
    },
  };
}

/** Connections that no gate could look into are given up. */
function whileIdle(
  gates: readonly Gate[],
  http2: NonNullable<EndpointOptions["http2"]>,
): NonNullable<EndpointOptions["http2"]> {
  return async (raw, exchange) => {
    if (gates.every((gate) => gate.idle?.())) await http2(raw, exchange);
    else raw[Symbol.dispose]();
  };
}

/** Docker's error body. */
function renderError(error: HttpError): { contentType: string; body: string } {
  return { contentType: "application/json", body: `${JSON.stringify({ message: error.message })}\n` };
}

function admissionOf(endpoint: Endpoint, { allowedHosts }: ListenOptions): AdmissionCheck | undefined {
  if (endpoint.kind !== "tcp") return undefined;
  return admission({ allowedHosts, clientVerified: endpoint.tls?.ca !== undefined });
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

/**
 * From an HTTP exchange to a handler and back: finds the row, checks the version, calls, turns errors into replies.
 */
import { API_VERSION, type ApiVersion, compareVersions, MIN_API_VERSION, type Route } from "../api/route.ts";
import { log } from "../base/log.ts";
import { InvalidParameterError, NotFoundError, NotImplementedError } from "../core/errors.ts";
import type { AdmissionCheck, Exchange, ReplyHeaders } from "../http/index.ts";
import type { Handler, Handlers } from "./call.ts";
import type { Gate } from "./gates/gate.ts";
import { type BodyLimits, HttpCall } from "./http-call.ts";
import { toHttpError } from "./http-errors.ts";
import type { Identity } from "./identity.ts";
import { type Match, Router } from "./router.ts";

export interface DispatcherOptions {
  readonly routes: readonly Route[];
  readonly handlers: Handlers;
  readonly identity: Identity;
  readonly limits?: BodyLimits;
}

/** From a request to its handler: version, row, handler, and Docker's error body for whatever is thrown. */
export class Dispatcher {
  readonly #router: Router;
  readonly #handlers: Handlers;
  readonly #headers: ReplyHeaders;
  readonly #limits: BodyLimits | undefined;

  constructor({ routes, handlers, identity, limits }: DispatcherOptions) {
    this.#router = new Router(routes);
    this.#handlers = handlers;
    this.#limits = limits;
    this.#headers = [
      ["Api-Version", API_VERSION.join(".")],
      ["Builder-Version", identity.builderVersion],
      ["Docker-Experimental", String(identity.experimental)],
      ["Ostype", "linux"],
      ["Server", `Docker/${identity.version} (linux)`],
      ["Swarm", identity.swarm],
    ];
  }

  /** Never rejects: whatever a request does, the daemon goes on. */
  async handle(
    exchange: Exchange,
    { admit, gates = [] }: { readonly admit?: AdmissionCheck; readonly gates?: readonly Gate[] } = {},
  ): Promise<void> {
    const { method, target } = exchange.head;
    const question = target.indexOf("?");
    const query = question < 0 ? "" : target.slice(question + 1);
    // Without the query: build arguments are secrets.
    log("debug", "request", { method, path: question < 0 ? target : target.slice(0, question) });
    let call = this.#unrouted(exchange, query);
    try {
      admit?.(exchange);
      if (method === "OPTIONS") return await answer(call, () => call.empty(200));
      const path = parsePath(question < 0 ? target : target.slice(0, question));
      if (path.version) call = this.#unrouted(exchange, query, parseVersion(path.version));
      const { match, version } = this.#route(method, path);
      const whole = path.version ? `/v${path.version}${path.path}` : path.path;
      call = this.#call(exchange, match.route, { version, params: match.params, query, path: whole });
      const handler = this.#handlers[match.route.operation];
      if (!handler) throw notBuilt(match.route);
      await answer(call, () => passing(gates, call, handler));
    } catch (error) {
      await this.#fail(call, error);
    } finally {
      for (const gate of gates) gate.done?.(call, call.status);
    }
  }

  /** Also this may fail, on a socket in a strange state: then the connection ends. */
  async #fail(call: HttpCall, error: unknown): Promise<void> {
    try {
      await call.fail(call.isAbort(error) ? ABORTED : toHttpError(error, call.operation));
    } catch (second) {
      log("error", "cannot report an error", { operation: call.operation, error: second });
      call.destroy();
    }
  }

  /** @throws NotFoundError, InvalidParameterError */
  #route(method: string, { version: asked, path }: ParsedPath): { match: Match; version: ApiVersion } {
    const version = asked ? parseVersion(asked) : API_VERSION;
    const match = this.#router.find(
      method,
      path,
      compareVersions(version, API_VERSION) > 0 ? API_VERSION : version,
    );
    if (!match) throw new NotFoundError("page not found");
    if (compareVersions(version, MIN_API_VERSION) < 0) {
      throw new InvalidParameterError(
        `client version ${asked} is too old. Minimum supported API version is ${MIN_API_VERSION.join(".")}, please upgrade your client to a newer version`,
      );
    }
    if (compareVersions(version, API_VERSION) > 0) {
      throw new InvalidParameterError(
        `client version ${asked} is too new. Maximum supported API version is ${API_VERSION.join(".")}`,
      );
    }
    return { match, version };
  }

  #call(
    exchange: Exchange,
    route: Route,
    request: { version: ApiVersion; params: Readonly<Record<string, string>>; query: string; path: string },
  ): HttpCall {
    return new HttpCall(exchange, { ...request, route, headers: this.#headers, limits: this.#limits });
  }

  /** For replies to what is no operation. */
  #unrouted(exchange: Exchange, query: string, version: ApiVersion = API_VERSION): HttpCall {
    return this.#call(exchange, UNROUTED, { version, params: {}, query, path: "" });
  }
}

const UNROUTED: Route = {
  operation: "(none)",
  method: "GET",
  path: "*",
  body: "none",
  reply: "json",
  onDisconnect: "detach",
};

const ABORTED = { status: 503, message: "request was aborted" } as const;

/** Each gate lets the call in, or throws; of the reply each is asked in the same order. */
async function passing(gates: readonly Gate[], call: HttpCall, handler: Handler): Promise<void> {
  for (const gate of gates) await gate.enter(call);
  const leaving = gates.filter((gate) => gate.leave && !gate.idle?.());
  if (leaving.length > 0) {
    call.watchReplies(async (reply) => {
      let passed = reply;
      for (const gate of leaving) passed = (await gate.leave?.(call, passed)) ?? passed;
      return passed;
    });
  }
  await handler(call);
}

async function answer(call: HttpCall, work: () => Promise<void> | void): Promise<void> {
  await work();
  await call.finish();
}

interface ParsedPath {
  /** As the client wrote it, without the `v`. */
  readonly version: string | undefined;
  /** Decoded, without the version, single slashes. */
  readonly path: string;
}

/** @throws InvalidParameterError on broken percent-encoding */
function parsePath(raw: string): ParsedPath {
  let decoded: string;
  try {
    decoded = raw.includes("%") ? decodeURIComponent(raw) : raw;
  } catch (error) {
    throw new InvalidParameterError("invalid URL escape in the path", { cause: error });
  }
  // A container is also known as "/name"; the slash of such a name in a path is no segment of its own.
  const path = decoded.replace(/\/{2,}/g, "/");
  const versioned = /^\/v([0-9.]+)(\/.*)$/s.exec(path);
  return versioned ? { version: versioned[1], path: versioned[2] ?? "/" } : { version: undefined, path };
}

function parseVersion(text: string): ApiVersion {
  const [major = "0", minor = "0"] = text.split(".");
  return [Number(major), Number(minor)];
}

function notBuilt(route: Route): NotImplementedError {
  return new NotImplementedError(
    `${route.operation} (${route.method} ${route.path.replaceAll(":.*", "")}) is not implemented by this engine`,
    { subject: route.operation },
  );
}

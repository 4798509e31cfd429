/**
 * What a route is: data. One table per noun in `routes/`, all 108 operations declared; a row without a handler
 * answers 501 with the operation's name.
 */

/** `[1, 54]`. */
export type ApiVersion = readonly [major: number, minor: number];

/** The newest version that is implemented truthfully, and the oldest that is accepted. */
export const API_VERSION: ApiVersion = [1, 54];
export const MIN_API_VERSION: ApiVersion = [1, 24];

/**
 * The newest that our own client asks for: docker 28.5's, since it shows what that one shows. 1.52 took away fields that
 * people's templates name (`.NetworkSettings.IPAddress`).
 */
export const CLIENT_API_VERSION: ApiVersion = [1, 51];

export type HttpMethod = "GET" | "HEAD" | "POST" | "PUT" | "DELETE";

export interface Route {
  /** The operationId of Docker's OpenAPI description, e.g. `ContainerCreate`. */
  readonly operation: string;
  readonly method: HttpMethod;
  /** `/containers/{id}/json`; `{name:.*}` matches slashes as well (image references), but not nothing. */
  readonly path: string;
  /** Least API version. */
  readonly since?: ApiVersion;
  readonly body: "none" | "json" | "bytes";
  /** `json`: one document · `stream`: flushed as it comes · `hijack`: the socket leaves HTTP. */
  readonly reply: "json" | "stream" | "hijack";
  /** Errors are sent as text instead of JSON: what the route's clients read is no document. */
  readonly textErrors?: boolean;
  /** Client went away: `cancel` aborts the call's signal, `detach` lets it finish (create, start, remove). */
  readonly onDisconnect: "cancel" | "detach";
}

/** Negative, zero, positive as `a` is older than, the same as, newer than `b`. */
export function compareVersions(a: ApiVersion, b: ApiVersion): number {
  return a[0] - b[0] || a[1] - b[1];
}

type Traits = Partial<Pick<Route, "since" | "body" | "reply" | "onDisconnect" | "textErrors">>;

/** Rows of the tables. Reading is given up when the client goes away; changes run to their end. */
export function get(operation: string, path: string, traits: Traits = {}): Route {
  return { operation, method: "GET", path, body: "none", reply: "json", onDisconnect: "cancel", ...traits };
}

/** As `get`; the reply has no body. */
export function head(operation: string, path: string, traits: Traits = {}): Route {
  return { operation, method: "HEAD", path, body: "none", reply: "json", onDisconnect: "cancel", ...traits };
}

/** Changes something, and does so to the end though the client goes away; no body unless `traits` say so. */
export function post(operation: string, path: string, traits: Traits = {}): Route {
  return { operation, method: "POST", path, body: "none", reply: "json", onDisconnect: "detach", ...traits };
}

/** As `post`. */
export function put(operation: string, path: string, traits: Traits = {}): Route {
  return { operation, method: "PUT", path, body: "none", reply: "json", onDisconnect: "detach", ...traits };
}

/** Named for what it makes: `delete` is a word of the language. */
export function deletion(operation: string, path: string, traits: Traits = {}): Route {
  return {
    operation,
    method: "DELETE",
    path,
    body: "none",
    reply: "json",
    onDisconnect: "detach",
    ...traits,
  };
}

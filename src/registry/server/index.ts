/**
 * The registry as an HTTP handler. A request's way: path → who calls → one operation, which asks for the right it needs
 * before anything else → answer. Errors are told in the specification's form, here and nowhere else.
 */
import { log } from "../../base/log.ts";
import { EngineError, messageOf, NoSpaceError, UnavailableError } from "../../core/errors.ts";
import { type Exchange, type ExchangeHandler, HttpError } from "../../http/index.ts";
import { ANONYMOUS, type Caller } from "./access/rules.ts";
import { answerAdmin } from "./endpoints/admin.ts";
import * as blobs from "./endpoints/blobs.ts";
import { type CallParts, RegistryCall, serviceOf, unauthorized } from "./endpoints/call.ts";
import * as catalog from "./endpoints/catalog.ts";
import * as manifests from "./endpoints/manifests.ts";
import { getToken, postToken } from "./endpoints/token.ts";
import { RegistryError } from "./errors.ts";
import type { RegistryParts } from "./parts.ts";
import { parseRegistryPath, type RegistryPath } from "./routes.ts";

type Operation = (call: RegistryCall) => Promise<void>;

/** For TCP: everybody says who they are. */
export function registryHandler(parts: RegistryParts): ExchangeHandler {
  return async (exchange) => {
    const origin = originOf(exchange);
    await answer(parts, exchange, origin, async () => {
      const caller = await parts.authority.identify(exchange.header("authorization"), serviceOf(origin));
      return caller;
    });
  };
}

/** For a socket that only the administrator of the machine can open. */
export function administratorHandler(parts: RegistryParts): ExchangeHandler {
  const administrator: Caller = { ...ANONYMOUS, account: "root", admin: true };
  return async (exchange) => {
    await answer(parts, exchange, "http://localhost", async () => administrator);
  };
}

async function answer(
  parts: RegistryParts,
  exchange: Exchange,
  origin: string,
  identify: () => Promise<Caller>,
): Promise<void> {
  const { path, query } = splitTarget(exchange.head.target);
  const base = { deps: parts.deps, authority: parts.authority, exchange, path, query, origin };
  try {
    const operation = await find(parts, exchange.head.method, path);
    const caller = operation.public ? ANONYMOUS : await identified(identify, origin);
    await operation.run(new RegistryCall({ ...base, caller } satisfies CallParts));
  } catch (error) {
    await fail(exchange, error, new RegistryCall({ ...base, caller: ANONYMOUS }));
  }
}

/** Wrong credentials are answered with the challenge too: clients ask for a new token then. */
async function identified(identify: () => Promise<Caller>, origin: string): Promise<Caller> {
  try {
    return await identify();
  } catch (error) {
    if (!(error instanceof RegistryError) || error.code !== "UNAUTHORIZED") throw error;
    throw unauthorized(origin, [], "invalid_token");
  }
}

interface Found {
  readonly run: Operation;
  /** Asks for nobody's name. */
  readonly public?: boolean;
}

async function find(parts: RegistryParts, method: string, path: string): Promise<Found> {
  const reading = method === "GET" || method === "HEAD";
  if (path === "/healthz" && reading) return { public: true, run: (call) => call.json({ status: "ok" }) };
  if (path === "/readyz" && reading) return { public: true, run: (call) => readiness(call, parts) };
  if (path === "/auth/keys" && reading)
    return { public: true, run: (call) => call.json(parts.tokens.publicKeys()) };
  if (path === "/auth/token") {
    if (reading) return { run: (call) => getToken(call, parts.tokens) };
    if (method === "POST") return { public: true, run: (call) => postToken(call, parts.tokens) };
  }
  if (path === "/v1/_ping" && reading) {
    return {
      public: true,
      run: (call) => call.json(true, { headers: { "X-Docker-Registry-Standalone": "true" } }),
    };
  }
  if (path === "/v1/search" && reading) return { run: catalog.search };
  if (path.startsWith("/admin/v1/")) return { run: (call) => answerAdmin(call, parts) };
  const place = parseRegistryPath(path);
  if (!place) throw new RegistryError("UNSUPPORTED", "there is nothing at this path", { status: 404 });
  const run = operationOf(place, method);
  if (!run) throw new RegistryError("UNSUPPORTED", `${method} is not possible here`);
  return { run };
}

function operationOf(place: RegistryPath, method: string): Operation | undefined {
  const reading = method === "GET" || method === "HEAD";
  switch (place.kind) {
    case "base":
      return reading ? catalog.readBase : undefined;
    case "catalog":
      return reading ? catalog.readCatalog : undefined;
    case "tags":
      return reading ? (call) => manifests.readTags(call, place.name) : undefined;
    case "referrers":
      return reading ? (call) => manifests.readReferrers(call, place.name, place.digest) : undefined;
    case "manifest": {
      const { name, reference } = place;
      if (reading) return (call) => manifests.readManifest(call, name, reference);
      if (method === "PUT") return (call) => manifests.writeManifest(call, name, reference);
      return method === "DELETE" ? (call) => manifests.removeManifest(call, name, reference) : undefined;
    }
    case "blob": {
      const { name, digest } = place;
      if (reading) return (call) => blobs.readBlob(call, name, digest);
      return method === "DELETE" ? (call) => blobs.removeBlob(call, name, digest) : undefined;
    }
    case "uploads":
      return method === "POST" ? (call) => blobs.startUpload(call, place.name) : undefined;
    case "upload": {
      const { name, id } = place;
      if (reading) return (call) => blobs.uploadStatus(call, name, id);
      if (method === "PATCH") return (call) => blobs.addChunk(call, name, id);
      if (method === "PUT") return (call) => blobs.endUpload(call, name, id);
      return method === "DELETE" ? (call) => blobs.cancelUpload(call, name, id) : undefined;
    }
  }
}

async function readiness(call: RegistryCall, { isReady }: RegistryParts): Promise<void> {
  const ready = await isReady().catch(() => false);
  await call.json({ status: ready ? "ok" : "not ready" }, { status: ready ? 200 : 503 });
}

async function fail(exchange: Exchange, error: unknown, call: RegistryCall): Promise<void> {
  if (!exchange.open || exchange.signal.aborted) return exchange.destroy();
  const known = toRegistryError(error);
  if (known.status >= 500)
    log("error", "registry: a request failed", { path: call.parts.path, error: messageOf(error) });
  await call.json(known, { status: known.status, headers: known.headers });
}

function toRegistryError(error: unknown): RegistryError {
  if (error instanceof RegistryError) return error;
  if (error instanceof HttpError) {
    return new RegistryError("UNSUPPORTED", error.message, { status: error.status, cause: error });
  }
  if (error instanceof NoSpaceError)
    return new RegistryError("UNKNOWN", error.message, { status: 507, cause: error });
  if (error instanceof UnavailableError)
    return new RegistryError("UNAVAILABLE", error.message, { cause: error });
  const message = error instanceof EngineError ? error.message : "the registry failed; its log says why";
  return new RegistryError("UNKNOWN", message, { cause: error });
}

/** As the client reached us, also behind a proxy that ends TLS. */
function originOf(exchange: Exchange): string {
  const forwarded = exchange.header("x-forwarded-proto")?.split(",")[0]?.trim();
  const secure = exchange.peer.encrypted || forwarded === "https";
  return `${secure ? "https" : "http"}://${exchange.header("host") ?? "localhost"}`;
}

function splitTarget(target: string): { path: string; query: URLSearchParams } {
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  return { path, query: new URLSearchParams(mark < 0 ? "" : target.slice(mark + 1)) };
}

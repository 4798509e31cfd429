/**
 * Calls of one plugin: `POST /Interface.Method` with JSON, over a unix socket, TCP or TLS.
 * @see moby pkg/plugins/client.go
 */
import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from "node:http";
import { request as httpsRequest } from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import { InvalidParameterError, messageOf, PluginError, UnavailableError } from "../../core/errors.ts";
import type { PluginAddress, PluginCallOptions } from "../../core/plugins.ts";

const VERSION_TYPE = "application/vnd.docker.plugins.v1.2+json";
/** Sent where there is no host to name. */
const LOCAL_HOST = "plugin.moby.localhost";
const DEFAULT_TIMEOUT = 10_000;
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 2_000;
const LARGEST_REPLY = 4 * 1024 * 1024;

/** The request has never reached anybody. */
const UNREACHED: ReadonlySet<unknown> = new Set(["ECONNREFUSED", "ENOENT", "EAGAIN", "FailedToOpenSocket"]);

/** @see Plugin.call */
export async function callPlugin<T extends object>(
  plugin: PluginAddress,
  method: string,
  args: object | undefined,
  options: PluginCallOptions = {},
): Promise<T> {
  using limit = withinTime(plugin.name, method, options);
  const reply = await send(plugin, method, args, limit.signal);
  const text = await readReply(reply, limit.signal);
  const answer = parseAnswer(text);
  if (reply.statusCode !== 200) throw new PluginError(`${method}: ${answer?.Err || text.trim()}`);
  if (answer?.Err) throw new PluginError(answer.Err);
  if (!answer && text.trim() !== "") {
    throw new PluginError(`${method}: plugin ${plugin.name} answered with something that is no JSON object`);
  }
  return (answer ?? {}) as T;
}

/** @see Plugin.stream */
export async function streamPlugin(
  plugin: PluginAddress,
  method: string,
  args: object | undefined,
  options: PluginCallOptions = {},
): Promise<AsyncIterable<Uint8Array>> {
  using limit = withinTime(plugin.name, method, options);
  const reply = await send(plugin, method, args, limit.signal, options.signal);
  if (reply.statusCode === 200) return reply;
  const text = await readReply(reply, limit.signal);
  throw new PluginError(`${method}: ${parseAnswer(text)?.Err || text.trim()}`);
}

interface TimeLimit extends Disposable {
  readonly signal: AbortSignal;
}

function withinTime(
  name: string,
  method: string,
  { timeout = DEFAULT_TIMEOUT, signal }: PluginCallOptions,
): TimeLimit {
  const abort = new AbortController();
  const late = new UnavailableError(`plugin ${name} did not answer ${method} within ${timeout / 1000} s`, {
    subject: name,
  });
  const timer = setTimeout(() => abort.abort(late), timeout);
  const given = () => abort.abort(signal?.reason);
  if (signal?.aborted) given();
  signal?.addEventListener("abort", given, { once: true });
  return {
    signal: abort.signal,
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", given);
    },
  };
}

/** @param lifetime aborts the reply's body; the same as `signal` unless given */
async function send(
  plugin: PluginAddress,
  method: string,
  args: object | undefined,
  signal: AbortSignal,
  lifetime: AbortSignal | undefined = signal,
): Promise<IncomingMessage> {
  const body = args === undefined ? "" : JSON.stringify(args);
  for (let wait = FIRST_PAUSE; ; wait = Math.min(wait * 2, LONGEST_PAUSE)) {
    try {
      return await sendOnce(plugin, method, body, signal, lifetime);
    } catch (error) {
      signal.throwIfAborted();
      if (!UNREACHED.has((error as NodeJS.ErrnoException).code)) {
        throw new UnavailableError(`plugin ${plugin.name} failed in ${method}: ${messageOf(error)}`, {
          subject: plugin.name,
          cause: error,
        });
      }
    }
    await untilAborted(pause(wait, undefined, { ref: false }), signal);
  }
}

/** @throws the signal's reason */
async function untilAborted(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const give = () => reject(signal.reason);
  signal.addEventListener("abort", give, { once: true });
  try {
    await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", give);
  }
}

async function sendOnce(
  plugin: PluginAddress,
  method: string,
  body: string,
  signal: AbortSignal,
  lifetime: AbortSignal,
): Promise<IncomingMessage> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = open(plugin, method, body);
  const give = () => request.destroy(signal.reason);
  signal.addEventListener("abort", give, { once: true });
  request.on("error", (error) => reject(signal.aborted ? signal.reason : error));
  request.on("response", (reply) => {
    const end = () => reply.destroy(lifetime.reason);
    lifetime.addEventListener("abort", end, { once: true });
    reply.once("close", () => lifetime.removeEventListener("abort", end));
    // Who reads it hears of it there.
    reply.on("error", () => undefined);
    resolve(reply);
  });
  request.end(body);
  try {
    return await promise;
  } finally {
    signal.removeEventListener("abort", give);
  }
}

/** @throws InvalidParameterError for an address of a kind that nobody knows */
function open({ name, address, tls }: PluginAddress, method: string, body: string): ClientRequest {
  const url = new URL(address);
  const options: RequestOptions = {
    method: "POST",
    path: `/${method}`,
    agent: false,
    headers: { Accept: VERSION_TYPE, "Content-Length": Buffer.byteLength(body) },
  };
  if (url.protocol === "unix:") {
    return httpRequest({
      ...options,
      socketPath: url.pathname,
      headers: { ...options.headers, Host: LOCAL_HOST },
    });
  }
  const target = { ...options, host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port };
  if (url.protocol === "https:" || (url.protocol === "tcp:" && tls)) {
    const { ca, cert, key, insecure = true } = tls ?? {};
    return httpsRequest({ ...target, port: url.port || 443, ca, cert, key, rejectUnauthorized: !insecure });
  }
  if (url.protocol === "http:" || url.protocol === "tcp:") {
    return httpRequest({ ...target, port: url.port || 80 });
  }
  throw new InvalidParameterError(`plugin ${name} has an address of an unknown kind: ${address}`, {
    subject: name,
  });
}

async function readReply(reply: IncomingMessage, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const bytes of reply) {
      length += (bytes as Buffer).length;
      if (length > LARGEST_REPLY)
        throw new PluginError(`a plugin's reply is larger than ${LARGEST_REPLY} bytes`);
      chunks.push(bytes as Buffer);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof PluginError) throw error;
    throw new UnavailableError(`a plugin's reply broke off: ${messageOf(error)}`, { cause: error });
  }
  signal.throwIfAborted();
  return Buffer.concat(chunks).toString("utf8");
}

function parseAnswer(text: string): { Err?: string } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    return value;
  } catch {
    // The caller has the text.
    return undefined;
  }
}

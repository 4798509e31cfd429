/** The sessions of clients that are connected now, by their id. */
import { randomBytes } from "node:crypto";
import { ConflictError, InvalidParameterError, NotFoundError } from "../../../core/errors.ts";
import type { Sessions } from "../../session.ts";
import type { Channel, Metadata } from "../grpc/transport.ts";
import { ClientSession, type SessionFacts } from "./client-session.ts";

/** No host: whoever is asked for it asks the client. */
const UPLOAD_HOST = "buildkit-session";
/** A build may name a session that is still on its way. */
const PATIENCE = 5_000;

export class ClientSessions implements Sessions {
  readonly #active = new Map<string, ClientSession>();
  readonly #waiting = new Set<() => void>();
  readonly #bodies = new Map<string, AsyncIterable<Uint8Array>>();

  /**
   * Holds a session while its connection lasts.
   * @throws ConflictError if there is one of that id
   */
  async hold(channel: Channel, facts: SessionFacts): Promise<void> {
    if (this.#active.has(facts.id)) {
      channel[Symbol.dispose]();
      throw new ConflictError(`session ${facts.id} already exists`);
    }
    this.#active.set(facts.id, new ClientSession(channel, facts));
    for (const wake of this.#waiting) wake();
    try {
      await channel.closed;
    } finally {
      this.#active.delete(facts.id);
    }
  }

  async get(id: string, { signal }: { signal: AbortSignal }): Promise<ClientSession> {
    const deadline = AbortSignal.timeout(PATIENCE);
    for (;;) {
      const session = this.#active.get(id);
      if (session) return session;
      signal.throwIfAborted();
      if (deadline.aborted) {
        throw new NotFoundError(`no active session for ${id}: context deadline exceeded`, { subject: id });
      }
      await this.#change(AbortSignal.any([signal, deadline]));
    }
  }

  /** Offers a body under an address until it is read or given up. */
  offer(body: AsyncIterable<Uint8Array>): { readonly url: string } & Disposable {
    const url = `http://${UPLOAD_HOST}/${randomBytes(16).toString("hex")}`;
    this.#bodies.set(url, body);
    return { url, [Symbol.dispose]: () => void this.#bodies.delete(url) };
  }

  async upload(
    url: string,
    { sessionId, signal }: { readonly sessionId: string; readonly signal: AbortSignal },
  ): Promise<AsyncIterable<Uint8Array>> {
    const body = this.#bodies.get(url);
    // A body is there once: who reads it keeps what it reads.
    if (this.#bodies.delete(url) && body) return body;
    if (sessionId === "") throw new NotFoundError(`nothing is uploaded for ${url}`, { subject: url });
    return (await this.get(sessionId, { signal })).upload(url, signal);
  }

  /** Settles when a session comes, or the signal aborts. */
  #change(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = () => {
      this.#waiting.delete(done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    this.#waiting.add(done);
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
    return promise;
  }
}

/** What the headers of `POST /session`, or the metadata of `Control.Session`, say. @throws InvalidParameterError */
export function sessionFacts(headers: Metadata): SessionFacts {
  const first = (name: string) => headers.get(name)?.[0] ?? "";
  const id = first("x-docker-expose-session-uuid");
  if (id === "") throw new InvalidParameterError("session: the id is missing");
  return {
    id,
    name: first("x-docker-expose-session-name"),
    sharedKey: first("x-docker-expose-session-sharedkey"),
    // Repeated fields of HTTP/2 come as one, with commas between.
    methods: new Set(
      headers.get("x-docker-expose-session-grpc-method")?.flatMap((value) => value.split(/,\s*/)),
    ),
  };
}

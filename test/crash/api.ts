/** The Engine API over a unix socket, as the crash test asks it: no client library in between, every status visible. */

export interface Reply {
  readonly status: number;
  readonly text: string;
}

export interface Api {
  call(method: string, path: string, body?: unknown): Promise<Reply>;
  /** Parsed; @throws Error unless 2xx */
  get<T>(path: string): Promise<T>;
  /** The body as it comes, without frames. Ends with the connection. @throws Error unless 2xx */
  stream(method: string, path: string, body?: unknown): AsyncIterable<string>;
}

export function apiOf(socket: string): Api {
  const call = async (method: string, path: string, body?: unknown): Promise<Reply> => {
    const reply = await fetch(`http://engine/v1.51${path}`, {
      unix: socket,
      method,
      keepalive: false,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(60_000),
    });
    return { status: reply.status, text: await reply.text() };
  };
  return {
    call,
    get: async <T>(path: string) => {
      const { status, text } = await call("GET", path);
      if (status >= 300) throw new Error(`GET ${path}: ${status} ${text}`);
      return JSON.parse(text) as T;
    },
    async *stream(method, path, body) {
      // Aborted with the loop that reads: the connection is closed whether or not the stream has ended.
      const reading = new AbortController();
      try {
        const reply = await fetch(`http://engine/v1.51${path}`, {
          unix: socket,
          method,
          keepalive: false,
          headers: body === undefined ? {} : { "content-type": "application/json" },
          body: body === undefined ? undefined : JSON.stringify(body),
          signal: AbortSignal.any([reading.signal, AbortSignal.timeout(60_000)]),
        });
        if (!reply.ok || !reply.body)
          throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`);
        yield* unframed(reply.body);
      } finally {
        reading.abort();
      }
    },
  };
}

/** @see wire contract: eight bytes of header, stream type first, length last */
async function* unframed(body: AsyncIterable<Uint8Array>): AsyncIterable<string> {
  let rest = Buffer.alloc(0);
  for await (const chunk of body) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 8 && rest.length >= 8 + rest.readUInt32BE(4)) {
      const end = 8 + rest.readUInt32BE(4);
      yield rest.toString("utf8", 8, end);
      rest = rest.subarray(end);
    }
  }
}

/** The Engine API over a unix socket, as the crash test asks it: no client library in between, every status visible. */

export interface Reply {
  readonly status: number;
  readonly text: string;
}

export interface Api {
  call(method: string, path: string, body?: unknown): Promise<Reply>;
  /** Parsed; @throws Error unless 2xx */
  get<T>(path: string): Promise<T>;
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
  };
}

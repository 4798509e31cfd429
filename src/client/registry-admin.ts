/** The caller of a registry's administration, over the socket that only root of its machine can open. */
import { parseAddress } from "./address.ts";
import { EngineConnectionError, EngineError } from "./errors.ts";
import { encodeRequestHead, readBody, readResponseHead } from "./http.ts";
import { ByteSocket } from "./socket.ts";

/** The registry said no, in its own words. */
class RegistryAdminError extends EngineError {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface AdminCall {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Below `/admin/v1/`: `accounts/ada`. Parts are encoded by `segment`. */
  readonly path: string;
  readonly body?: unknown;
}

/** One part of a path, whatever is in it. */
export function segment(text: string): string {
  return encodeURIComponent(text);
}

/** @param socketPath `<data root>/admin.sock`. @returns the answer, undefined where it is empty. @throws RegistryAdminError */
export async function administer<T>(socketPath: string, { method, path, body }: AdminCall): Promise<T> {
  const socket = await ByteSocket.connect(
    parseAddress(`unix://${socketPath}`),
    undefined,
    "administer",
  ).catch((error: unknown) => {
    throw new EngineConnectionError(
      `no registry answers at ${socketPath}: is 'registry serve' running there? Name its --data-root`,
      { cause: error },
    );
  });
  try {
    const bytes = Buffer.from(body === undefined ? "" : JSON.stringify(body));
    const headers = {
      Host: "localhost",
      Connection: "close",
      "Content-Type": "application/json",
      "Content-Length": String(bytes.byteLength),
    };
    const request = encodeRequestHead({ method, target: `/admin/v1/${path}`, headers });
    await socket.write(Buffer.concat([Buffer.from(request, "latin1"), bytes]));
    const head = await readResponseHead(socket);
    const text = Buffer.concat(await Array.fromAsync(readBody(socket, method, head, () => {}))).toString(
      "utf8",
    );
    const value: unknown = text === "" ? undefined : JSON.parse(text);
    if (head.status >= 400) throw new RegistryAdminError(head.status, reasonOf(value) ?? text);
    return value as T;
  } finally {
    socket.close();
  }
}

function reasonOf(value: unknown): string | undefined {
  const errors = (value as { errors?: readonly { message?: unknown }[] } | undefined)?.errors;
  const message = errors?.[0]?.message;
  return typeof message === "string" ? message : undefined;
}

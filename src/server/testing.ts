/** For tests of this folder: a server with a few handlers on a socket of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export { eventually, Wire } from "../http/testing.ts";

import type { Handlers } from "./call.ts";
import { pingHandlers } from "./handlers/ping.ts";
import { type ApiServer, createServer, type Identity, type ServerOptions } from "./index.ts";

export const testIdentity: Identity = {
  version: "1.2.3",
  gitCommit: "abc",
  buildTime: "2026-01-01T00:00:00Z",
  experimental: false,
  builderVersion: "1",
  swarm: "inactive",
};

export interface TestServer extends AsyncDisposable {
  readonly server: ApiServer;
  readonly path: string;
  readonly directory: string;
}

export async function serve(handlers: Handlers, limits?: ServerOptions["limits"]): Promise<TestServer> {
  const directory = mkdtempSync(join(tmpdir(), "gantry-server-"));
  const path = join(directory, "api.sock");
  const server = createServer({
    handlers: { ...pingHandlers, ...handlers },
    identity: testIdentity,
    limits,
  });
  await server.listen({ kind: "unix", path });
  return {
    server,
    path,
    directory,
    [Symbol.asyncDispose]: async () => {
      await server.close(100);
      rmSync(directory, { recursive: true });
    },
  };
}

export function request(method: string, target: string, headers = "", body = ""): string {
  const length = body
    ? `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`
    : "";
  return `${method} ${target} HTTP/1.1\r\nHost: docker\r\n${headers}${length}\r\n${body}`;
}

/** An agent of the client's as a socket that a program of a build can talk to. */
import { chmodSync, chownSync } from "node:fs";
import { createServer } from "node:net";
import { log } from "../../base/log.ts";
import { messageOf } from "../../core/errors.ts";
import type { AgentForward } from "../session.ts";

/** Disposing closes the socket and all connections. */
export async function forwardAgent(
  agent: AgentForward,
  path: string,
  { uid, gid, mode }: { readonly uid: number; readonly gid: number; readonly mode: number },
): Promise<AsyncDisposable> {
  const closed = new AbortController();
  const server = createServer((socket) => {
    const relay = async (): Promise<void> => {
      const connection = await agent.connect({ signal: closed.signal });
      closed.signal.addEventListener("abort", () => socket.destroy(), { once: true });
      socket.on("close", () => connection.close());
      socket.on("data", (bytes: Buffer) => void connection.write(bytes).catch(() => socket.destroy()));
      for await (const bytes of connection.output) socket.write(bytes);
      socket.end();
    };
    socket.on("error", () => socket.destroy());
    relay().catch((error) => {
      log("debug", "forwarding an agent failed", { error: messageOf(error) });
      socket.destroy();
    });
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(path, resolve);
  await promise;
  chownSync(path, uid, gid);
  chmodSync(path, mode & 0o777);
  return {
    async [Symbol.asyncDispose]() {
      closed.abort();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}

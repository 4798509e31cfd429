/** Serves one client on a process's stdio: bytes both ways, until one side ends or the client detaches. */
import type { StdioChunk, StdioConnection } from "../../../core/runtime.ts";

/** The client's side, framed or raw as it asked for; made by the server. */
export interface StdioClient {
  /** Ends at the client's half-close. */
  readonly input: AsyncIterable<Uint8Array>;
  /** Resolves when more may be written; after the client has left it does nothing. */
  write(chunk: StdioChunk): Promise<void>;
  /** Settles when the client is gone. */
  readonly closed: Promise<void>;
  /** Settles when the client typed the keys that leave the process running. */
  readonly detached: Promise<void>;
}

export interface ServeOptions {
  readonly wants: (stream: StdioChunk["stream"]) => boolean;
  readonly stdin: boolean;
  /** The client's EOF is the process's EOF (`StdinOnce`); otherwise a client that ends its input leaves. */
  readonly closeStdin: boolean;
}

export type Outcome = "ended" | "left" | "detached";

/** Settles when the output has ended, the client has left, or typed its detach keys. */
export async function serveStdio(
  stdio: StdioConnection,
  client: StdioClient,
  options: ServeOptions,
): Promise<Outcome> {
  const ways: Promise<Outcome>[] = [
    sendOutput(stdio, client, options),
    client.detached.then(() => "detached"),
    client.closed.then(() => "left"),
  ];
  if (options.stdin) ways.push(takeInput(stdio, client, options));
  const outcome = Promise.race(ways);
  // Whichever way loses may fail when the connection is taken down; the winner told what happened.
  for (const way of ways) way.catch(() => {});
  return await outcome;
}

async function sendOutput(
  stdio: StdioConnection,
  client: StdioClient,
  { wants }: ServeOptions,
): Promise<Outcome> {
  for await (const chunk of stdio.output) if (wants(chunk.stream)) await client.write(chunk);
  return "ended";
}

async function takeInput(
  stdio: StdioConnection,
  client: StdioClient,
  { closeStdin }: ServeOptions,
): Promise<Outcome> {
  for await (const bytes of client.input) await stdio.write(bytes);
  // The keys to detach end the input too: that they were typed tells the other way.
  const outcome = await Promise.race([client.detached.then(() => "detached" as const), Bun.sleep(0)]);
  if (outcome) return outcome;
  if (!closeStdin) return "left";
  stdio.endInput();
  await client.closed;
  return "left";
}

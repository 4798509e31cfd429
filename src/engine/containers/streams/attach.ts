/**
 * `docker attach`: a client on a container's stdio. It may come before the container starts; then it is connected
 * between the making of the task and the first instruction of its program, so that it misses nothing. Each client
 * has a connection of its own to the monitor: one that does not read holds up nobody else.
 */
import { log } from "../../../base/log.ts";
import type { ContainerRecord } from "../../../core/container.ts";
import { ConflictError, messageOf, NotImplementedError } from "../../../core/errors.ts";
import type { StdioChunk, StdioConnection, Task } from "../../../core/runtime.ts";
import type { Needs } from "../deps.ts";
import { publish } from "../events.ts";
import { toLogSubject } from "../log-subject.ts";
import { type StdioClient, serveStdio } from "./stdio.ts";

type AttachDeps = Needs<"events" | "logs" | "running" | "store">;

/** Milliseconds that releasing what a container had may take before a client is told that it ended. */
const RELEASE_PATIENCE = 2_000;

export interface AttachRequest {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** What was written so far. */
  readonly logs: boolean;
  /** What is written from now on. */
  readonly stream: boolean;
}

export interface Attachment {
  readonly tty: boolean;
  /** Serves the client until the process ended, the client left or detached. Never rejects. */
  serve(client: StdioClient): Promise<void>;
}

/**
 * Takes the place at once: a start that begins after this call waits for the connection.
 * Whoever asks for neither log nor stream is let in and out again, as dockerd does it.
 * @throws NotFoundError; ConflictError when paused or restarting
 */
export function attachToContainer(deps: AttachDeps, reference: string, request: AttachRequest): Attachment {
  const container = deps.store.get(reference);
  checkAttachable(container);
  const place = request.stream ? takePlace(deps, container, request) : undefined;
  publish(deps.events, container, "attach");
  return {
    tty: container.config.Tty ?? false,
    async serve(client) {
      try {
        if (request.logs) await replayLog(deps, container, request, client);
        if (place) await serveLive(deps, container, request, { place, client });
      } catch (error) {
        log("debug", "an attached client was lost", { container: container.id, error: messageOf(error) });
      } finally {
        place?.[Symbol.dispose]();
      }
    },
  };
}

function checkAttachable({ id, state }: ContainerRecord): void {
  if (state.status === "paused") {
    throw new ConflictError(`container ${id} is paused, unpause the container before attach`, {
      subject: id,
    });
  }
  if (state.status === "restarting") {
    throw new ConflictError(`container ${id} is restarting, wait until the container is running`, {
      subject: id,
    });
  }
}

interface Place extends Disposable {
  /** Settles when the task is there. */
  readonly connection: Promise<StdioConnection>;
}

function takePlace(deps: Needs<"running">, { id, config }: ContainerRecord, request: AttachRequest): Place {
  const stdin = request.stdin && (config.OpenStdin ?? false);
  const running = deps.running.get(id);
  if (running) {
    const connection = running.task.attach({ stdin });
    connection.catch(() => {});
    return { connection, [Symbol.dispose]: () => {} };
  }
  const { promise: connection, resolve, reject } = Promise.withResolvers<StdioConnection>();
  connection.catch(() => {});
  const connect = (task: Task) => task.attach({ stdin }).then(resolve, reject);
  return { connection, ...deps.running.onTask(id, connect) };
}

async function replayLog(
  deps: Needs<"logs">,
  container: ContainerRecord,
  request: AttachRequest,
  client: StdioClient,
): Promise<void> {
  const abort = new AbortController();
  void client.closed.then(() => abort.abort());
  try {
    const entries = deps.logs.read(toLogSubject(container), { follow: false, signal: abort.signal });
    for await (const { stream, bytes } of entries) {
      if (isWanted(request, stream)) await client.write({ stream, bytes });
    }
  } catch (error) {
    // Nothing was kept: there is nothing to replay.
    if (!(error instanceof NotImplementedError)) throw error;
  }
}

async function serveLive(
  deps: AttachDeps,
  container: ContainerRecord,
  request: AttachRequest,
  { place, client }: { place: Place; client: StdioClient },
): Promise<void> {
  const abort = new AbortController();
  const gone = Promise.race([client.closed, deps.running.removal(container.id, abort.signal)]);
  try {
    using stdio = await Promise.race([place.connection, gone.then(() => undefined)]);
    if (!stdio) return;
    const tty = container.config.Tty ?? false;
    const outcome = await serveStdio(stdio, client, {
      wants: (stream) => isWanted(request, stream),
      stdin: request.stdin && (container.config.OpenStdin ?? false),
      closeStdin: (container.config.StdinOnce ?? false) && !tty,
    });
    if (outcome === "detached") publish(deps.events, deps.store.byId(container.id) ?? container, "detach");
    else await untilReleased(deps, container.id, client);
  } finally {
    abort.abort();
  }
}

/** Output is over when the container is: who sees the end of it finds its networks and names free. */
async function untilReleased(deps: Needs<"running">, id: string, client: StdioClient): Promise<void> {
  const running = deps.running.get(id);
  if (!running || running.task.alive) return;
  await Promise.race([running.released, client.closed, Bun.sleep(RELEASE_PATIENCE)]);
}

function isWanted(request: AttachRequest, stream: StdioChunk["stream"]): boolean {
  return stream === "stdout" ? request.stdout : request.stderr;
}

/**
 * Starting conmon: it detaches, runs the OCI runtime as its child and tells the outcome over a socket
 * (`_OCI_SYNCPIPE`): the pid of the new process, or the runtime's error text. Nothing is polled.
 *
 * conmon and the runtime get a clean environment, /dev/null and a regular file as stdio, and no other descriptor.
 */
import { closeSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { log } from "../../base/log.ts";
import { SystemError, UnavailableError } from "../../core/errors.ts";
import { openFilesLeft } from "../../linux/limits.ts";
import { adoptSocket, socketPair } from "../../linux/sockets.ts";
import { CLEAN_ENVIRONMENT } from "./binaries.ts";

/** One line of conmon's protocol: a pid or an exit code; negative with the runtime's text when it failed. */
export interface MonitorMessage {
  readonly data: number;
  readonly message?: string;
}

export interface MonitorOptions {
  readonly monitor: string;
  readonly args: readonly string[];
  readonly directory: string;
  readonly logFile: string;
  /** Where conmon may make its console socket: a short path, since a socket's address holds 107 bytes. */
  readonly temporary: string;
  /** For execs: descriptors of the child and the variables that announce them. */
  readonly pipes?: readonly { readonly variable: string; readonly fd: number }[];
}

/** A monitor that was started. Disposing closes the daemon's end only: the monitor does not need it. */
export interface MonitorConnection extends Disposable {
  /** The next message, or undefined when the monitor closed its end. */
  next(): Promise<MonitorMessage | undefined>;
  /** Settles when the foreground process has detached its child and ended. */
  readonly detached: Promise<number>;
}

const SYNC_FD = 3;

/** Kept for what goes on: clients, logs, ends of containers; and a spawn without a descriptor left blocks the daemon. */
const RESERVED_DESCRIPTORS = 128;

/** @throws UnavailableError when the daemon has hardly a descriptor left */
export function startMonitor(options: MonitorOptions): MonitorConnection {
  if (openFilesLeft() < RESERVED_DESCRIPTORS) {
    throw new UnavailableError(
      "too many open files: the daemon is near its limit and starts nothing more (raise its nofile limit)",
    );
  }
  using theirs = new DisposableStack();
  const output = theirs.adopt(openSync(options.logFile, "a", 0o600), closeSync);
  const sync = socketPair();
  theirs.adopt(sync.theirs, closeSync);
  const messages = new MonitorMessages(sync.ours);
  const pipes = options.pipes ?? [];
  const variables = Object.fromEntries(
    pipes.map(({ variable }, index) => [variable, String(SYNC_FD + 1 + index)]),
  );
  try {
    const child = Bun.spawn([options.monitor, ...options.args], {
      cwd: options.directory,
      env: { ...CLEAN_ENVIRONMENT, TMPDIR: options.temporary, _OCI_SYNCPIPE: String(SYNC_FD), ...variables },
      stdio: ["ignore", "ignore", output, sync.theirs, ...pipes.map(({ fd }) => fd)],
    });
    return { next: () => messages.next(), detached: child.exited, [Symbol.dispose]: () => messages.close() };
  } catch (error) {
    messages.close();
    throw error;
  }
}

/** What the monitor said before it detached, for an error message. */
export function monitorErrors(logFile: string): SystemError {
  const text = readFileSync(logFile, "utf8").trim().slice(-4096);
  return new SystemError(`the monitor conmon failed${text && `: ${text}`}`, { subject: dirname(logFile) });
}

/** Lines of JSON from a socket; a line is at most as long as conmon's buffer. */
export class MonitorMessages {
  readonly #queue: MonitorMessage[] = [];
  #wake: (() => void) | undefined;
  #rest = "";
  #closed = false;
  readonly #socket: Promise<{ end(): void } | undefined>;

  constructor(fd: number) {
    const decoder = new TextDecoder();
    this.#socket = adoptSocket(fd, {
      data: (bytes) => this.#take(decoder.decode(bytes, { stream: true })),
      close: () => this.#finish(),
    }).catch((error) => {
      log("error", "a monitor cannot be listened to", { error });
      this.#finish();
      return undefined;
    });
  }

  async next(): Promise<MonitorMessage | undefined> {
    while (this.#queue.length === 0 && !this.#closed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    return this.#queue.shift();
  }

  close(): void {
    void this.#socket.then((socket) => socket?.end());
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#queue.push(parseMessage(line));
    this.#wake?.();
  }

  #finish(): void {
    this.#closed = true;
    this.#wake?.();
  }
}

/** conmon escapes its messages by hand and not always well: then the text is taken as it stands. */
function parseMessage(line: string): MonitorMessage {
  const [, data] = /"data":\s*(-?\d+)/.exec(line) ?? [];
  try {
    const parsed: unknown = JSON.parse(line);
    if (typeof parsed === "object" && parsed !== null && "message" in parsed) {
      return { data: Number(data ?? -1), message: String(parsed.message) };
    }
  } catch {
    return { data: -1, message: line.replace(/^.*?"message":\s*"/, "").replace(/"}\s*$/, "") };
  }
  return { data: Number(data ?? -1) };
}

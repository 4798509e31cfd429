/**
 * A terminal, or pipes, joined to a process in a container: raw mode, detach keys, both directions with their
 * half-closes, sizes, signals.
 */
import { read } from "node:fs";
import type { ReadStream } from "node:tty";
import { hasCode } from "../../base/error-codes.ts";
import { actOnContainer } from "../../client/containers.ts";
import type { Hijacked } from "../../client/engine.ts";
import { readFrames } from "../../client/frames.ts";
import type { Cli } from "../command.ts";

export interface SessionOptions {
  /** The process has a terminal: bytes are raw and all output is one stream. */
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** `ctrl-p,ctrl-q`; "" for the default. */
  readonly detachKeys: string;
}

/** How a session ended: the process closed its output, or the user typed the detach keys. */
export type SessionEnd = "ended" | "detached";

/** What Docker says of the detach keys where it treats them as an error. */
export const DETACHED_MESSAGE = "read escape sequence";

export class Session {
  readonly #cli: Cli;
  readonly #connection: Hijacked;
  readonly #options: SessionOptions;
  readonly #detached = Promise.withResolvers<SessionEnd>();
  #terminal: ReadStream | undefined;

  constructor(cli: Cli, connection: Hijacked, options: SessionOptions) {
    this.#cli = cli;
    this.#connection = connection;
    this.#options = options;
  }

  /** Joins both sides; settles when output has ended or the user detached. The terminal is restored by then. */
  async run(): Promise<SessionEnd> {
    const { stdin, stdout, stderr } = this.#options;
    try {
      if (stdin && this.#options.tty && this.#cli.stdin.isTerminal) this.#enterRawMode();
      const input = this.#sendInput(stdin);
      const output = stdout || stderr ? this.#receiveOutput() : undefined;
      return await Promise.race([output ?? input, this.#detached.promise]);
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#leaveRawMode();
    this.#connection.close();
  }

  async #receiveOutput(): Promise<SessionEnd> {
    const { stdout, stderr } = this.#cli;
    if (this.#options.tty) {
      for await (const bytes of this.#connection.output) await stdout.stream(bytes);
    } else {
      for await (const { stream, bytes } of readFrames(this.#connection.output)) {
        const wanted = stream === "stderr" ? this.#options.stderr : this.#options.stdout;
        if (wanted) await (stream === "stderr" ? stderr : stdout).stream(bytes);
      }
    }
    return "ended";
  }

  async #sendInput(stdin: boolean): Promise<SessionEnd> {
    try {
      if (stdin) {
        const keys = this.#options.tty ? parseDetachKeys(this.#options.detachKeys) : [];
        const filter = new DetachFilter(keys);
        for await (const bytes of this.#terminal ?? readInput()) {
          const { send, detached } = filter.pass(bytes as Uint8Array);
          if (send.byteLength > 0) await this.#connection.write(send);
          if (detached) {
            this.#detached.resolve("detached");
            return "detached";
          }
        }
      }
      await this.#connection.halfClose();
    } catch {
      // A process that is gone takes no input: the end of its output tells.
    }
    return "ended";
  }

  #enterRawMode(): void {
    const { ReadStream } = require("node:tty") as typeof import("node:tty");
    this.#terminal = new ReadStream(0);
    this.#terminal.setRawMode(true);
    // The platform's raw mode still adds carriage returns to output; leaving it restores all of the settings.
    if (Bun.which("stty")) Bun.spawnSync(["stty", "-opost"], { stdin: "inherit" });
  }

  #leaveRawMode(): void {
    const terminal = this.#terminal;
    this.#terminal = undefined;
    terminal?.setRawMode(false);
    terminal?.pause();
  }
}

const CHUNK = 32 * 1024;

/** Standard input to its end. */
export async function* readInput(): AsyncGenerator<Uint8Array, void, undefined> {
  for (;;) {
    const buffer = Buffer.allocUnsafe(CHUNK);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    read(0, buffer, 0, CHUNK, null, (error, bytes) => (error ? reject(error) : resolve(bytes)));
    let bytes: number;
    try {
      bytes = await promise;
    } catch (error) {
      if (!hasCode(error, "EAGAIN")) throw error;
      await Bun.sleep(5);
      continue;
    }
    if (bytes === 0) return;
    yield buffer.subarray(0, bytes);
  }
}

const DEFAULT_DETACH_KEYS = [16, 17];

/** `ctrl-a`, single characters, separated by commas. Invalid keys are as none. */
export function parseDetachKeys(text: string): readonly number[] {
  if (text === "") return DEFAULT_DETACH_KEYS;
  const codes: number[] = [];
  for (const key of text.split(",")) {
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1];
    if (control !== undefined) codes.push(control.charCodeAt(0) & 0x1f);
    else if (key === "DEL") codes.push(127);
    else if (key.length === 1) codes.push(key.charCodeAt(0));
    else return DEFAULT_DETACH_KEYS;
  }
  return codes;
}

/** Holds back a started sequence of keys until it is complete or broken. */
export class DetachFilter {
  readonly #keys: readonly number[];
  #matched = 0;

  constructor(keys: readonly number[]) {
    this.#keys = keys;
  }

  pass(bytes: Uint8Array): { readonly send: Uint8Array; readonly detached: boolean } {
    if (this.#keys.length === 0) return { send: bytes, detached: false };
    const send: number[] = [];
    for (const byte of bytes) {
      if (byte === this.#keys[this.#matched]) {
        if (++this.#matched === this.#keys.length) {
          this.#matched = 0;
          return { send: Uint8Array.from(send), detached: true };
        }
        continue;
      }
      if (this.#matched > 0) {
        send.push(...this.#keys.slice(0, this.#matched));
        this.#matched = 0;
        if (byte === this.#keys[0]) {
          this.#matched = 1;
          continue;
        }
      }
      send.push(byte);
    }
    return { send: Uint8Array.from(send), detached: false };
  }
}

type Resize = (size: { h: number; w: number }) => Promise<void>;

/** Keeps the process's terminal as large as ours. */
export function followTerminalSize(cli: Cli, resize: Resize): void {
  const send = async (): Promise<boolean> => {
    const { rows, columns } = cli.stdout.size;
    if (rows === 0 && columns === 0) return true;
    return await resize({ h: rows, w: columns }).then(
      () => true,
      () => false,
    );
  };
  void (async () => {
    // A process that has just been asked for may not have its terminal yet.
    for (let attempt = 0; attempt <= 10; attempt++) {
      if (await send()) return;
      await Bun.sleep((attempt + 1) * 10);
    }
    cli.stderr.line("failed to resize tty, using default size");
  })();
  process.on("SIGWINCH", () => void send());
}

const forwarded: readonly NodeJS.Signals[] = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
  "SIGTERM",
  "SIGCONT",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGWINCH",
];

/** Sends the signals that this process gets to the container. */
export function forwardSignals(cli: Cli, id: string): void {
  cli.stdout.reportBrokenPipe();
  cli.stderr.reportBrokenPipe();
  for (const signal of forwarded) {
    const name = signal.slice("SIG".length);
    process.on(signal, () => {
      actOnContainer(cli.engine, id, "kill", { signal: name }).catch(() => {});
    });
  }
}

/** Termination signals no longer end this process, until the third. */
export function endAfterThreeSignals(cli: Cli, restore: () => void): void {
  let count = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (++count < 3) return;
      cli.stderr.write("\ngot 3 SIGTERM/SIGINTs, forcefully exiting\n");
      restore();
      process.exit(1);
    });
  }
}

/** @throws Error if the process wants a terminal and our input is none */
export function checkTerminal(
  cli: Cli,
  { stdin, tty }: { readonly stdin: boolean; readonly tty: boolean },
): void {
  if (stdin && tty && !cli.stdin.isTerminal) throw new Error("the input device is not a TTY");
}

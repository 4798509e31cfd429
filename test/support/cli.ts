/** Docker clients as programs: the docker CLI, and `gantry`, which must do and say the same. */
import { resolve } from "node:path";
import type { TestEngine } from "./engine.ts";

const programs = {
  docker: process.env.GANTRY_TEST_DOCKER ?? "docker",
  gantry: process.env.GANTRY_TEST_EXECUTABLE ?? resolve(import.meta.dir, "../../dist/gantry"),
};

export type Client = keyof typeof programs;

/** The clients that suites drive; `GANTRY_TEST_CLIENTS=docker` restricts them. */
export const clients = (process.env.GANTRY_TEST_CLIENTS ?? "docker,gantry").split(",") as Client[];

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string | Uint8Array;
  /** ms; the client is killed then, and the call throws. */
  readonly timeout?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** A client that talks to an engine. Call it as a function: `const { code } = await cli("run", "--rm", …)`. */
export interface Cli {
  (...args: readonly string[]): Promise<Output>;
  with(options: RunOptions, ...args: readonly string[]): Promise<Output>;
  /** A call that must succeed; gives stdout without the last newline. */
  ok(...args: readonly string[]): Promise<string>;
  /** Starts a client without waiting for it. */
  spawn(...args: readonly string[]): RunningClient;
  /** The same on a terminal of 80×24. */
  terminal(...args: readonly string[]): TerminalClient;
}

export function cliOf(client: Client, engine: Pick<TestEngine, "host" | "directory">): Cli {
  const command = (args: readonly string[]): string[] => [programs[client], "-H", engine.host, ...args];
  const environment = {
    PATH: process.env.PATH ?? "",
    HOME: engine.directory,
    DOCKER_CONFIG: `${engine.directory}/config`,
  };
  const run = async (
    { stdin, timeout = 30_000, env = {} }: RunOptions,
    args: readonly string[],
  ): Promise<Output> => {
    const child = Bun.spawn(command(args), {
      stdin: stdin === undefined ? "ignore" : Buffer.from(stdin as string),
      stdout: "pipe",
      stderr: "pipe",
      env: { ...environment, ...env },
    });
    const late = setTimeout(() => child.kill("SIGKILL"), timeout);
    const [stdout, stderr, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    clearTimeout(late);
    if (child.signalCode === "SIGKILL") {
      throw new Error(`${client} ${args.join(" ")} did not end within ${timeout} ms\n${stdout}${stderr}`);
    }
    return { code, stdout, stderr };
  };
  return Object.assign((...args: readonly string[]) => run({}, args), {
    with: (options: RunOptions, ...args: readonly string[]) => run(options, args),
    ok: async (...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await run({}, args);
      if (code !== 0) throw new Error(`${client} ${args.join(" ")}: exit ${code}\n${stdout}${stderr}`);
      return stdout.replace(/\n$/, "");
    },
    spawn: (...args: readonly string[]) => new RunningClient(command(args), environment),
    terminal: (...args: readonly string[]) => new TerminalClient(command(args), environment),
  });
}

/** A client that is running, with pipes. */
export class RunningClient implements Disposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #output: Collected;
  readonly #errors: Collected;

  constructor(command: string[], env: Record<string, string>) {
    this.#child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "pipe", env });
    this.#output = new Collected(this.#child.stdout);
    this.#errors = new Collected(this.#child.stderr);
  }

  get stdout(): string {
    return this.#output.text;
  }

  get stderr(): string {
    return this.#errors.text;
  }

  get exited(): Promise<number> {
    return this.#child.exited;
  }

  async write(text: string): Promise<void> {
    this.#child.stdin.write(text);
    await this.#child.stdin.flush();
  }

  async endInput(): Promise<void> {
    await this.#child.stdin.end();
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Waits until stdout has the text. */
  async shows(text: string | RegExp, timeout = 10_000): Promise<void> {
    await eventually(() => matches(this.stdout, text), {
      timeout,
      what: () => `${text} in:\n${this.stdout}\n${this.stderr}`,
    });
  }

  async ended(timeout = 20_000): Promise<number> {
    return await within(
      timeout,
      this.exited,
      () => `the client to end; so far:\n${this.stdout}\n${this.stderr}`,
    );
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

/** A client that is running on a terminal. */
export class TerminalClient implements Disposable {
  readonly #child: Bun.Subprocess;
  #screen = "";

  constructor(command: string[], env: Record<string, string>) {
    const decoder = new TextDecoder();
    this.#child = Bun.spawn(command, {
      env: { ...env, TERM: "xterm" },
      terminal: {
        cols: 80,
        rows: 24,
        data: (_terminal, bytes) => {
          this.#screen += decoder.decode(bytes, { stream: true });
        },
      },
    });
  }

  /** Everything that came so far. */
  get screen(): string {
    return this.#screen;
  }

  type(text: string): void {
    this.#child.terminal?.write(text);
  }

  resize(columns: number, rows: number): void {
    this.#child.terminal?.resize(columns, rows);
  }

  async shows(text: string | RegExp, timeout = 10_000): Promise<void> {
    await eventually(() => matches(this.#screen, text), {
      timeout,
      what: () => `${text} in:\n${JSON.stringify(this.#screen)}`,
    });
  }

  async ended(timeout = 20_000): Promise<number> {
    return await within(timeout, this.#child.exited, () => `the client to end; so far:\n${this.#screen}`);
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
    this.#child.terminal?.close();
  }
}

class Collected {
  text = "";

  constructor(stream: ReadableStream<Uint8Array>) {
    void this.#collect(stream);
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.text += decoder.decode(chunk, { stream: true });
  }
}

/** Looks every 20 ms until it is so. @throws after the timeout (10 s), saying what was waited for */
export async function eventually(
  look: () => boolean | Promise<boolean>,
  { timeout = 10_000, what = () => look.toString() }: { timeout?: number; what?: () => string } = {},
): Promise<void> {
  const deadline = Date.now() + timeout;
  while (!(await look())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeout} ms for ${what()}`);
    await Bun.sleep(20);
  }
}

async function within<T>(timeout: number, promise: Promise<T>, what: () => string): Promise<T> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${timeout} ms for ${what()}`)), timeout);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function matches(text: string, wanted: string | RegExp): boolean {
  return typeof wanted === "string" ? text.includes(wanted) : wanted.test(text);
}

/** What every end-to-end suite begins with: an engine of its own with images, and both clients against it. */
import { afterAll, afterEach, beforeAll, describe, test } from "bun:test";
import { ensureImageStorage } from "../fixtures/images.ts";
import { type Cli, type Client, clients, cliOf } from "./cli.ts";
import { type EngineOptions, oracle, startEngine, type TestEngine } from "./engine.ts";
import { openedSince, openFiles } from "./leaks.ts";
import { startRegistry, type TestRegistry } from "./registry.ts";

export interface Suite {
  readonly engine: TestEngine;
  readonly registry: TestRegistry;
  cli(client: Client): Cli;
}

/** What a daemon opens with its first pull and container, and keeps: a sealed copy for each runtime, a watch for exits, an event loop. */
const OPENED_FOR_GOOD: Readonly<Record<string, number>> = {
  "/memfd:crun (deleted)": 3,
  "anon_inode:inotify": 1,
  "anon_inode:[eventpoll]": 1,
  "anon_inode:[eventfd]": 1,
};

/**
 * Call at the top of a test file. Containers, volumes and networks are removed after each test; at the end the daemon
 * must have no more files open than it began with.
 */
export function useEngine(options: EngineOptions & { readonly images?: readonly string[] } = {}): Suite {
  let engine: TestEngine | undefined;
  let registry: TestRegistry | undefined;
  let files: ReadonlyMap<string, number> | undefined;
  const running = <T>(part: T | undefined): T => {
    if (part === undefined) throw new Error("the suite's engine did not start");
    return part;
  };
  beforeAll(async () => {
    registry = await startRegistry({ storage: await ensureImageStorage() });
    engine = await startEngine(options);
    files = openFiles(engine.pid);
    await engine.provide(registry.host, ...(options.images ?? ["busybox"]));
  }, 300_000);
  afterEach(async () => {
    if (engine && (await engine.answers())) await engine.clear();
  }, 60_000);
  afterAll(async () => {
    // Connections to it that the engine keeps for its next pull end with it.
    await registry?.[Symbol.asyncDispose]();
    const compared = engine && files && !oracle && (await engine.answers());
    const opened = compared ? await openedSince(files ?? new Map(), engine?.pid ?? 0, OPENED_FOR_GOOD) : [];
    await engine?.[Symbol.asyncDispose]();
    if (opened.length > 0) throw new Error(`the daemon left files open:\n${opened.join("\n")}`);
  }, 120_000);
  return {
    get engine() {
      return running(engine);
    },
    get registry() {
      return running(registry);
    },
    cli: (client) => lateCli(() => cliOf(client, running(engine))),
  };
}

/** The engine is not there yet while tests are declared. */
function lateCli(cli: () => Cli): Cli {
  return Object.assign((...args: readonly string[]) => cli()(...args), {
    with: (...args: Parameters<Cli["with"]>) => cli().with(...args),
    ok: (...args: readonly string[]) => cli().ok(...args),
    spawn: (...args: readonly string[]) => cli().spawn(...args),
    terminal: (...args: readonly string[]) => cli().terminal(...args),
  });
}

/** Declares the same tests once per client. */
export function withEachClient(
  suite: Suite,
  name: string,
  declare: (cli: Cli, client: Client) => void,
): void {
  for (const client of clients) describe(`${name}, ${client}`, () => declare(suite.cli(client), client));
}

/** Behaviour that dockerd 20.10, the oracle at hand, does not have or has otherwise. The reason is for the reader. */
export function notInOracle(_reason: string): typeof test {
  return (oracle ? test.skip : test) as typeof test;
}

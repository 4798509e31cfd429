/** What every runtime must do, whatever the driver. Needs root and a busybox root: the processes are real. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { CreateTaskOptions, ExecOptions, ExecTask, Runtime, StdioConnection, Task } from "./runtime.ts";
import type { RuntimeProcess, RuntimeSpec } from "./runtime-spec.ts";

export interface RuntimeUnderTest extends AsyncDisposable {
  readonly runtime: Runtime;
  /** A second instance on the same directories, as after the death of the daemon. */
  restart(): Promise<Runtime>;
  /** A spec whose root has busybox, with private namespaces. */
  spec(id: string, args: readonly string[], change?: SpecChange): RuntimeSpec;
  /** Where logs may be kept. */
  readonly logs: string;
  /** Kills the monitor of a task, as the kernel might. */
  killMonitor(id: string): void;
  /** Names of what is left on the host of tasks: directories, cgroups, processes. */
  remains(): string[];
}

export interface SpecChange {
  readonly process?: Partial<RuntimeProcess>;
  readonly resources?: RuntimeSpec["linux"]["resources"];
  /** Processes of the host are seen, and outlive the task's init. */
  readonly hostPids?: boolean;
}

type CreateChange = Partial<Omit<CreateTaskOptions, "id" | "spec">> & SpecChange & { id?: string };

interface OnceChange extends SpecChange {
  readonly signal?: AbortSignal;
  /** All of the stream's text so far. */
  readonly onText?: (text: string) => void;
}

const SIGTERM = 15;
const SIGKILL = 9;

/** @param make a runtime on directories of its own */
export function runtimeContract(make: () => Promise<RuntimeUnderTest>): void {
  let subject: RuntimeUnderTest;
  let count = 0;

  beforeEach(async () => {
    subject = await make();
  });
  afterEach(async () => {
    await subject[Symbol.asyncDispose]();
  });

  async function create(args: readonly string[], change: CreateChange = {}): Promise<Task> {
    const id = change.id ?? `task${count++}`;
    return await subject.runtime.create({
      id,
      spec: subject.spec(id, args, change),
      tty: false,
      stdin: false,
      stdinOnce: false,
      logPath: logOf(id),
      runtime: undefined,
      signal: new AbortController().signal,
      ...change,
    });
  }

  function logOf(id: string): string {
    return join(subject.logs, id);
  }

  function loggedBy(id: string): string {
    return readFileSync(logOf(id), "utf8").replace(/^\S+ (stdout|stderr) [FP] /gm, "");
  }

  const shell = (script: string, change?: CreateChange): Promise<Task> =>
    create(["sh", "-c", script], change);

  async function output(stdio: StdioConnection): Promise<string> {
    let text = "";
    for await (const { bytes } of stdio.output) text += new TextDecoder().decode(bytes);
    return text;
  }

  describe("a program that runs once", () => {
    async function once(
      args: readonly string[],
      { signal = new AbortController().signal, onText = () => {}, ...change }: OnceChange = {},
    ): Promise<{ exitCode: number; out: string; err: string }> {
      const id = `once${count++}`;
      const written = { stdout: "", stderr: "" };
      const { exitCode } = await subject.runtime.runOnce({
        id,
        spec: subject.spec(id, args, change),
        runtime: undefined,
        signal,
        onOutput: ({ stream, bytes }) => {
          written[stream] += new TextDecoder().decode(bytes);
          onText(written[stream]);
        },
      });
      return { exitCode, out: written.stdout, err: written.stderr };
    }

    test("gives its output as it comes, its exit code, and leaves nothing behind", async () => {
      const result = await once(["sh", "-c", "echo out; echo err >&2; exit 7"]);
      expect(result).toEqual({ exitCode: 7, out: "out\n", err: "err\n" });
      expect(subject.remains()).toEqual([]);
    });

    test("takes its children along, whoever holds its output", async () => {
      expect((await once(["sh", "-c", "sleep 1000 & exit 0"])).exitCode).toBe(0);
      expect(subject.remains()).toEqual([]);
    });

    test("that is not there fails in Docker's words", async () => {
      await expect(once(["/no/such/program"])).rejects.toThrow("no such file or directory");
      await expect(once(["no-such-program"])).rejects.toThrow("executable file not found in $PATH");
      expect(subject.remains()).toEqual([]);
    });

    test("is killed when its caller gives up", async () => {
      const caller = new AbortController();
      const running = once(["sh", "-c", "echo up; sleep 1000 & sleep 1000"], {
        signal: caller.signal,
        onText: () => caller.abort(new Error("given up")),
      });
      await expect(running).rejects.toThrow("given up");
      expect(subject.remains()).toEqual([]);
    });

    test("that a dead daemon left is destroyed at boot", async () => {
      const { promise: up, resolve } = Promise.withResolvers<void>();
      const running = once(["sh", "-c", "echo up; sleep 1000"], { onText: () => resolve() });
      await up;
      await (await subject.restart()).recover(new Set());
      expect((await running.catch(() => ({ exitCode: 137 }))).exitCode).toBe(137);
      expect(subject.remains()).toEqual([]);
    });
  });

  describe("a task", () => {
    test("runs its program, logs what it writes and tells its exit code", async () => {
      await using task = await shell("echo out; echo err >&2; exit 7");
      expect(task.started).toBe(false);
      await task.start();
      const before = Date.now();
      const exit = await task.exited;
      expect(exit.exitCode).toBe(7);
      expect(exit.oomKilled).toBe(false);
      expect(Math.abs(exit.exitedAt - before)).toBeLessThan(5000);
      expect(task.started).toBe(true);
      expect(loggedBy(task.id)).toBe("out\nerr\n");
    });

    test("does nothing before it is started", async () => {
      await using task = await shell("echo ran");
      await Bun.sleep(50);
      expect(loggedBy(task.id)).toBe("");
      await task.start();
      await task.exited;
      expect(loggedBy(task.id)).toBe("ran\n");
    });

    test("leaves nothing behind, and its id can be used again", async () => {
      for (let round = 0; round < 2; round++) {
        const task = await shell("exit 0", { id: "again" });
        await task.start();
        await task.exited;
        await task[Symbol.asyncDispose]();
        await task[Symbol.asyncDispose]();
        expect(subject.remains()).toEqual([]);
      }
    });

    test("that runs is killed by its disposal, with all its processes", async () => {
      const task = await shell("sleep 1000 & sleep 1000 & wait");
      await task.start();
      await task[Symbol.asyncDispose]();
      expect((await task.exited).exitCode).toBe(137);
      expect(subject.remains()).toEqual([]);
    });

    test("whose children outlive its init takes them along when it is disposed of", async () => {
      const task = await shell("sleep 1000 & exit 0", { hostPids: true });
      await task.start();
      await task.exited;
      expect(await task.processIds()).toHaveLength(1);
      await task[Symbol.asyncDispose]();
      expect(subject.remains()).toEqual([]);
    });

    test("that was never started can be disposed of", async () => {
      const task = await shell("echo never");
      await task[Symbol.asyncDispose]();
      expect(subject.remains()).toEqual([]);
    });

    test("gets signals; its exit code is 128 and the signal's number", async () => {
      await using task = await shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done");
      const stdio = await task.attach();
      await task.start();
      await stdio.output[Symbol.asyncIterator]().next();
      await task.kill(SIGTERM);
      expect((await task.exited).exitCode).toBe(3);
      stdio[Symbol.dispose]();

      await using other = await create(["sleep", "1000"]);
      await other.start();
      await other.kill(SIGKILL);
      expect((await other.exited).exitCode).toBe(137);
      await other.kill(SIGKILL);
    });

    test("tells that memory ran out", async () => {
      await using task = await shell("head -c 100m /dev/zero | tail", {
        resources: { memory: { limit: 16 * 1024 * 1024, swap: 16 * 1024 * 1024 } },
      });
      await task.start();
      expect((await task.exited).oomKilled).toBe(true);
    });

    test("can be paused and resumed, and killed while paused", async () => {
      await using task = await shell("while :; do echo x; sleep 0.01; done");
      await task.start();
      await Bun.sleep(50);
      await task.pause();
      const before = loggedBy(task.id).length;
      await Bun.sleep(60);
      expect(loggedBy(task.id).length).toBe(before);
      await task.resume();
      await Bun.sleep(100);
      expect(loggedBy(task.id).length).toBeGreaterThan(before);
      await task.pause();
      await task[Symbol.asyncDispose]();
      expect(subject.remains()).toEqual([]);
    });

    test("shows its processes", async () => {
      await using task = await shell("sleep 1000 & sleep 1000");
      await task.start();
      await Bun.sleep(100);
      const ids = await task.processIds();
      expect(ids).toContain(task.pid);
      expect(ids.length).toBeGreaterThanOrEqual(2);
    });

    test("takes new limits while it runs", async () => {
      await using task = await create(["sleep", "1000"]);
      await task.start();
      await task.update({ pids: { limit: 1 } });
      const attempt = await execAndWait(task, ["sh", "-c", "true | true"]).catch(() => ({ exitCode: 1 }));
      expect(attempt.exitCode).not.toBe(0);
      await task.update({ pids: { limit: -1 } });
      expect((await execAndWait(task, ["sh", "-c", "true | true"])).exitCode).toBe(0);
    });
  });

  describe("a program that cannot be run", () => {
    test.each([
      ["no-such-program", 'exec: "no-such-program": executable file not found in $PATH'],
      ["/no/such/program", 'exec: "/no/such/program": stat /no/such/program: no such file or directory'],
      ["/etc/passwd", 'exec: "/etc/passwd": permission denied'],
    ])("%p fails in Docker's words and leaves nothing", async (program, message) => {
      await expect(create([program])).rejects.toThrow(message);
      expect(subject.remains()).toEqual([]);
    });

    test.each([1, 3, 5, 8, 12, 20])("a create that is aborted after %p ms leaves nothing", async (delay) => {
      const abort = new AbortController();
      const creating = create(["true"], { signal: abort.signal });
      await Bun.sleep(delay);
      abort.abort(new Error("gone"));
      await creating.then(
        (task) => task[Symbol.asyncDispose](),
        () => {},
      );
      expect(subject.remains()).toEqual([]);
    });
  });

  describe.each([
    ["with a log", true],
    ["without a log", false],
  ])("attached %s", (_name, logged) => {
    const change = (id: string): CreateChange => ({ id, logPath: logged ? logOf(id) : undefined });

    test("a client misses nothing and ends with the process", async () => {
      await using task = await shell("echo first; echo second", change("whole"));
      using stdio = await task.attach();
      const text = output(stdio);
      await task.start();
      expect(await text).toBe("first\nsecond\n");
    });

    test("stdin arrives; its end is the process's when it is asked for", async () => {
      const options = { ...change("stdin"), stdin: true, stdinOnce: true };
      await using task = await create(["cat"], options);
      using stdio = await task.attach({ stdin: true });
      const text = output(stdio);
      await task.start();
      await stdio.write(Buffer.from("typed\n"));
      stdio.endInput();
      expect(await text).toBe("typed\n");
      expect((await task.exited).exitCode).toBe(0);
    });

    test("a client that leaves takes stdin with it, if it was the only one to have it", async () => {
      const options = { ...change("leave"), stdin: true, stdinOnce: true };
      await using task = await create(["cat"], options);
      const stdio = await task.attach({ stdin: true });
      await task.start();
      stdio[Symbol.dispose]();
      expect((await task.exited).exitCode).toBe(0);
    });

    test("stdin stays open for others where it is to stay open", async () => {
      const options = { ...change("shared"), stdin: true, stdinOnce: false };
      await using task = await create(["head", "-n", "2"], options);
      const first = await task.attach({ stdin: true });
      await task.start();
      await first.write(Buffer.from("one\n"));
      first.endInput();
      first[Symbol.dispose]();
      using second = await task.attach({ stdin: true });
      const text = output(second);
      await second.write(Buffer.from("two\n"));
      expect((await task.exited).exitCode).toBe(0);
      expect(await text).toContain("two\n");
    });

    test("megabytes pass both ways whole", async () => {
      const options = { ...change("large"), stdin: true, stdinOnce: true };
      await using task = await create(["cat"], options);
      using stdio = await task.attach({ stdin: true });
      await task.start();
      const sent = Buffer.from(Array.from({ length: 200_000 }, (_, index) => `${index}\n`).join(""));
      const text = output(stdio);
      await stdio.write(sent);
      stdio.endInput();
      expect(await text).toBe(sent.toString());
    });

    test("a client that comes late gets what is written from then on", async () => {
      await using task = await shell("echo early; sleep 0.2; echo late", change("late"));
      await task.start();
      await Bun.sleep(100);
      using stdio = await task.attach();
      expect(await output(stdio)).toBe("late\n");
    });

    test("two clients get the same", async () => {
      await using task = await shell("echo for both", change("both"));
      using first = await task.attach();
      using second = await task.attach();
      const texts = Promise.all([output(first), output(second)]);
      await task.start();
      expect(await texts).toEqual(["for both\n", "for both\n"]);
    });
  });

  test("a client that does not read holds up neither the container nor the others, where a log is kept", async () => {
    await using task = await shell("head -c 3000000 /dev/zero | tr '\\0' x; echo");
    using _idle = await task.attach();
    using reading = await task.attach();
    const text = output(reading);
    await task.start();
    expect((await task.exited).exitCode).toBe(0);
    expect((await text).length).toBe(3_000_001);
  });

  test("a terminal has the size it was given, and one stream", async () => {
    await using task = await create(["sh", "-c", "read go; stty size; echo err >&2"], {
      tty: true,
      stdin: true,
      process: { terminal: true },
    });
    using stdio = await task.attach({ stdin: true });
    const text = output(stdio);
    await task.start();
    await task.resize({ height: 31, width: 97 });
    await Bun.sleep(50);
    await stdio.write(Buffer.from("\n"));
    expect(await text).toContain("31 97\r\nerr\r\n");
  });

  function processOf(args: readonly string[], change: Partial<RuntimeProcess> = {}): RuntimeProcess {
    return { ...subject.spec("exec", args).process, ...change };
  }

  async function execAndWait(
    task: Task,
    args: readonly string[],
    change: Partial<ExecOptions> & { input?: string } = {},
  ): Promise<{ exitCode: number; text: string; exec: ExecTask }> {
    let stdio: StdioConnection | undefined;
    let text = Promise.resolve("");
    const exec = await task.exec(`exec${count++}`, processOf(args, { terminal: change.tty ?? false }), {
      tty: false,
      stdin: change.input !== undefined,
      onAttach: (connection) => {
        stdio = connection;
        text = output(connection);
      },
      ...change,
    });
    if (change.input !== undefined) {
      await stdio?.write(Buffer.from(change.input));
      stdio?.endInput();
    }
    const { exitCode } = await exec.exited;
    return { exitCode, text: await text, exec };
  }

  describe("exec", () => {
    test("runs in the container, with its output and exit code", async () => {
      await using task = await create(["sleep", "1000"]);
      await task.start();
      const { exitCode, text } = await execAndWait(task, ["sh", "-c", "echo out; echo err >&2; exit 5"]);
      expect({ exitCode, text }).toEqual({ exitCode: 5, text: "out\nerr\n" });
    });

    test("has stdin, ended by the client", async () => {
      await using task = await create(["sleep", "1000"]);
      await task.start();
      const { text } = await execAndWait(task, ["cat"], { input: "hello\n" });
      expect(text).toBe("hello\n");
    });

    test("has a terminal of the size asked for", async () => {
      await using task = await create(["sleep", "1000"]);
      await task.start();
      const { text } = await execAndWait(task, ["sh", "-c", "sleep 0.05; stty size"], {
        tty: true,
        size: { height: 20, width: 77 },
      });
      expect(text).toBe("20 77\r\n");
    });

    test("is over when its process ends, even if a child keeps the output open", async () => {
      await using task = await create(["sleep", "1000"]);
      await task.start();
      const before = performance.now();
      const { text } = await execAndWait(task, ["sh", "-c", "sleep 30 & echo done"]);
      expect(text).toBe("done\n");
      expect(performance.now() - before).toBeLessThan(5000);
    });

    test("detached, is kept with its exit code until it is disposed", async () => {
      await using task = await create(["sleep", "1000"]);
      await task.start();
      const { exitCode } = await execAndWait(task, ["sh", "-c", "exit 9"], { onAttach: undefined });
      expect(exitCode).toBe(9);
      const [exec] = task.execs.values();
      await exec?.[Symbol.asyncDispose]();
      expect(task.execs.size).toBe(0);
    });

    test("that cannot be run says why in Docker's words", async () => {
      await using task = await create(["sleep", "1000"]);
      await task.start();
      const attempt = execAndWait(task, ["nope"]);
      await expect(attempt).rejects.toThrow('exec: "nope": executable file not found in $PATH');
    });

    test("ends with the container", async () => {
      const task = await create(["sleep", "1000"]);
      await task.start();
      const running = execAndWait(task, ["sleep", "1000"]);
      await Bun.sleep(100);
      await task.kill(SIGKILL);
      expect((await running).exitCode).toBe(137);
      await task[Symbol.asyncDispose]();
      expect(subject.remains()).toEqual([]);
    });

    test("a client that does not read costs bounded memory, and only its own exec waits", async () => {
      await using task = await create(["sleep", "1000"]);
      await task.start();
      let idle: StdioConnection | undefined;
      const before = process.memoryUsage().rss;
      const stuck = await task.exec("stuck", processOf(["cat", "/dev/zero"]), {
        tty: false,
        stdin: false,
        onAttach: (connection) => {
          idle = connection;
        },
      });
      await Bun.sleep(300);
      expect(process.memoryUsage().rss - before).toBeLessThan(60_000_000);
      expect((await execAndWait(task, ["true"])).exitCode).toBe(0);
      idle?.[Symbol.dispose]();
      await stuck.kill(SIGKILL);
      expect((await stuck.exited).exitCode).toBe(137);
    });
  });

  describe("after the death of the daemon", () => {
    test("running tasks are found, with output, stdin and control", async () => {
      const task = await shell("while read line; do echo got $line; done", {
        stdin: true,
        stdinOnce: false,
        id: "survivor",
      });
      await task.start();
      const runtime = await subject.restart();
      const found = (await runtime.recover(new Set(["survivor", "unknown"]))).get("survivor");
      expect(found?.pid).toBe(task.pid);
      expect(found?.started).toBe(true);
      using stdio = await (found as Task).attach({ stdin: true });
      await stdio.write(Buffer.from("it\n"));
      const { value } = await stdio.output[Symbol.asyncIterator]().next();
      expect(Buffer.from(value?.bytes ?? []).toString()).toBe("got it\n");
      await found?.kill(SIGKILL);
      expect((await found?.exited)?.exitCode).toBe(137);
      await found?.[Symbol.asyncDispose]();
      expect(subject.remains()).toEqual([]);
    });

    test("one that ended meanwhile has its exit code and time", async () => {
      const task = await shell("sleep 0.1; exit 42", { id: "ended" });
      await task.start();
      const { exitedAt } = await task.exited;
      await Bun.sleep(100);
      const runtime = await subject.restart();
      const found = (await runtime.recover(new Set(["ended"]))).get("ended");
      expect(await found?.exited).toEqual({ exitCode: 42, exitedAt, oomKilled: false });
      await found?.[Symbol.asyncDispose]();
      expect(subject.remains()).toEqual([]);
    });

    test("one that ran out of memory meanwhile is known for that", async () => {
      const task = await shell("sleep 0.1; head -c 100m /dev/zero | tail", {
        id: "hungry",
        resources: { memory: { limit: 16 * 1024 * 1024, swap: 16 * 1024 * 1024 } },
      });
      await task.start();
      const runtime = await subject.restart();
      while (existsSync(`/proc/${task.pid}/root`)) await Bun.sleep(20);
      const found = (await runtime.recover(new Set(["hungry"]))).get("hungry");
      expect((await found?.exited)?.oomKilled).toBe(true);
      await found?.[Symbol.asyncDispose]();
      expect(subject.remains()).toEqual([]);
    });

    test("one that was never started is told from others", async () => {
      await create(["true"], { id: "created" });
      const runtime = await subject.restart();
      const found = (await runtime.recover(new Set(["created"]))).get("created");
      expect(found?.started).toBe(false);
      await found?.[Symbol.asyncDispose]();
      expect(subject.remains()).toEqual([]);
    });

    test("one whose children outlived its init is found ended, and goes with them", async () => {
      const task = await shell("sleep 1000 & exit 5", { id: "parent", hostPids: true });
      await task.start();
      await task.exited;
      const runtime = await subject.restart();
      const found = (await runtime.recover(new Set(["parent"]))).get("parent");
      expect((await found?.exited)?.exitCode).toBe(5);
      await found?.[Symbol.asyncDispose]();
      expect(subject.remains()).toEqual([]);
    });

    test("those that nobody knows are destroyed", async () => {
      const task = await create(["sleep", "1000"], { id: "orphan" });
      await task.start();
      const runtime = await subject.restart();
      expect((await runtime.recover(new Set())).size).toBe(0);
      expect(subject.remains()).toEqual([]);
    });

    test("an exec goes on, and its exit code is found", async () => {
      const task = await create(["sleep", "1000"], { id: "holder" });
      await task.start();
      const options = { tty: false, stdin: false };
      await task.exec("long", processOf(["sh", "-c", "sleep 0.3; exit 11"]), options);
      const runtime = await subject.restart();
      const found = (await runtime.recover(new Set(["holder"]))).get("holder");
      expect((await found?.execs.get("long")?.exited)?.exitCode).toBe(11);
      await found?.[Symbol.asyncDispose]();
      expect(subject.remains()).toEqual([]);
    });
  });

  test("a task whose monitor is killed ends within five seconds, and nothing of it goes on", async () => {
    const task = await shell("while :; do sleep 0.1; done", { id: "unwatched" });
    await task.start();
    subject.killMonitor("unwatched");
    const before = performance.now();
    expect((await task.exited).exitCode).toBe(137);
    expect(performance.now() - before).toBeLessThan(5000);
    expect(existsSync(`/proc/${task.pid}/root`)).toBe(false);
    await task[Symbol.asyncDispose]();
    expect(subject.remains()).toEqual([]);
    rmSync(logOf("unwatched"), { force: true });
  });
}

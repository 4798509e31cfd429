/** The order of things in a container's life, on ports in memory; what they do to a kernel is in the drivers' tests. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KeyedLock } from "../../base/keyed-lock.ts";
import { InvalidParameterError, NoSpaceError, NotFoundError, SystemError } from "../../core/errors.ts";
import type { EngineEvent } from "../../core/events.ts";
import type { Digest } from "../../core/ids.ts";
import type { ContainerSandbox } from "../../core/networking.ts";
import type { Task, TaskExit } from "../../core/runtime.ts";
import type { RuntimeProcess, RuntimeSpec } from "../../core/runtime-spec.ts";
import type { StateStore, Table } from "../../core/state.ts";
import { HelperContainerFiles } from "../../drivers/container-files/index.ts";
import { KernelRootFiles } from "../../drivers/rootfs/index.ts";
import { Execs } from "../exec/execs.ts";
import { ExecStore } from "../exec/store.ts";
import { bootContainers } from "./boot.ts";
import { type CreateRequest, createContainer } from "./create.ts";
import type { ContainerDeps } from "./deps.ts";
import { inspectContainer, viewContainers } from "./queries/inspect.ts";
import { listContainers } from "./queries/list.ts";
import { readContainerLog } from "./queries/logs.ts";
import { waitForContainer } from "./queries/wait.ts";
import { pruneContainers, removeContainer } from "./remove.ts";
import { restartContainer } from "./restart.ts";
import { startContainer } from "./start.ts";
import { exitCodeOfFailure, toStartFailure } from "./start-failure.ts";
import { RunningContainers } from "./state/running.ts";
import { ContainerStore } from "./state/store.ts";
import { killContainer, stopContainer } from "./stop.ts";
import { attachToContainer } from "./streams/attach.ts";
import { updateContainer } from "./update.ts";

const signal = new AbortController().signal;

/** A host in memory: what is mounted, connected and running, and a journal of what was done in which order. */
class FakeHost {
  readonly journal: string[] = [];
  readonly events: Pick<EngineEvent, "type" | "action" | "actor">[] = [];
  readonly tasks = new Map<string, FakeTask>();
  readonly prepared = new Set<string>();
  readonly tables = new Map<string, Map<string, string>>();
  failAt: string | undefined;
  /** Nothing can be written to the tables. */
  full = false;
  /** Making a task does not come to an end. */
  hangs = false;
  /** What a recovered sandbox has. */
  endpoints: ContainerSandbox["endpoints"] = {};
  /** Signals that end a process. */
  deadly = new Set([9, 15]);
  readonly dataRoot = mkdtempSync(join(tmpdir(), "t-containers-"));

  step(what: string): void {
    this.journal.push(what);
    if (this.failAt === what) throw new Error(`${what} failed`);
  }

  resource(name: string): AsyncDisposable {
    this.step(name);
    return { [Symbol.asyncDispose]: async () => void this.journal.push(`un${name}`) };
  }

  actions(): string[] {
    return this.events.map(({ action }) => action);
  }
}

class FakeTask implements Task {
  readonly pid = 42;
  readonly pidStartTime = 7;
  readonly execs = new Map();
  readonly started = true;
  alive = true;
  readonly id: string;
  readonly #host: FakeHost;
  readonly #exit = Promise.withResolvers<TaskExit>();
  readonly exited = this.#exit.promise;

  constructor(id: string, host: FakeHost) {
    this.id = id;
    this.#host = host;
  }

  end(exitCode: number): void {
    this.#exit.resolve({ exitCode, exitedAt: Date.now(), oomKilled: false });
  }

  async start(): Promise<void> {
    this.#host.step("start");
  }

  async kill(number: number): Promise<void> {
    if (this.#host.deadly.has(number)) this.end(128 + number);
  }

  async attach() {
    this.#host.step("attach");
    return {
      output: (async function* () {})(),
      write: async () => {},
      endInput: () => {},
      [Symbol.dispose]: () => {},
    };
  }

  async pause(): Promise<void> {}
  async resume(): Promise<void> {}
  async resize(): Promise<void> {}
  async update(): Promise<void> {}
  holdOutput(): void {}
  usage(): never {
    throw new Error("not used");
  }
  readonly outputReadTo = undefined;
  async processIds(): Promise<number[]> {
    return [this.pid];
  }
  async exec(): Promise<never> {
    throw new Error("not in this test");
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#host.journal.push("untask");
    this.#host.tasks.delete(this.id);
  }
}

function fakeState(host: FakeHost): StateStore {
  return {
    table<T>(name: string): Table<T> {
      const rows = host.tables.get(name) ?? new Map<string, string>();
      host.tables.set(name, rows);
      return {
        get: (key) => (rows.has(key) ? (JSON.parse(rows.get(key) ?? "") as T) : undefined),
        put(key, value) {
          if (host.full) throw new NoSpaceError("no space left on device");
          rows.set(key, JSON.stringify(value));
        },
        delete: (key) => rows.delete(key),
        entries: () => [...rows].map(([key, row]) => [key, JSON.parse(row) as T]),
      };
    },
    transaction: (work) => work(),
    [Symbol.dispose]: () => {},
  };
}

function compose(host: FakeHost): ContainerDeps {
  const deps: Omit<ContainerDeps, "execs"> = {
    store: new ContainerStore(fakeState(host)),
    running: new RunningContainers(),
    locks: new KeyedLock(),
    files: new HelperContainerFiles(),
    rootFiles: new KernelRootFiles(),
    images: {
      resolve(reference) {
        if (reference !== "busybox") throw new NotFoundError(`No such image: ${reference}:latest`);
        return {
          id: `sha256:${"a".repeat(64)}` as Digest,
          config: {
            architecture: process.arch === "x64" ? "amd64" : process.arch,
            os: "linux",
            config: { Cmd: ["sh"] },
            rootfs: { type: "layers", diff_ids: [] },
          },
          layers: [],
        };
      },
      changeConfig: (config) => config,
      addCommitted: async () => {
        throw new Error("not in this test");
      },
      hold: () => ({ [Symbol.dispose]: () => {} }),
      released: async () => {},
    },
    snapshots: {
      name: "fake",
      has: async () => true,
      stageLayer: async () => {
        throw new Error("not in this test");
      },
      changes: async () => [],
      commit: async () => {
        throw new Error("not in this test");
      },
      restack: async () => {
        throw new Error("not in this test");
      },
      packLayer: async () => {
        throw new Error("not in this test");
      },
      removeLayer: async () => {},
      layerUsage: async () => ({ size: 0, inodes: 0, allocated: 0 }),
      async prepare(key) {
        host.prepared.add(key);
        if (host.failAt === "prepare") throw new Error("prepare failed");
      },
      async mount(key) {
        if (!host.prepared.has(key)) throw new NotFoundError(`snapshot ${key} does not exist`);
        return { path: "/rootfs", ...host.resource("mount") };
      },
      describe: () => ({ LowerDir: "", MergedDir: "", UpperDir: "", WorkDir: "" }),
      usage: async (key) => {
        if (!host.prepared.has(key)) throw new NotFoundError(`snapshot ${key} does not exist`);
        return { size: 10, inodes: 1, allocated: 0 };
      },
      remove: async (key) => {
        host.step(`remove ${key}`);
        host.prepared.delete(key);
      },
      reconcile: async () => {},
    },
    sandboxes: {
      plan: (_mode, requested) => ({ ...requested }),
      links: () => [],
      unlinked: async () => {},
      create: async ({ id }) => ({
        id,
        namespacePath: "/netns",
        endpoints: { bridge: { IPAddress: "172.17.0.2" } },
        ports: {},
        files: { hosts: "127.0.0.1 localhost\n" },
        environment: [],
        ...host.resource("network"),
      }),
      recover: async (running) =>
        new Map(
          running.map(({ id }) => [
            id,
            {
              ...{ id, namespacePath: "/netns", ports: {}, files: {}, environment: [] },
              endpoints: host.endpoints,
              ...host.resource("network"),
            },
          ]),
        ),
    },
    volumes: {
      acquire: async () => {
        throw new Error("not in this test");
      },
      copyUp: async () => {},
      mount: async () => ({ path: "" }),
      unmount: async () => {},
      release: async () => {},
      recover: async () => {},
    },
    runtime: {
      expectStart: () => {},
      async create({ id, signal: calledOff }) {
        host.step("task");
        if (host.hangs) await new Promise((_, reject) => onAbort(calledOff, reject));
        const task = new FakeTask(id, host);
        host.tasks.set(id, task);
        return task;
      },
      runOnce: async () => ({ exitCode: 0 }),
      recover: async (ids) => new Map([...host.tasks].filter(([id]) => ids.has(id))),
      sharedMemoryPath: (id) => join(host.dataRoot, id),
      hostUsage: () => ({ cpu: 0, onlineCpus: 1, memory: 0 }),
      describe: async () => ({ defaultRuntime: "fake", runtimes: {}, monitor: { path: "", version: "" } }),
    },
    toSpec: async () => ({}) as RuntimeSpec,
    logs: {
      drivers: ["none"],
      check(driver) {
        if (driver !== "none") throw new InvalidParameterError(`no log driver named '${driver}'`);
      },
      pathOf: () => "",
      attributesOf: () => ({}),
      prepare: () => ({ path: undefined, [Symbol.dispose]() {} }),
      follow() {},
      settle() {},
      read: async function* () {},
      clear: async () => {},
      remove: async () => {},
    },
    events: { publish: (event) => void host.events.push(event) },
    paths: { dataRoot: host.dataRoot, execRoot: join(host.dataRoot, "exec"), instance: "00000000" },
    defaults: {
      init: false,
      initPath: undefined,
      runtime: "fake",
      runtimes: {},
      ulimits: [],
      logDriver: "none",
      logOptions: {},
      shmSize: 1,
      cgroupNamespace: undefined,
      ipcMode: "private",
      cgroupParent: undefined,
      noNewPrivileges: false,
      seccompProfile: undefined,
      cdiSpecDirectories: [],
    },
    host: {
      cpus: 2,
      cgroupVersion: 2,
      swapLimit: true,
      blockIoWeight: true,
      cpuRealtime: false,
      memoryNodes: "0",
      apparmor: false,
      selinux: false,
    },
  };
  const toExecProcess = async () => ({}) as RuntimeProcess;
  return { ...deps, execs: new Execs({ ...deps, execs: new ExecStore(fakeState(host)), toExecProcess }) };
}

function onAbort(signal: AbortSignal, listener: (reason: unknown) => void): void {
  signal.addEventListener("abort", () => listener(signal.reason), { once: true });
}

let host: FakeHost;
let deps: ContainerDeps;

beforeEach(async () => {
  host = new FakeHost();
  deps = compose(host);
  await bootContainers(deps, { imageLayers: new Set() });
});

afterEach(() => rmSync(host.dataRoot, { recursive: true, force: true }));

async function create(hostConfig: CreateRequest["hostConfig"] = {}, name = "box"): Promise<string> {
  const { id } = await createContainer(deps, {
    name,
    platform: undefined,
    config: { Image: "busybox" },
    hostConfig,
    endpoints: {},
    endpointMacs: true,
    recursiveReadOnly: true,
  });
  return id;
}

function taskOf(id: string): FakeTask {
  const task = host.tasks.get(id);
  if (!task) throw new Error("no task");
  return task;
}

async function end(id: string, exitCode: number): Promise<void> {
  const running = deps.running.get(id);
  taskOf(id).end(exitCode);
  await running?.released;
}

async function until(condition: () => boolean, milliseconds = 1_000): Promise<void> {
  for (let turn = 0; turn < milliseconds / 5 && !condition(); turn += 1) await Bun.sleep(5);
  expect(condition()).toBe(true);
}

describe("create", () => {
  test("gives the name to one of two at the same time", async () => {
    const results = await Promise.allSettled([create(), create()]);
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const [winner] = deps.store.list();
    const failed = results.find((result) => result.status === "rejected");
    expect(String(failed?.reason.message)).toBe(
      `Conflict. The container name "/box" is already in use by container "${winner?.id}". You have to remove (or rename) that container to be able to reuse that name.`,
    );
  });

  test("leaves nothing of a file system that could not be prepared", async () => {
    host.failAt = "prepare";
    await expect(create()).rejects.toThrow("prepare failed");
    expect(host.prepared.size).toBe(0);
  });

  test("leaves nothing when it fails, not even the name", async () => {
    await expect(create({ LogConfig: { Type: "syslog" } })).rejects.toThrow("no log driver named 'syslog'");
    expect(host.prepared.size).toBe(0);
    await create();
  });

  test("names the missing image", async () => {
    const request = {
      name: undefined,
      platform: undefined,
      hostConfig: {},
      endpoints: {},
      endpointMacs: true,
      recursiveReadOnly: true,
    };
    await expect(createContainer(deps, { ...request, config: { Image: "none" } })).rejects.toThrow(
      "No such image: none:latest",
    );
  });
});

describe("start", () => {
  test("makes root, network and task in this order, and releases them in reverse when the process ends", async () => {
    const id = await create();
    await startContainer(deps, id, { signal });
    expect(deps.store.byId(id)?.state).toMatchObject({ status: "running", pid: 42 });
    expect(deps.store.byId(id)?.networks).toEqual({ bridge: { IPAddress: "172.17.0.2" } });
    await end(id, 3);
    expect(host.journal).toEqual(["mount", "network", "task", "start", "untask", "unnetwork", "unmount"]);
    expect(deps.store.byId(id)?.state).toMatchObject({ status: "exited", exitCode: 3, pid: 0 });
    expect(deps.store.byId(id)?.networks).toEqual({});
    expect(host.actions()).toEqual(["create", "start", "die"]);
  });

  for (const step of ["mount", "network", "task", "start"]) {
    test(`undoes everything when ${step} fails, and can be tried again`, async () => {
      const id = await create();
      host.failAt = step;
      await expect(startContainer(deps, id, { signal })).rejects.toThrow(`${step} failed`);
      const made = host.journal.filter((entry) => !entry.startsWith("un") && entry !== step);
      const undone = host.journal.filter((entry) => entry.startsWith("un"));
      expect(undone).toEqual(made.reverse().map((entry) => `un${entry}`));
      expect(deps.store.byId(id)).toMatchObject({
        starting: false,
        state: { status: "created", exitCode: 128, error: `${step} failed` },
      });
      host.failAt = undefined;
      await startContainer(deps, id, { signal });
    });
  }

  test("makes the file system of a container that never ran again, if it was lost with the power", async () => {
    const id = await create();
    host.prepared.clear();
    await startContainer(deps, id, { signal });
    expect(host.prepared.has(id)).toBe(true);
    await end(id, 0);
    host.prepared.clear();
    await expect(startContainer(deps, id, { signal })).rejects.toThrow(`snapshot ${id} does not exist`);
  });

  test("in the namespaces of a container that ends meanwhile is undone", async () => {
    const donor = await create({ IpcMode: "shareable" }, "donor");
    await startContainer(deps, donor, { signal });
    const id = await create({ PidMode: `container:${donor}` });
    taskOf(donor).alive = false;
    await expect(startContainer(deps, id, { signal })).rejects.toThrow(`container ${donor} has exited`);
    expect(host.tasks.has(id)).toBe(false);
  });

  test("in the namespaces of a container that is gone is the engine's failure, not a missing container", async () => {
    const id = await create({ NetworkMode: "container:gone" });
    const failure = await startContainer(deps, id, { signal }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(SystemError);
    expect(String(failure)).toContain("joining network namespace of container: No such container: gone");
  });

  test("that fails for want of a device is the engine's failure", async () => {
    const id = await create();
    deps = { ...deps, toSpec: () => Promise.reject(new NotFoundError("no device")) };
    const failure = await startContainer(deps, id, { signal }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(SystemError);
    expect(deps.store.byId(id)?.state).toMatchObject({ exitCode: 128, error: "no device" });
  });

  test("with a directory mounted onto a file is the request's fault", () => {
    const failure = toStartFailure(new Error("mount `/tmp` to `etc/passwd`: Not a directory"));
    expect(exitCodeOfFailure(failure)).toBe(127);
    expect(failure.message).toEndWith(
      "Not a directory: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type",
    );
  });

  test("of a running container changes nothing", async () => {
    const id = await create();
    await startContainer(deps, id, { signal });
    await expect(startContainer(deps, id, { signal })).rejects.toThrow("Container is already started");
  });

  test("connects who is attached before the program runs", async () => {
    const id = await create();
    const attachment = attachToContainer(deps, id, {
      stdin: false,
      stdout: true,
      stderr: true,
      logs: false,
      stream: true,
    });
    const never = new Promise<void>(() => {});
    const served = attachment.serve({
      input: (async function* () {})(),
      write: async () => {},
      closed: never,
      detached: never,
    });
    await startContainer(deps, id, { signal });
    await served;
    expect(host.journal).toEqual(["mount", "network", "task", "attach", "start"]);
  });
});

describe("prune", () => {
  test("goes on where one container cannot be removed, and tells so", async () => {
    const [first, stuck, last] = [
      await create({}, "first"),
      await create({}, "stuck"),
      await create({}, "last"),
    ];
    host.failAt = `remove ${stuck}`;
    const { ids, reclaimed } = await pruneContainers(deps, () => true, signal);
    expect([...ids].sort()).toEqual([first, last].sort());
    expect(reclaimed).toBe(20);
    expect(host.events.at(-1)).toMatchObject({ action: "prune", actor: { attributes: { reclaimed: "20" } } });
    expect(deps.store.list().map(({ id }) => String(id))).toEqual([stuck]);
    expect(deps.store.byId(stuck)?.state.status).toBe("dead");
    const request = { stdout: true, stderr: true, follow: false, signal };
    expect(() => readContainerLog(deps, stuck, request)).toThrow(
      "can not get logs from container which is dead or marked for removal",
    );
  });
});

describe("the list", () => {
  test("of what has exited has none that never started", async () => {
    const [ended] = [await create({}, "ended"), await create({}, "new")];
    await startContainer(deps, ended, { signal });
    await end(ended, 0);
    const filters = new Map([["exited", new Set(["0"])]]);
    expect(listContainers(deps, { all: true, filters }).map(({ name }) => name)).toEqual(["ended"]);
  });
});

describe("inspect", () => {
  test("shows the daemon's limits beside the container's own, and the profile that confines it", async () => {
    const ulimits = ["nofile", "core"].map((Name) => ({ Name, Soft: 1, Hard: 1 }));
    const own = { Name: "core", Soft: 2, Hard: 2 };
    deps = {
      ...deps,
      defaults: { ...deps.defaults, ulimits },
      host: { ...deps.host, apparmor: true },
    };
    const id = await create({ Ulimits: [own], SecurityOpt: ["apparmor=mine"] });
    const details = await inspectContainer(deps, id, { size: false, signal });
    expect(details.ulimits).toEqual([own, { Name: "nofile", Soft: 1, Hard: 1 }]);
    expect(details.apparmorProfile).toBe("mine");
  });
});

describe("sizes", () => {
  test("of a container whose layer is gone are nothing, and those of others are there", async () => {
    const [gone, there] = [await create({}, "gone"), await create({}, "there")];
    host.prepared.delete(gone);
    const views = await viewContainers(deps, deps.store.list(), { size: true, signal });
    const sizes = new Map(views.map(({ record, sizes }) => [record.id as string, sizes?.rw]));
    expect(sizes).toEqual(
      new Map([
        [there, 10],
        [gone, 0],
      ]),
    );
  });
});

describe("a container with --rm", () => {
  test("is gone when its process ended, and waiters for that learn the exit code", async () => {
    const id = await create({ AutoRemove: true });
    const removed = waitForContainer(deps, id, { condition: "removed", signal });
    await startContainer(deps, id, { signal });
    await end(id, 5);
    expect(await removed).toEqual({ exitCode: 5, error: "" });
    expect(deps.store.list()).toEqual([]);
    expect(host.prepared.size).toBe(0);
    expect(host.actions()).toEqual(["create", "start", "die", "destroy"]);
  });

  test("is gone when it cannot start", async () => {
    const id = await create({ AutoRemove: true });
    host.failAt = "task";
    await expect(startContainer(deps, id, { signal })).rejects.toThrow("task failed");
    expect(deps.store.list()).toEqual([]);
  });

  test("survives two restarts by hand at the same time", async () => {
    const id = await create({ AutoRemove: true });
    await startContainer(deps, id, { signal });
    await Promise.all([restartContainer(deps, id, {}), restartContainer(deps, id, {})]);
    expect(deps.store.byId(id)?.state.status).toBe("running");
  });

  test("survives a restart by hand", async () => {
    const id = await create({ AutoRemove: true });
    await startContainer(deps, id, { signal });
    await restartContainer(deps, id, {});
    expect(deps.store.byId(id)?.state.status).toBe("running");
    expect(host.actions()).toEqual(["create", "start", "kill", "die", "stop", "start", "restart"]);
  });
});

describe("a restart policy", () => {
  test("starts it again after a backoff in which it counts as running", async () => {
    const id = await create({ RestartPolicy: { Name: "always" } });
    await startContainer(deps, id, { signal });
    await end(id, 0);
    expect(deps.store.byId(id)).toMatchObject({ restartCount: 1, state: { status: "restarting" } });
    await until(() => deps.store.byId(id)?.state.status === "running");
    expect(host.actions()).toEqual(["create", "start", "die", "start"]);
    await stopContainer(deps, id, {});
  });

  test("is called off by a stop during the backoff", async () => {
    const id = await create({ RestartPolicy: { Name: "always" } });
    await startContainer(deps, id, { signal });
    await end(id, 1);
    await stopContainer(deps, id, {});
    await Bun.sleep(150);
    expect(deps.store.byId(id)?.state.status).toBe("exited");
    expect(host.actions()).toEqual(["create", "start", "die", "stop"]);
  });

  test("that is called off lets go of who waits for the container's end", async () => {
    const id = await create({ RestartPolicy: { Name: "always" } });
    await startContainer(deps, id, { signal });
    await end(id, 6);
    const ends = (["not-running", "next-exit"] as const).map((condition) =>
      waitForContainer(deps, id, { condition, signal }),
    );
    await stopContainer(deps, id, {});
    expect(await Promise.all(ends)).toEqual([
      { exitCode: 6, error: "" },
      { exitCode: 6, error: "" },
    ]);
  });

  test("leaves nothing of it behind when the container is removed", async () => {
    const id = await create({ RestartPolicy: { Name: "always" } });
    await startContainer(deps, id, { signal });
    await end(id, 1);
    await removeContainer(deps, id, { force: true, volumes: false, link: false });
    expect(deps.running.pendingRestart(id)).toBeUndefined();
  });

  test("goes on when a failed restart could not be written down", async () => {
    const id = await create({ RestartPolicy: { Name: "always" } });
    await startContainer(deps, id, { signal });
    await end(id, 1);
    host.full = true;
    await Bun.sleep(200);
    host.full = false;
    await until(() => deps.store.byId(id)?.state.status === "running", 5_000);
    await stopContainer(deps, id, {});
  });

  test("leaves alone what was killed by hand", async () => {
    const id = await create({ RestartPolicy: { Name: "always" } });
    await startContainer(deps, id, { signal });
    await killContainer(deps, id, "KILL");
    expect(deps.store.byId(id)?.state).toMatchObject({ status: "exited", exitCode: 137 });
    expect(host.actions()).toEqual(["create", "start", "kill", "die"]);
  });

  test("tries again when the restart itself fails", async () => {
    const id = await create({ RestartPolicy: { Name: "always" } });
    await startContainer(deps, id, { signal });
    host.failAt = "network";
    await end(id, 1);
    await until(() => deps.store.byId(id)?.restartCount === 2);
    host.failAt = undefined;
    await until(() => deps.store.byId(id)?.state.status === "running");
    await stopContainer(deps, id, {});
  });
});

describe("stop", () => {
  test("turns to SIGKILL when its time is up", async () => {
    const id = await create();
    host.deadly = new Set([9]);
    await startContainer(deps, id, { signal });
    await stopContainer(deps, id, { timeout: 0 });
    expect(deps.store.byId(id)?.state.exitCode).toBe(137);
    const kills = host.events.filter(({ action }) => action === "kill");
    expect(kills.map(({ actor }) => actor.attributes.signal)).toEqual(["15", "9"]);
  });

  test("waits for as long as it is told, however long that is", async () => {
    const id = await create();
    host.deadly = new Set([9]);
    await startContainer(deps, id, { signal });
    const client = new AbortController();
    const stopped = stopContainer(deps, id, { timeout: 3_000_000, aborted: client.signal });
    await Bun.sleep(50);
    expect(deps.store.byId(id)?.state.status).toBe("running");
    client.abort();
    await stopped;
  });

  test("calls off a start that hangs", async () => {
    const id = await create();
    host.hangs = true;
    const started = startContainer(deps, id, { signal }).catch(({ message }) => message);
    await expect(stopContainer(deps, id, {})).rejects.toThrow("Container is already stopped");
    expect(await started).toContain("was called off");
    expect(host.journal.slice(-2)).toEqual(["unnetwork", "unmount"]);
    await removeContainer(deps, id, { force: false, volumes: false, link: false });
  }, 20_000);

  test("of what does not run changes nothing", async () => {
    const id = await create();
    await expect(stopContainer(deps, id, {})).rejects.toThrow("Container is already stopped");
  });
});

describe("update", () => {
  test("changes limits and the restart policy, and nothing of what a container is", async () => {
    const id = await create();
    await updateContainer(deps, id, {
      Memory: 64 << 20,
      MemorySwap: -1,
      PidsLimit: 10,
      RestartPolicy: { Name: "on-failure" },
      Init: true,
      CgroupParent: "/elsewhere",
      DeviceCgroupRules: ["c 1:3 mr"],
      Devices: [{ PathOnHost: "/dev/kmsg", PathInContainer: "/dev/kmsg", CgroupPermissions: "rwm" }],
    });
    const { hostConfig } = deps.store.get(id);
    expect(hostConfig).toMatchObject({
      Memory: 64 << 20,
      PidsLimit: 10,
      RestartPolicy: { Name: "on-failure" },
    });
    for (const name of ["Init", "CgroupParent", "DeviceCgroupRules", "Devices"] as const) {
      expect(hostConfig[name] || undefined).toBeUndefined();
    }
  });

  test("takes a limit of processes away again", async () => {
    const id = await create();
    await updateContainer(deps, id, { PidsLimit: 10 });
    await updateContainer(deps, id, { CpuShares: 100 });
    expect(deps.store.get(id).hostConfig.PidsLimit).toBe(10);
    await updateContainer(deps, id, { PidsLimit: -1 });
    expect(deps.store.get(id).hostConfig.PidsLimit).toBe(0);
  });

  test("refuses what contradicts what stays", async () => {
    const id = await create();
    await updateContainer(deps, id, { CpuQuota: 50_000, Memory: 64 << 20, MemorySwap: 128 << 20 });
    const refused = async (change: Parameters<typeof updateContainer>[2]) =>
      await updateContainer(deps, id, change).catch((error: unknown) => String(error));
    expect(await refused({ NanoCpus: 1e9 })).toContain(
      `Cannot update container ${id}: Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set`,
    );
    expect(await refused({ Memory: 256 << 20 })).toContain("already set memoryswap limit");
    expect(await refused({ Memory: 100 << 20 })).toEqual([]);
  });
});

describe("remove", () => {
  test("refuses what runs, unless forced", async () => {
    const id = await create();
    await startContainer(deps, id, { signal });
    const options = { force: false, volumes: false, link: false };
    await expect(removeContainer(deps, "box", options)).rejects.toThrow(
      'cannot remove container "/box": container is running: stop the container before removing or force remove',
    );
    await removeContainer(deps, "box", { ...options, force: true });
    expect(deps.store.list()).toEqual([]);
    expect(host.actions()).toEqual(["create", "start", "kill", "die", "destroy"]);
  });
});

describe("an end that cannot be written down", () => {
  async function endWhileFull(hostConfig: CreateRequest["hostConfig"] = {}): Promise<string> {
    const id = await create(hostConfig);
    await startContainer(deps, id, { signal });
    host.full = true;
    await end(id, 9);
    return id;
  }

  test("is told to who waits, and written down when there is room", async () => {
    const id = await create();
    await startContainer(deps, id, { signal });
    const ended = waitForContainer(deps, id, { condition: "not-running", signal });
    host.full = true;
    await end(id, 9);
    expect(await ended).toEqual({ exitCode: 9, error: "" });
    expect(host.journal.slice(-3)).toEqual(["untask", "unnetwork", "unmount"]);
    host.full = false;
    await until(() => deps.store.byId(id)?.state.status === "exited", 5_000);
    expect(deps.store.byId(id)?.state.exitCode).toBe(9);
    expect(host.actions()).toEqual(["create", "start", "die"]);
  });

  test("is written down by a stop", async () => {
    const id = await endWhileFull({ RestartPolicy: { Name: "always" } });
    await expect(stopContainer(deps, id, {})).rejects.toThrow("no space left on device");
    host.full = false;
    await stopContainer(deps, id, {});
    expect(deps.store.byId(id)?.state).toMatchObject({ status: "exited", exitCode: 9 });
  });

  test("does not stand in the way of a removal", async () => {
    const id = await endWhileFull();
    host.full = false;
    await removeContainer(deps, id, { force: true, volumes: false, link: false });
    expect(deps.store.list()).toEqual([]);
    expect(host.actions()).toEqual(["create", "start", "die", "destroy"]);
  });
});

describe("a daemon that was killed", () => {
  /** A new daemon on what the old one left behind. */
  async function reboot(): Promise<void> {
    host.events.length = 0;
    deps = compose(host);
    await bootContainers(deps, { imageLayers: new Set() });
  }

  test("finds running containers again and sees their end", async () => {
    const id = await create();
    deps.running.supervise(() => {});
    await startContainer(deps, id, { signal });
    await reboot();
    expect(deps.store.byId(id)?.state.status).toBe("running");
    await end(id, 4);
    expect(deps.store.byId(id)?.state).toMatchObject({ status: "exited", exitCode: 4 });
    expect(host.actions()).toEqual(["die"]);
  });

  test("tells of the networks that a running container is on, whatever was noted of it last", async () => {
    const id = await create();
    deps.running.supervise(() => {});
    await startContainer(deps, id, { signal });
    deps.store.update(id, () => ({ networks: { gone: { EndpointID: "e1" } } }));
    host.endpoints = { bridge: { EndpointID: "e2" } };
    await reboot();
    expect(deps.store.byId(id)?.networks).toEqual({ bridge: { EndpointID: "e2" } });
  });

  test("learns of exits that it missed, and what was due then", async () => {
    const [plain, removed, restarted] = [
      await create({}, "plain"),
      await create({ AutoRemove: true }, "removed"),
      await create({ RestartPolicy: { Name: "on-failure" } }, "restarted"),
    ];
    deps.running.supervise(() => {});
    for (const id of [plain, removed, restarted]) await startContainer(deps, id, { signal });
    for (const id of [plain, removed, restarted]) taskOf(id).end(7);
    await reboot();
    expect(deps.store.byId(plain)?.state).toMatchObject({ status: "exited", exitCode: 7 });
    expect(deps.store.byId(removed)).toBeUndefined();
    expect(deps.store.byId(restarted)?.state.status).toBe("restarting");
    await until(() => deps.store.byId(restarted)?.state.status === "running");
    await stopContainer(deps, restarted, {});
  });

  test("keeps an exit that it missed when its next start is killed after the task's traces went", async () => {
    const id = await create();
    deps.running.supervise(() => {});
    await startContainer(deps, id, { signal });
    taskOf(id).end(9);
    const stuck = { ...deps.sandboxes, recover: () => new Promise<never>(() => {}) };
    void bootContainers({ ...compose(host), sandboxes: stuck }, { imageLayers: new Set() });
    await until(() => host.tasks.size === 0);
    await reboot();
    expect(deps.store.byId(id)?.state).toMatchObject({ status: "exited", exitCode: 9 });
  });

  test("undoes a start that nobody was told of", async () => {
    const id = await create();
    deps.store.update(id, () => ({ starting: true }));
    host.tasks.set(id, new FakeTask(id, host));
    await reboot();
    expect(deps.store.byId(id)).toMatchObject({ starting: false, state: { status: "created" } });
    expect(host.journal).toEqual(["untask"]);
  });

  for (const step of ["mount", "network"]) {
    test(`can still stop a container when ${step} could not be taken over`, async () => {
      const id = await create();
      deps.running.supervise(() => {});
      await startContainer(deps, id, { signal });
      host.failAt = step;
      await reboot();
      expect(deps.store.byId(id)?.state.status).toBe("running");
      await stopContainer(deps, id, {});
      expect(deps.store.byId(id)?.state.status).toBe("exited");
    });
  }

  test("comes up though something of each kind cannot be put in order", async () => {
    const [one, other] = [await create({}, "one"), await create({ AutoRemove: true }, "other")];
    deps.running.supervise(() => {});
    for (const id of [one, other]) {
      await startContainer(deps, id, { signal });
      taskOf(id).end(3);
      taskOf(id)[Symbol.asyncDispose] = () => Promise.reject(new Error("cgroups are still in use"));
    }
    host.events.length = 0;
    const broken = () => Promise.reject(new Error("broken"));
    deps = compose(host);
    deps = {
      ...deps,
      snapshots: { ...deps.snapshots, reconcile: broken },
      volumes: { ...deps.volumes, recover: broken },
      sandboxes: { ...deps.sandboxes, recover: broken },
    };
    await bootContainers(deps, { imageLayers: new Set() });
    expect(deps.store.byId(one)?.state).toMatchObject({ status: "exited", exitCode: 3 });
    expect(deps.store.byId(other)).toBeUndefined();
  });

  test("comes up while leftovers are still being deleted", async () => {
    const id = await create();
    deps.store.update(id, ({ state }) => ({ state: { ...state, status: "removing" } }));
    const { promise: deleted, resolve: finish } = Promise.withResolvers<void>();
    deps = compose(host);
    deps = { ...deps, snapshots: { ...deps.snapshots, remove: () => deleted, reconcile: () => deleted } };
    await bootContainers(deps, { imageLayers: new Set() });
    expect(deps.store.byId(id)?.state.status).toBe("removing");
    finish();
    await until(() => deps.store.byId(id) === undefined);
  });

  test("finishes a removal", async () => {
    const id = await create();
    deps.store.update(id, ({ state }) => ({ state: { ...state, status: "removing" } }));
    await reboot();
    expect(deps.store.list()).toEqual([]);
  });

  test("after a reboot of the host, starts what its policy wants to run", async () => {
    const [always, plain] = [
      await create({ RestartPolicy: { Name: "always" } }, "a1"),
      await create({}, "p1"),
    ];
    for (const id of [always, plain]) await startContainer(deps, id, { signal });
    host.tasks.clear();
    await reboot();
    expect(deps.store.byId(plain)?.state).toMatchObject({ status: "exited", exitCode: 255 });
    await until(() => deps.store.byId(always)?.state.status === "running");
    await stopContainer(deps, always, {});
  });
});

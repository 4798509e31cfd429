/**
 * Programs that run once: what `run` gives a container (specification, network, limits, confinement) without the
 * container. The record that the spec is made of lives in memory only, and no list knows it.
 *
 * On disk: `<execRoot>/one-shot/<id>` with the identity files. Everything else is named after the task's id and is
 * destroyed at boot, since no record owns it.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nowNano, toRfc3339 } from "../../base/times.ts";
import { type ContainerRecord, ZERO_TIME } from "../../core/container.ts";
import { shortId } from "../../core/ids.ts";
import type { ContainerSandbox } from "../../core/networking.ts";
import type { OneShotOptions, OneShotTask, OneShotTasks } from "../../core/one-shot.ts";
import type { RootFiles } from "../../core/rootfs.ts";
import type { RuntimeSpec } from "../../core/runtime-spec.ts";
import type { ContainerDeps } from "../containers/deps.ts";
import { withTarget } from "../containers/mounts/prepare.ts";
import { withHostDefaults } from "../containers/request/host-defaults.ts";
import { checkDonors, joinedContainers } from "../containers/state/joined.ts";

export interface OneShotDeps {
  readonly containers: ContainerDeps;
  readonly files: RootFiles;
}

export class EngineOneShots implements OneShotTasks {
  readonly #deps: OneShotDeps;
  readonly #directory: string;

  /** Throws away the files of tasks that a former daemon had. */
  constructor(deps: OneShotDeps) {
    this.#deps = deps;
    this.#directory = join(deps.containers.paths.execRoot, "one-shot");
    rmSync(this.#directory, { recursive: true, force: true });
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
  }

  expectStart(): void {
    this.#deps.containers.runtime.expectStart();
  }

  async run(task: OneShotTask, { signal, onOutput }: OneShotOptions): Promise<{ exitCode: number }> {
    const { containers, files } = this.#deps;
    signal.throwIfAborted();
    this.expectStart();
    const record = toRecord(task, containers);
    const joined = joinedContainers(containers.store, record);
    await using undo = new AsyncDisposableStack();
    const sandbox = undo.use(
      await containers.sandboxes.create(record, { joined: joined.network, silent: true, signal }),
    );
    const directory = join(this.#directory, task.id);
    undo.defer(() => rmSync(directory, { recursive: true, force: true }));
    const identity = writeIdentity(directory, task, sandbox);
    const mounts = await Promise.all(task.mounts.map(withTarget));
    // Noted before the spec is made, which makes mount points. A working directory that lies there stays.
    const targets = (await files.missing(task.rootfs, mountPoints(task))).filter(
      (path) => !`${task.cwd}/`.startsWith(`${path}/`),
    );
    undo.defer(() => files.removeStubs(task.rootfs, targets));
    const spec = await containers.toSpec({
      container: record,
      rootfs: task.rootfs,
      sandbox,
      prepared: { mounts, rootfsPropagation: undefined, [Symbol.asyncDispose]: async () => {} },
      files: identity,
      joined,
    });
    const missing = await files.missing(task.rootfs, mountPoints(spec));
    undo.defer(() => files.removeStubs(task.rootfs, missing));
    checkDonors(containers.running, joined);
    return await containers.runtime.runOnce({
      id: task.id,
      spec: withEnvironment(spec, task),
      runtime: undefined,
      signal,
      onOutput,
    });
  }
}

/** A container's record, as far as networks and the spec read it. */
function toRecord(task: OneShotTask, deps: ContainerDeps): ContainerRecord {
  const [path = "", ...args] = task.args;
  const { limits = {} } = task;
  const hostConfig = withHostDefaults(
    {
      NetworkMode: task.network,
      ExtraHosts: [...task.extraHosts],
      Privileged: task.privileged,
      ReadonlyRootfs: task.readonlyRoot ?? false,
      ShmSize: task.shmSize,
      CgroupParent: task.cgroupParent,
      Ulimits: task.ulimits ? [...task.ulimits] : undefined,
      SecurityOpt: task.securityOptions ? [...task.securityOptions] : undefined,
      Memory: limits.memory,
      MemorySwap: limits.memorySwap,
      CpuShares: limits.cpuShares,
      CpuPeriod: limits.cpuPeriod,
      CpuQuota: limits.cpuQuota,
      CpusetCpus: limits.cpusetCpus,
      CpusetMems: limits.cpusetMems,
      Init: false,
    },
    { ...deps, findContainer: (reference) => deps.store.find(reference)?.id },
  );
  const mode = hostConfig.NetworkMode ?? "bridge";
  const joins = mode.startsWith("container:");
  return {
    id: task.id as ContainerRecord["id"],
    name: `build-${shortId(task.id)}`,
    created: toRfc3339(nowNano()),
    path,
    args,
    image: "",
    imageId: "" as ContainerRecord["imageId"],
    platform: "linux",
    layers: [],
    config: {
      Hostname: task.hostname,
      User: task.user,
      Env: [...task.env],
      WorkingDir: task.cwd,
      Tty: false,
    },
    hostConfig,
    mounts: [],
    networks: {},
    requestedNetworks: joins ? {} : deps.sandboxes.plan(hostConfig, {}),
    state: {
      status: "created",
      pid: 0,
      pidStartTime: 0,
      exitCode: 0,
      error: "",
      oomKilled: false,
      startedAt: ZERO_TIME,
      finishedAt: ZERO_TIME,
    },
    restartCount: 0,
    manuallyStopped: false,
    starting: false,
  };
}

function writeIdentity(
  directory: string,
  task: OneShotTask,
  { files }: ContainerSandbox,
): { hostname?: string; hosts?: string; resolvConf?: string } {
  mkdirSync(directory, { mode: 0o710 });
  const write = (name: string, text: string | undefined): string | undefined => {
    if (text === undefined) return undefined;
    const path = join(directory, name);
    writeFileSync(path, text, { mode: 0o644 });
    return path;
  };
  return {
    hostname: task.dockerEnvironment ? write("hostname", `${task.hostname}\n`) : undefined,
    hosts: write("hosts", files.hosts),
    resolvConf: write("resolv.conf", files.resolvConf),
  };
}

/** Mount points that have to be in the root itself: not those in another mount. */
function mountPoints({ mounts }: Pick<RuntimeSpec, "mounts">): string[] {
  const destinations = mounts.map(({ destination }) => destination);
  return destinations.filter(
    (destination) => !destinations.some((other) => destination.startsWith(`${other}/`)),
  );
}

/** A build's environment is exactly what it says; HOME is what every shell counts on. */
function withEnvironment(spec: RuntimeSpec, { env, dockerEnvironment }: OneShotTask): RuntimeSpec {
  if (dockerEnvironment) return spec;
  const home = spec.process.env.find((entry) => entry.startsWith("HOME="));
  const has = env.some((entry) => entry.startsWith("HOME="));
  return {
    ...spec,
    process: { ...spec.process, env: has || home === undefined ? env : [...env, home] },
  };
}

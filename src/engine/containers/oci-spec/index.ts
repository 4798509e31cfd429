/**
 * What the container use cases call to get a spec: looks up in the root what the pure builder needs (user, working
 * directory), then builds.
 */
import type { ContainerDefaults } from "../../../core/config.ts";
import type { ContainerRecord } from "../../../core/container.ts";
import type { ContainerHost, SeccompProfile } from "../../../core/container-host.ts";
import { InvalidParameterError } from "../../../core/errors.ts";
import type { ContainerSandbox } from "../../../core/networking.ts";
import type { RootFiles } from "../../../core/rootfs.ts";
import type { TerminalSize } from "../../../core/runtime.ts";
import type { RuntimeProcess, RuntimeSpec } from "../../../core/runtime-spec.ts";
import type { SpecInput } from "../deps.ts";
import { placeMounts } from "../mounts/targets.ts";
import { type AddedProcess, toExecProcess, toRuntimeSpec } from "./spec.ts";
import { resolveUser } from "./user.ts";

export interface SpecBuilderOptions {
  readonly host: ContainerHost;
  readonly files: RootFiles;
  readonly defaults: Pick<ContainerDefaults, "init" | "ulimits" | "cgroupParent" | "noNewPrivileges">;
  /** In place of the host's profile, for containers that name none. */
  readonly seccompProfile: SeccompProfile | "unconfined" | undefined;
  /** Cgroup above all containers of this engine: `/gantry-<instance>`. */
  readonly cgroupParent: string;
  readonly sharedMemoryPath: (containerId: string) => string;
}

export interface ExecProcessInput {
  readonly container: ContainerRecord;
  /** As the host sees it. */
  readonly rootfs: string;
  readonly sandbox: ContainerSandbox;
  readonly exec: AddedProcess;
  readonly size: TerminalSize | undefined;
}

/** Holds what specs of all containers have in common: host, defaults, seccomp profile. */
export class SpecBuilder {
  readonly #options: SpecBuilderOptions;

  constructor(options: SpecBuilderOptions) {
    this.#options = options;
  }

  /** For `ContainerDeps.toSpec`. @throws InvalidParameterError, NotFoundError, NotImplementedError */
  readonly toSpec = async (input: SpecInput): Promise<RuntimeSpec> => {
    const { host, files, defaults, cgroupParent, seccompProfile } = this.#options;
    const { container, rootfs, sandbox, prepared, joined } = input;
    const { config, hostConfig } = container;
    await checkRoot(files, rootfs);
    const user = await resolveUser(files, rootfs, config.User ?? "", hostConfig.GroupAdd ?? []);
    // dockerd makes it for root: a user without rights there was always told so by `permission denied`.
    if (config.WorkingDir)
      await files.makeDirectory(rootfs, config.WorkingDir, { uid: 0, gid: 0, mode: 0o755 });
    return toRuntimeSpec({
      container,
      host,
      rootfs,
      networkPath: sandbox.namespacePath,
      linkEnvironment: sandbox.environment,
      mounts: await placeMounts(prepared.mounts, rootfs, files),
      rootfsPropagation: prepared.rootfsPropagation,
      files: input.files,
      joined,
      sharedMemory: await this.#sharedMemoryOf(input),
      user,
      cgroupParent,
      defaults: {
        cgroupParent: defaults.cgroupParent,
        noNewPrivileges: defaults.noNewPrivileges,
        seccompProfile,
      },
      defaultUlimits: defaults.ulimits,
      initByDefault: defaults.init,
    });
  };

  /** The /dev/shm that the container shares with others, or undefined if it has one of its own. */
  async #sharedMemoryOf({ container, joined }: SpecInput): Promise<string | undefined> {
    const { files, sharedMemoryPath } = this.#options;
    if (container.hostConfig.IpcMode === "shareable") return sharedMemoryPath(container.id);
    if (!joined.ipc) return undefined;
    const path = sharedMemoryPath(joined.ipc.id);
    // A container in the host's IPC namespace has the host's.
    return (await files.stat("/", path)) ? path : "/dev/shm";
  }

  /**
   * For `ExecDeps.toExecProcess`: users are looked up in the root as it is now, but not through the container's
   * own mounts, as dockerd does: a file system that the container mounted there may never answer.
   */
  readonly toExecProcess = async ({
    container,
    rootfs,
    sandbox,
    exec,
    size,
  }: ExecProcessInput): Promise<RuntimeProcess> => {
    const { host, files, defaults } = this.#options;
    const user = await resolveUser(files, rootfs, userOf(exec.user, container), groupsOf(container));
    const linkEnvironment = sandbox.environment;
    return toExecProcess({
      ...{ container, host, exec, user, size, linkEnvironment },
      noNewPrivileges: defaults.noNewPrivileges,
      defaultUlimits: defaults.ulimits,
    });
  };
}

function userOf(asked: string, { config }: ContainerRecord): string {
  return asked || (config.User ?? "");
}

function groupsOf({ hostConfig }: ContainerRecord): readonly string[] {
  return hostConfig.GroupAdd ?? [];
}

/** The runtime mounts on these: as links they would lead its mounts elsewhere (invariant S14). */
async function checkRoot(files: RootFiles, rootfs: string): Promise<void> {
  for (const path of ["/dev", "/proc", "/sys"]) {
    const entry = await files.stat(rootfs, path, { follow: false });
    if (entry && entry.kind !== "directory") {
      throw new InvalidParameterError(`the image has something at ${path} that is no directory: refused`, {
        subject: path,
      });
    }
  }
}

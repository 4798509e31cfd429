/** Containers, as clients see them: what can be asked of one. Each story is a function in a file of its own. */
import type { HostConfig } from "../../api/types.ts";
import type { ContainerRecord } from "../../core/container.ts";
import type { FilesArchive, PathStat } from "../../core/container-files.ts";
import type { Digest } from "../../core/ids.ts";
import type { TerminalSize } from "../../core/runtime.ts";
import type { SnapshotChange } from "../../core/snapshots.ts";
import { type BootOptions, bootContainers } from "./boot.ts";
import { type CommitRequest, commitContainer } from "./commit.ts";
import { type Created, type CreateRequest, createContainer } from "./create.ts";
import type { ContainerDeps } from "./deps.ts";
import {
  exportContainer,
  listContainerChanges,
  readContainerPath,
  statContainerPath,
  type WriteArchiveOptions,
  writeContainerPath,
} from "./files/archive.ts";
import { pauseContainer, unpauseContainer } from "./pause.ts";
import {
  type ContainerDetails,
  type ContainerView,
  inspectContainer,
  viewContainers,
} from "./queries/inspect.ts";
import { type ListOptions, listContainers } from "./queries/list.ts";
import { type ContainerLog, clearContainerLog, type LogRequest, readContainerLog } from "./queries/logs.ts";
import { listProcesses, type ProcessTable } from "./queries/top.ts";
import { waitForContainer } from "./queries/wait.ts";
import { type Pruned, pruneContainers, type RemoveOptions, removeContainer } from "./remove.ts";
import { renameContainer } from "./rename.ts";
import { restartContainer } from "./restart.ts";
import { startContainer } from "./start.ts";
import type { Ended, WaitCondition } from "./state/running.ts";
import { StatsSampler } from "./stats/sampler.ts";
import { type ContainerStats, containerStats, type StatsOptions } from "./stats/stats.ts";
import { killContainer, type StopOptions, stopContainer } from "./stop.ts";
import { type Attachment, type AttachRequest, attachToContainer } from "./streams/attach.ts";
import { resizeContainer } from "./streams/resize.ts";
import { updateContainer } from "./update.ts";

/**
 * `container` is an id, a name or a unique prefix of an id everywhere. @throws EngineError with Docker's wording from
 * all of them: NotFoundError where there is none, ConflictError where it is in another state.
 */
export class Containers {
  readonly #deps: ContainerDeps;
  readonly #sampler: StatsSampler;

  constructor(deps: ContainerDeps) {
    this.#deps = deps;
    this.#sampler = new StatsSampler(deps);
  }

  /** The host's. */
  get cgroupVersion(): 1 | 2 {
    return this.#deps.host.cgroupVersion;
  }

  /** Makes records and kernel agree. Call once, before anything else. */
  boot(options: BootOptions): Promise<void> {
    return bootContainers(this.#deps, options);
  }

  create(request: CreateRequest): Promise<Created> {
    return createContainer(this.#deps, request);
  }

  /** Settles when the program runs. */
  start(container: string, options: { signal: AbortSignal }): Promise<void> {
    return startContainer(this.#deps, container, options);
  }

  stop(container: string, options: StopOptions): Promise<void> {
    return stopContainer(this.#deps, container, options);
  }

  restart(container: string, options: StopOptions): Promise<void> {
    return restartContainer(this.#deps, container, options);
  }

  /** @param signal by name or number; SIGKILL if empty */
  kill(container: string, signal: string): Promise<void> {
    return killContainer(this.#deps, container, signal);
  }

  pause(container: string): Promise<void> {
    return pauseContainer(this.#deps, container);
  }

  unpause(container: string): Promise<void> {
    return unpauseContainer(this.#deps, container);
  }

  /** Makes an image of what it changed, and gives that one's id. */
  commit(container: string, request: CommitRequest): Promise<Digest> {
    return commitContainer(this.#deps, container, request);
  }

  rename(container: string, name: string): Promise<void> {
    return renameContainer(this.#deps, container, name);
  }

  /** Gives warnings. */
  update(container: string, change: HostConfig): Promise<string[]> {
    return updateContainer(this.#deps, container, change);
  }

  remove(container: string, options: RemoveOptions): Promise<void> {
    return removeContainer(this.#deps, container, options);
  }

  /** Removes those that do not run and match. */
  prune(matches: (container: ContainerRecord) => boolean, signal: AbortSignal): Promise<Pruned> {
    return pruneContainers(this.#deps, matches, signal);
  }

  /** With what belongs to them now, newest first. Sizes walk the disk: only on request. */
  list(
    options: ListOptions & { readonly size: boolean; readonly signal: AbortSignal },
  ): Promise<ContainerView[]> {
    return viewContainers(this.#deps, listContainers(this.#deps, options), options);
  }

  inspect(container: string, options: { size: boolean; signal: AbortSignal }): Promise<ContainerDetails> {
    return inspectContainer(this.#deps, container, options);
  }

  logs(container: string, request: LogRequest): ContainerLog {
    return readContainerLog(this.#deps, container, request);
  }

  clearLogs(container: string): Promise<void> {
    return clearContainerLog(this.#deps, container);
  }

  /** What it uses, now or every second. */
  stats(container: string, options: StatsOptions): AsyncGenerator<ContainerStats, void, void> {
    return containerStats(this.#deps, this.#sampler, container, options);
  }

  /** @param psArguments for the host's `ps`, `-ef` if empty */
  top(container: string, psArguments: string): Promise<ProcessTable> {
    return listProcesses(this.#deps, container, psArguments);
  }

  /** Undefined when the client went away first. */
  wait(
    container: string,
    options: { condition: WaitCondition; signal: AbortSignal },
  ): Promise<Ended | undefined> {
    return waitForContainer(this.#deps, container, options);
  }

  statPath(container: string, path: string, signal: AbortSignal): Promise<PathStat> {
    return statContainerPath(this.#deps, container, path, signal);
  }

  /** A tar archive of what is at a path. */
  readPath(container: string, path: string, signal: AbortSignal): Promise<FilesArchive> {
    return readContainerPath(this.#deps, container, path, signal);
  }

  /** Unpacks a tar archive into a directory. */
  writePath(
    container: string,
    path: string,
    content: AsyncIterable<Uint8Array>,
    options: WriteArchiveOptions,
  ): Promise<void> {
    return writeContainerPath(this.#deps, container, path, content, options);
  }

  /** Its own file system, without volumes. */
  export(container: string, signal: AbortSignal): Promise<FilesArchive> {
    return exportContainer(this.#deps, container, signal);
  }

  changes(container: string, signal: AbortSignal): Promise<SnapshotChange[]> {
    return listContainerChanges(this.#deps, container, signal);
  }

  attach(container: string, request: AttachRequest): Attachment {
    return attachToContainer(this.#deps, container, request);
  }

  resize(container: string, size: TerminalSize): Promise<void> {
    return resizeContainer(this.#deps, container, size);
  }
}

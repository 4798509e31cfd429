/** `docker commit`: an image of what a container has changed. It stands still only while that is copied. */
import type { ContainerConfig } from "../../api/types.ts";
import type { ContainerRecord } from "../../core/container.ts";
import { ConflictError } from "../../core/errors.ts";
import type { Digest } from "../../core/ids.ts";
import type { ImageDefaults } from "../../core/image.ts";
import type { ContainerDeps } from "./deps.ts";
import { publish } from "./events.ts";
import { pauseContainer, unpauseContainer } from "./pause.ts";
import { mergeConfig } from "./request/image-defaults.ts";

export interface CommitRequest {
  /** The new image's name; none if empty. */
  readonly repository: string;
  readonly tag: string;
  readonly author: string;
  readonly comment: string;
  /** Freeze the container meanwhile: files that belong together are copied together. */
  readonly pause: boolean;
  /** Dockerfile instructions. */
  readonly changes: readonly string[];
  /** In place of the container's own; what it leaves out is the container's. */
  readonly config: ContainerConfig | undefined;
  readonly signal: AbortSignal;
}

/** @returns the image's id @throws NotFoundError, ConflictError, InvalidParameterError */
export async function commitContainer(
  deps: ContainerDeps,
  reference: string,
  request: CommitRequest,
): Promise<Digest> {
  const container = deps.store.get(reference);
  const { id, imageId } = container;
  if (container.state.status === "dead" || container.state.status === "removing") {
    const state = container.state.status === "dead" ? "Dead" : "being removed";
    throw new ConflictError(`You cannot commit container ${id} which is ${state}`, { subject: id });
  }
  using _image = deps.images.hold(imageId);
  const changed = deps.images.changeConfig(
    toImageDefaults(request.config ?? container.config),
    request.changes,
  );
  const config = toImageDefaults(
    mergeConfig({ ...changed } as ContainerConfig, toImageDefaults(container.config)),
  );
  await using frozen = await freeze(deps, container, request.pause);
  const layer = await deps.snapshots.commit(id, {
    keep: true,
    onCopied: async () => await frozen[Symbol.asyncDispose](),
    signal: request.signal,
  });
  const image = await deps.images.addCommitted({
    parentId: imageId,
    layer,
    config,
    createdBy: (container.config.Cmd ?? []).join(" "),
    author: request.author,
    comment: request.comment,
    repository: request.repository,
    tag: request.tag,
  });
  const { repository, tag } = request;
  const imageRef = repository === "" ? "" : `${repository}${tag === "" ? "" : `:${tag}`}`;
  publish(deps.events, container, "commit", { comment: request.comment, imageID: image, imageRef });
  return image;
}

/** Only what runs and is not paused; another request may thaw it or end it meanwhile, and that is its business. */
async function freeze(
  deps: ContainerDeps,
  container: ContainerRecord,
  wanted: boolean,
): Promise<AsyncDisposable> {
  if (!wanted || container.state.status !== "running") return { [Symbol.asyncDispose]: async () => {} };
  await pauseContainer(deps, container.id);
  let frozen = true;
  return {
    [Symbol.asyncDispose]: async () => {
      if (!frozen) return;
      frozen = false;
      if (deps.store.find(container.id)?.state.status !== "paused") return;
      await unpauseContainer(deps, container.id);
    },
  };
}

/** What an image keeps of a container's configuration: how it is run, not where. */
function toImageDefaults(config: ContainerConfig): ImageDefaults {
  const { User, ExposedPorts, Env, Entrypoint, Cmd, Volumes, WorkingDir, Labels, StopSignal } = config;
  const { Shell, Healthcheck, OnBuild, ArgsEscaped } = config;
  return {
    User,
    ExposedPorts,
    Env,
    Entrypoint,
    Cmd,
    Volumes,
    WorkingDir,
    Labels,
    StopSignal,
    Shell,
    Healthcheck,
    OnBuild,
    ArgsEscaped,
  } as ImageDefaults;
}

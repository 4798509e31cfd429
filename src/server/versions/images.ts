/** Images as an API version shows them. Pure. @see moby image_routes.go, getImagesByName and getImagesJSON */
import type { ContainerConfig, ImageInspect, ImageSummary } from "../../api/types.ts";
import { ZERO_TIME } from "../../core/container.ts";
import type { DescribedImage } from "../../engine/images/index.ts";
import { toConfig } from "../encode/container.ts";
import type { ApiLine } from "./create.ts";

export function summaryFor(api: ApiLine, image: ImageSummary): object {
  const { Descriptor, ...rest } = image as ImageSummary & { readonly Descriptor?: unknown };
  const unnamed = image.RepoTags.length + image.RepoDigests.length === 0;
  return {
    ...rest,
    ...(!api.atLeast([1, 51]) && { Containers: -1 }),
    ...(api.atLeast([1, 48]) && Descriptor !== undefined && { Descriptor }),
    ...(!api.atLeast([1, 44]) && { VirtualSize: image.Size }),
    ...(!api.atLeast([1, 43]) && unnamed && { RepoTags: ["<none>:<none>"], RepoDigests: ["<none>@<none>"] }),
  };
}

export function inspectFor(api: ApiLine, image: DescribedImage): object {
  const { Descriptor, Parent, Comment, DockerVersion, Author, Container, ContainerConfig, ...rest } = image;
  const told = { Parent, Comment, DockerVersion, Author };
  return {
    ...rest,
    ...(api.atLeast([1, 52]) ? withoutEmpty(told) : told),
    Config: imageConfigFor(api, image.Config ?? {}),
    ...(api.atLeast([1, 48]) ? { Descriptor } : {}),
    ...(api.atLeast([1, 45])
      ? {}
      : { ...(Container && { Container }), ContainerConfig: toContainerConfig(ContainerConfig) }),
    ...(api.atLeast([1, 44]) ? {} : { VirtualSize: image.Size, Created: image.Created ?? ZERO_TIME }),
  };
}

type ImageConfig = NonNullable<ImageInspect["Config"]>;

/** OCI's spelling leaves out what is empty; before 1.52 these were there in any case, before 1.50 a container's as well. */
function imageConfigFor(api: ApiLine, config: ImageConfig): object {
  if (!api.atLeast([1, 50])) return toContainerConfig(config);
  if (api.atLeast([1, 52])) return withoutEmpty(config);
  return {
    ...config,
    Cmd: config.Cmd ?? null,
    Entrypoint: config.Entrypoint ?? null,
    Env: config.Env ?? null,
    Labels: config.Labels ?? null,
    OnBuild: config.OnBuild ?? null,
    User: config.User ?? "",
    Volumes: config.Volumes ?? null,
    WorkingDir: config.WorkingDir ?? "",
  };
}

/** An image's defaults were shown as a container's configuration once, with everything that an image cannot say. */
function toContainerConfig(config: ImageConfig): object {
  return {
    ...toConfig(config as ContainerConfig),
    Env: config.Env ?? null,
    Labels: config.Labels ?? null,
  };
}

function withoutEmpty(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isEmpty(value)));
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

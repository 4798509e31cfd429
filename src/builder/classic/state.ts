/** Where a stage of a classic build stands, and how a step of it becomes an image. */
import { VERSION } from "../../base/version.ts";
import type { BaseImage, BuiltLayer } from "../../core/build-images.ts";
import type { Digest } from "../../core/ids.ts";
import type { ImageConfig } from "../../core/image.ts";
import type { BuildArguments } from "./build-args.ts";
import type { ClassicDeps } from "./deps.ts";
import type { ClassicImageConfig, RunConfig } from "./run-config.ts";

export interface StageState {
  /** Undefined: nothing was built yet, from scratch. */
  image: BaseImage | undefined;
  config: RunConfig;
  maintainer: string;
  /** CMD was given in this stage: an ENTRYPOINT leaves it alone. */
  commandSet: boolean;
  readonly args: BuildArguments;
  readonly platform: { readonly os: string; readonly architecture: string; readonly variant?: string };
  /** The cache was missed in this stage: it is not asked again. */
  cacheMissed: boolean;
  /** Keeps the last image. */
  readonly held: DisposableStack;
}

export function layersOf({ image }: StageState): readonly BuiltLayer[] {
  return image?.layers ?? [];
}

/** Makes an image of a step. @param layer what it changed, if it changed anything */
export async function commitStep(
  deps: ClassicDeps,
  state: StageState,
  {
    containerConfig,
    container,
    layer,
  }: { containerConfig: RunConfig; container?: string; layer?: BuiltLayer | undefined },
): Promise<void> {
  const parent = state.image;
  const layers = [...layersOf(state), ...(layer ? [layer] : [])];
  const created = new Date().toISOString();
  const config: ClassicImageConfig & { container?: string } = {
    architecture: state.platform.architecture,
    ...(state.platform.variant ? { variant: state.platform.variant } : {}),
    os: state.platform.os,
    ...(state.maintainer ? { author: state.maintainer } : {}),
    config: state.config as ImageConfig["config"],
    ...(container ? { container } : {}),
    container_config: containerConfig,
    created,
    docker_version: VERSION,
    history: [
      ...(parent?.config.history ?? []),
      {
        created,
        ...(state.maintainer ? { author: state.maintainer } : {}),
        created_by: (containerConfig.Cmd ?? []).join(" "),
        ...(layer ? {} : { empty_layer: true }),
      },
    ],
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
  };
  const id = await deps.images.add({ config, layers, ...(parent ? { parent: parent.id } : {}), names: [] });
  moveTo(deps, state, { id, config, layers });
}

/** The stage goes on from this image. */
export function moveTo(deps: ClassicDeps, state: StageState, image: BaseImage): void {
  state.held.use(deps.images.hold(image.id));
  state.image = image;
  state.config = { ...state.config, Image: image.id };
}

export function idOf({ image }: StageState): Digest | "" {
  return image?.id ?? "";
}

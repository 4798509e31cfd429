/** Exporters into the image store: `moby` and `image`. */
import type { BuildImages, BuiltLayer } from "../../core/build-images.ts";
import { InvalidParameterError, NotImplementedError } from "../../core/errors.ts";
import type { ImageConfig } from "../../core/image.ts";
import type { BuildProgress } from "../solve/progress-log.ts";
import type { Exportable } from "./exportable.ts";

export async function exportImage(
  images: BuildImages,
  attrs: Readonly<Record<string, string>>,
  result: Exportable,
  progress: BuildProgress,
): Promise<Map<string, string>> {
  if (attrs.push === "true")
    throw new NotImplementedError("pushing from a build is not implemented; push the image after it");
  if (result.platforms.length !== 1) {
    throw new NotImplementedError("images for several platforms cannot be kept in this image store yet");
  }
  const [platform] = result.platforms;
  if (!platform) throw new InvalidParameterError("nothing to export");
  const names = (attrs.name ?? "").split(",").filter((name) => name !== "");
  const checked = names.map((name) => images.checkName(name));
  return await progress.step(
    "exporting to image",
    `export ${names.join()} ${platform.id}`,
    async (report) => {
      report.status("exporting layers", { current: 0 });
      const config = toImageConfig(platform.config, platform.layers);
      report.status("exporting layers", { done: true });
      report.status("writing image", { current: 0 });
      const id = await images.add({ config, layers: platform.layers, names: [] });
      report.status(`writing image ${id}`, { done: true });
      for (const [index, name] of checked.entries()) {
        images.tag(id, names[index] ?? name);
        report.status(`naming to ${canonical(name)}`, { done: true });
      }
      return new Map([
        ["containerimage.digest", id],
        ["containerimage.config.digest", id],
        ...(names.length > 0 ? [["image.name", names.map(canonical).join(",")] as const] : []),
      ]);
    },
  );
}

/** `docker.io/library/x:latest` */
function canonical(name: string): string {
  const first = name.split("/", 1)[0] ?? "";
  const hasHost = name.includes("/") && /[.:]|^localhost$/.test(first);
  if (hasHost) return name;
  return name.includes("/") ? `docker.io/${name}` : `docker.io/library/${name}`;
}

/** The frontend's configuration with the layers that there are in fact, and a history that tells of each of them. */
export function toImageConfig(bytes: Uint8Array | undefined, layers: readonly BuiltLayer[]): ImageConfig {
  const config = parseConfig(bytes);
  const history = [...(config.history ?? [])];
  const told = history.filter((step) => !step.empty_layer).length;
  for (let missing = layers.length - told; missing > 0; missing--) {
    history.push({ created: config.created, created_by: "", comment: "buildkit.exporter.image.v0" });
  }
  for (let spare = told - layers.length, at = 0; spare > 0 && at < history.length; at++) {
    const step = history[at];
    if (!step || step.empty_layer) continue;
    history[at] = { ...step, empty_layer: true };
    spare--;
  }
  const dated = withTimes(history, layers);
  return {
    ...config,
    created: config.created ?? dated.at(-1)?.created ?? new Date(0).toISOString(),
    history: dated,
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
  };
}

/** A step was when its layer was made, one without a layer when the one before it was, or after: the same build, the same image. */
function withTimes(
  history: NonNullable<ImageConfig["history"]>,
  layers: readonly BuiltLayer[],
): NonNullable<ImageConfig["history"]> {
  let at = 0;
  const own = history.map((step) => {
    const layer = step.empty_layer ? undefined : layers[at++];
    return step.created ?? layer?.createdAt;
  });
  const first = own.find((created) => created !== undefined);
  let last = first;
  return history.map((step, index) => {
    last = own[index] ?? last;
    return last === undefined ? step : { ...step, created: last };
  });
}

function parseConfig(bytes: Uint8Array | undefined): ImageConfig {
  if (!bytes || bytes.length === 0) {
    return {
      architecture: process.arch === "x64" ? "amd64" : process.arch,
      os: "linux",
      rootfs: { type: "layers", diff_ids: [] },
    };
  }
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as ImageConfig;
  } catch (error) {
    throw new InvalidParameterError(`failed to parse image config: ${String(error)}`, { cause: error });
  }
}

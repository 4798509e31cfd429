/** The configuration of an image that is made here, as bytes: the same for the same image. @see image-spec config.md */
import type { Platform } from "../../core/content.ts";
import type { Digest } from "../../core/ids.ts";
import type { ImageConfig, ImageDefaults } from "../../core/image.ts";

export interface ConfigDocument {
  readonly platform: Platform;
  readonly author?: string;
  /** RFC 3339. */
  readonly created: string;
  readonly config: ImageDefaults;
  /** Diff ids, lowest first. */
  readonly layers: readonly Digest[];
  readonly history: NonNullable<ImageConfig["history"]>;
}

/** Fields in the order of the specification; what is empty is left out, maps are sorted. */
export function encodeConfig({
  platform,
  author,
  created,
  config,
  layers,
  history,
}: ConfigDocument): Uint8Array {
  const document = {
    created,
    author: author || undefined,
    architecture: platform.architecture,
    variant: platform.variant,
    os: platform.os,
    "os.version": platform["os.version"],
    config: {
      User: config.User || undefined,
      ExposedPorts: sorted(config.ExposedPorts),
      Env: filled(config.Env),
      Entrypoint: filled(config.Entrypoint),
      Cmd: filled(config.Cmd),
      Volumes: sorted(config.Volumes),
      WorkingDir: config.WorkingDir || undefined,
      Labels: sorted(config.Labels),
      StopSignal: config.StopSignal || undefined,
      ArgsEscaped: config.ArgsEscaped || undefined,
      Healthcheck: config.Healthcheck,
      OnBuild: filled(config.OnBuild),
      Shell: filled(config.Shell),
    },
    rootfs: { type: "layers", diff_ids: layers },
    history: history.map((step) => ({
      created: step.created,
      created_by: step.created_by || undefined,
      author: step.author || undefined,
      comment: step.comment || undefined,
      empty_layer: step.empty_layer || undefined,
    })),
  };
  return new TextEncoder().encode(JSON.stringify(document));
}

function filled<T>(values: readonly T[] | null | undefined): readonly T[] | undefined {
  return values && values.length > 0 ? values : undefined;
}

function sorted<T>(map: Readonly<Record<string, T>> | null | undefined): Record<string, T> | undefined {
  const entries = Object.entries(map ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

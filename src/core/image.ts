/** Images as the engine knows them, and what a container needs from the image store. */
import type { Descriptor } from "./content.ts";
import type { Digest } from "./ids.ts";
import type { CommittedLayer } from "./snapshots.ts";

/** The OCI image configuration, as far as the engine reads it. @see image-spec config.md */
export interface ImageConfig {
  readonly created?: string;
  readonly author?: string;
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
  readonly "os.version"?: string;
  /** The builder's. */
  readonly docker_version?: string;
  /** The classic builder's: the container of the last step, and its configuration. */
  readonly container?: string;
  readonly container_config?: object;
  readonly config?: ImageDefaults;
  readonly rootfs: { readonly type: string; readonly diff_ids: readonly Digest[] };
  readonly history?: readonly {
    created?: string;
    created_by?: string;
    comment?: string;
    empty_layer?: boolean;
    author?: string;
  }[];
}

/** The `config` member: what `docker run` takes where no flag is given. */
export interface ImageDefaults {
  readonly User?: string;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[] | null;
  readonly Cmd?: readonly string[] | null;
  readonly Volumes?: Readonly<Record<string, object>> | null;
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly StopSignal?: string;
  readonly Shell?: readonly string[];
  readonly Healthcheck?: {
    Test?: string[];
    Interval?: number;
    Timeout?: number;
    StartPeriod?: number;
    StartInterval?: number;
    Retries?: number;
  };
  readonly OnBuild?: readonly string[];
  readonly ArgsEscaped?: boolean;
}

export interface ResolvedImage {
  /** The image id that Docker shows: the digest of the configuration. */
  readonly id: Digest;
  readonly manifest?: Descriptor;
  readonly config: ImageConfig;
  /** Chain ids of its layers, lowest first. */
  readonly layers: readonly Digest[];
}

/** What `docker commit` makes an image of. */
export interface CommittedImage {
  /** The container's image. */
  readonly parentId: Digest;
  /** What the container changed; without entries nothing had changed. */
  readonly layer: CommittedLayer;
  readonly config: ImageDefaults;
  /** The command that the container ran, as history tells it. */
  readonly createdBy: string;
  readonly author: string;
  readonly comment: string;
  /** The name that the image gets, none if empty. */
  readonly repository: string;
  readonly tag: string;
}

export interface ContainerImages {
  /** A configuration changed by Dockerfile instructions. @throws InvalidParameterError */
  changeConfig(config: ImageDefaults, instructions: readonly string[]): ImageDefaults;
  /** Adds the image of a container. @returns its id @throws InvalidParameterError for a bad name; NotFoundError */
  addCommitted(image: CommittedImage): Promise<Digest>;
  /**
   * By reference, id or unique id prefix, for a platform (`linux/amd64`) or the host's.
   * @throws NotFoundError "No such image: <reference with tag>"
   */
  resolve(reference: string, platform?: string): ResolvedImage;
  /**
   * Keeps an image's layers while a container is being made of it, until that is recorded and counts by itself.
   * The image may lose its name meanwhile, and nothing else.
   */
  hold(imageId: Digest): Disposable;
  /** A container is gone: what was deleted by force while it used it can go now. Never fails for the container. */
  released(imageId: Digest): Promise<void>;
}

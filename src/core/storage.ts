/**
 * Ports of storage. `VolumeDriver` is what keeps a volume's data; `ContainerVolumes` is what a container needs
 * from volumes. The volumes themselves (records, names, who uses them) live in `engine/volumes`.
 */

export interface VolumeUse {
  readonly name: string;
  readonly driver: string;
  /** Host path of the volume's data. */
  readonly mountpoint: string;
  /** Nothing was ever copied up into it: `copyUp` may have something to do. */
  readonly fresh: boolean;
}

/** A volume, or a directory in it, that can be bind-mounted now. */
export interface MountedVolume {
  /** Host path. */
  readonly path: string;
}

/** How a container mounts a volume: what the `mount` event tells. */
export interface VolumeMountUse {
  readonly destination: string;
  readonly rw: boolean;
  readonly propagation: string;
  readonly subpath?: string;
}

/** What an image has, and where in a volume it is to go. */
export interface CopyUpSource {
  readonly rootfs: string;
  readonly destination: string;
  /** Beneath the volume; undefined: the volume itself. */
  readonly subpath: string | undefined;
}

export interface ContainerVolumes {
  /**
   * The volume of that name for this container, made if it is not there; without a name an anonymous one.
   * The reference is counted until `release`, and is recomputed from container records at boot.
   * @throws InvalidParameterError on a bad name or bad options; NotFoundError for an unknown driver;
   *   ConflictError if the volume exists with another driver
   */
  acquire(
    containerId: string,
    volume: {
      name?: string;
      driver?: string;
      driverOpts?: Readonly<Record<string, string>>;
      labels?: Readonly<Record<string, string>>;
    },
  ): Promise<VolumeUse>;
  /**
   * Copies what the image has at `destination` into a fresh volume, beneath `rootfs` by fd; only once, only if empty.
   * With a subpath into that directory of the volume, if it is empty.
   */
  copyUp(containerId: string, name: string, from: CopyUpSource): Promise<void>;
  /**
   * Makes the data reachable while the container runs; called at each start. `subpath` is resolved beneath the
   * volume then. @throws NotFoundError if the volume or the subpath is not there
   */
  mount(containerId: string, name: string, use: VolumeMountUse): Promise<MountedVolume>;
  /** The container's process ended: gives up all its mounts. Idempotent. */
  unmount(containerId: string): Promise<void>;
  /** The container is gone; anonymous volumes go with it when `removeAnonymous`. Idempotent. */
  release(containerId: string, options: { removeAnonymous: boolean }): Promise<void>;
  /** Boot: who refers to which volumes, and which of them run. Mounts that nobody running holds are taken down. */
  recover(
    containers: readonly {
      readonly id: string;
      readonly running: boolean;
      readonly volumes: readonly string[];
    }[],
  ): Promise<void>;
}

/** Port: keeps the data of volumes. Names were checked by the engine. All calls are idempotent. */
export interface VolumeDriver {
  /** `local`. */
  readonly name: string;
  /** @throws InvalidParameterError if the driver does not take these options */
  checkOptions(options: Readonly<Record<string, string>>): void;
  /** Makes it empty: what may be left under the name is nobody's. */
  create(name: string): Promise<void>;
  /** When it throws, the volume is there as before. */
  remove(name: string): Promise<void>;
  /** Where the data is, or will be while mounted. */
  mountpoint(name: string): string;
  /** Only for volumes with options that mean a mount (`type`, `device`, `o`). Others have nothing to do. */
  mount(name: string, options: Readonly<Record<string, string>>): Promise<void>;
  unmount(name: string): Promise<void>;
  /** Binds a directory or file in the volume to a place of its own, found by `key`, resolved beneath the volume. */
  mountSubpath(name: string, subpath: string, key: string): Promise<MountedVolume>;
  unmountSubpaths(key: string): Promise<void>;
  /**
   * Fills an empty volume with what `rootfs` has at `destination`: tree, owners, modes, times, xattrs, links, and
   * the directory's own owner and mode. `exclusive`: nobody else has the volume open, so it can be swapped whole.
   * @returns false if the volume was not empty, or the root file system or the volume has no directory there
   */
  copyUp(name: string, from: CopyUpSource, options: { readonly exclusive: boolean }): Promise<boolean>;
  /** Bytes on disk. */
  usage(name: string, signal: AbortSignal): Promise<number>;
  /** Boot: takes down mounts and half-made things, and removes the data of volumes that are not in `names`. */
  reconcile(owned: {
    readonly names: ReadonlySet<string>;
    readonly mounted: ReadonlySet<string>;
    readonly keys: ReadonlySet<string>;
  }): Promise<void>;
}

/** Port: what a container needs from volumes. The volumes themselves live in `engine/volumes`. */

export interface VolumeUse {
  readonly name: string;
  readonly driver: string;
  /** Host path of the volume's data. */
  readonly mountpoint: string;
  /** Nothing was ever copied up into it, and it is empty. */
  readonly fresh: boolean;
}

export interface ContainerVolumes {
  /**
   * The volume of that name for this container, made if it is not there; `undefined` makes an anonymous one.
   * The reference is counted until `release`, and is recomputed from container records at boot.
   */
  acquire(
    containerId: string,
    volume: {
      name?: string;
      driver?: string;
      driverOpts?: Record<string, string>;
      labels?: Record<string, string>;
    },
  ): Promise<VolumeUse>;
  /** Copies what the image has at `destination` into a fresh volume, beneath `rootfs` by fd; only once, only if empty. */
  copyUp(name: string, rootfs: string, destination: string): Promise<void>;
  /** The container is gone; anonymous volumes go with it when `removeAnonymous`. */
  release(containerId: string, options: { removeAnonymous: boolean }): Promise<void>;
}

/** What the solver stands on. */
import type { BuildFiles } from "../../core/build-files.ts";
import type { BuildImages } from "../../core/build-images.ts";
import type { OneShotTasks } from "../../core/one-shot.ts";
import type { RootFiles } from "../../core/rootfs.ts";
import type { Snapshotter } from "../../core/snapshots.ts";
import type { BuildCache } from "../cache/store.ts";
import type { Sessions } from "../session.ts";

export interface SolverDeps {
  readonly images: BuildImages;
  readonly snapshots: Snapshotter;
  readonly files: BuildFiles;
  readonly roots: RootFiles;
  readonly tasks: OneShotTasks;
  readonly cache: BuildCache;
  readonly sessions: Sessions;
  /** The builder's own directory on the data root's disk: `contexts/` and `cache-mounts/` are kept over restarts. */
  readonly directory: string;
  /** Emptied at boot. */
  readonly workDirectory: string;
  /** In memory, 0700, gone after a reboot: secrets and sockets. */
  readonly memoryDirectory: string;
}

/** What the classic builder stands on. */
import type { BuildFiles } from "../../core/build-files.ts";
import type { BuildImages } from "../../core/build-images.ts";
import type { OneShotTasks } from "../../core/one-shot.ts";
import type { RootFiles } from "../../core/rootfs.ts";
import type { Snapshotter } from "../../core/snapshots.ts";

export interface ClassicDeps {
  readonly images: BuildImages;
  readonly snapshots: Snapshotter;
  readonly files: BuildFiles;
  readonly roots: RootFiles;
  readonly tasks: OneShotTasks;
  /** A directory of the builder's own on the data root's disk; emptied at boot. */
  readonly workDirectory: string;
}

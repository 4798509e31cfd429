/** Puts the builder together: its ports are the engine's and drivers'. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Builder } from "../../builder/index.ts";
import type { BuildImages } from "../../core/build-images.ts";
import type { EnginePaths } from "../../core/config.ts";
import type { RootFiles } from "../../core/rootfs.ts";
import type { Snapshotter } from "../../core/snapshots.ts";
import { HelperBuildFiles } from "../../drivers/build-files/index.ts";
import type { ContainerDeps } from "../../engine/containers/deps.ts";
import { EngineOneShots } from "../../engine/one-shot/index.ts";

export interface BuilderParts {
  readonly paths: EnginePaths;
  readonly images: BuildImages;
  readonly snapshots: Snapshotter;
  readonly roots: RootFiles;
  readonly containers: ContainerDeps;
}

export function openBuilder(parts: BuilderParts): Builder & Disposable {
  const { paths, images, snapshots, roots, containers } = parts;
  const workDirectory = join(paths.dataRoot, "tmp", "build");
  // What a former daemon was building is of no use to anybody.
  rmSync(workDirectory, { recursive: true, force: true });
  mkdirSync(workDirectory, { recursive: true, mode: 0o700 });
  const files = new HelperBuildFiles();
  const tasks = new EngineOneShots({ containers, files: roots });
  const builder = new Builder({ images, snapshots, files, roots, tasks, workDirectory });
  return Object.assign(builder, { [Symbol.dispose]: () => files[Symbol.dispose]() });
}

/** Puts the builder together: its ports are the engine's and drivers'. */
import { mkdirSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { BuildService } from "../../builder/build.ts";
import { BuildCache } from "../../builder/cache/store.ts";
import { dockerfileFrontend } from "../../builder/dockerfile/frontend.ts";
import { Builder } from "../../builder/index.ts";
import { BuildkitProtocol } from "../../builder/protocol/index.ts";
import { ClientSessions } from "../../builder/protocol/session/sessions.ts";
import { Builds } from "../../builder/solve/service.ts";
import type { BuildImages } from "../../core/build-images.ts";
import type { EnginePaths } from "../../core/config.ts";
import { hostPlatform } from "../../core/manifests.ts";
import type { RootFiles } from "../../core/rootfs.ts";
import type { Snapshotter } from "../../core/snapshots.ts";
import type { StateStore } from "../../core/state.ts";
import { HelperBuildFiles } from "../../drivers/build-files/index.ts";
import type { ContainerDeps } from "../../engine/containers/deps.ts";
import { EngineOneShots } from "../../engine/one-shot/index.ts";
import { openHttp2Client } from "../../http/http2/index.ts";

export interface BuilderParts {
  readonly engineId: string;
  /** Where containers reach the host; undefined: nowhere. */
  readonly hostGateway: string | undefined;
  readonly paths: EnginePaths;
  readonly state: StateStore;
  readonly images: BuildImages;
  readonly snapshots: Snapshotter;
  readonly roots: RootFiles;
  readonly containers: ContainerDeps;
}

export interface OpenedBuilder extends Disposable {
  readonly builder: Builder;
  readonly buildkit: BuildkitProtocol;
  readonly builds: BuildService;
  /** Layers that are kept for the next builds. */
  readonly cache: BuildCache;
}

export function openBuilder(parts: BuilderParts): OpenedBuilder {
  const { paths, state, images, snapshots, roots, containers } = parts;
  const directory = join(paths.dataRoot, "build");
  const workDirectory = join(paths.dataRoot, "tmp", "build");
  const memoryDirectory = join(paths.execRoot, "build");
  // What a former daemon was building is of no use to anybody.
  for (const path of [workDirectory, memoryDirectory]) rmSync(path, { recursive: true, force: true });
  for (const path of [directory, workDirectory, memoryDirectory])
    mkdirSync(path, { recursive: true, mode: 0o700 });
  const files = new HelperBuildFiles();
  const tasks = new EngineOneShots({ containers, files: roots });
  const cache = new BuildCache({ state, snapshots });
  const sessions = new ClientSessions();
  const classic = { images, snapshots, files, roots, tasks, workDirectory };
  const builds = new Builds({
    events: containers.events,
    deps: { ...classic, cache, sessions, directory, memoryDirectory },
    frontends: [dockerfileFrontend],
    platforms: [hostPlatform()],
  });
  const buildkit = new BuildkitProtocol({
    builds,
    sessions,
    worker: { id: parts.engineId, hostname: hostname(), hostGateway: parts.hostGateway },
    openChannel: openHttp2Client,
  });
  return {
    builder: new Builder(classic),
    buildkit,
    builds,
    cache,
    [Symbol.dispose]: () => {
      cache.flush();
      files[Symbol.dispose]();
    },
  };
}

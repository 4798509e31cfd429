/** What SIGHUP changes while the daemon runs, and what the `daemon reload` event says of it. @see moby daemon/reload.go */
import { hostname } from "node:os";
import { type EngineConfig, withoutCredentials } from "../../core/config.ts";

/** Only these change; the rest (places, networks, drivers) was handed out at start and is so until the next. */
export function reloaded(before: EngineConfig, next: EngineConfig): EngineConfig {
  const { labels, logLevel, shutdownTimeout, features, maxConcurrentDownloads, maxConcurrentUploads } = next;
  const { insecureRegistries, mirrors, maxAttempts } = next.registry;
  const { runtime, runtimes, shmSize, ipcMode, cgroupNamespace } = next.containers;
  return {
    ...before,
    authorizationPlugins: next.authorizationPlugins,
    ...{ labels, logLevel, shutdownTimeout, features, maxConcurrentDownloads, maxConcurrentUploads },
    registry: { ...before.registry, insecureRegistries, mirrors, maxAttempts },
    containers: { ...before.containers, runtime, runtimes, shmSize, ipcMode, cgroupNamespace },
  };
}

/** Of the event, in the forms that dockerd gives them. */
export function reloadAttributes(
  { containers, registry, ...config }: EngineConfig,
  cgroupVersion: 1 | 2,
): Record<string, string> {
  const features = Object.entries(config.features).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    name: hostname(),
    debug: String(config.logLevel === "debug"),
    "default-cgroupns-mode": containers.cgroupNamespace ?? (cgroupVersion === 2 ? "private" : "host"),
    "default-ipc-mode": containers.ipcMode,
    "default-runtime": containers.runtime,
    "default-shm-size": String(containers.shmSize),
    features: `map[${features.map(([name, on]) => `${name}:${on}`).join(" ")}]`,
    "insecure-registries": JSON.stringify(registry.insecureRegistries),
    labels: JSON.stringify(config.labels),
    "live-restore": "true",
    "max-concurrent-downloads": String(config.maxConcurrentDownloads),
    "max-concurrent-uploads": String(config.maxConcurrentUploads),
    "max-download-attempts": String(registry.maxAttempts ?? 5),
    "registry-mirrors": JSON.stringify(registry.mirrors),
    runtimes: Object.entries(containers.runtimes)
      .map(([name, { path }]) => `${name}:{${path} []  map[] <nil>}`)
      .join(" "),
    "shutdown-timeout": String(config.shutdownTimeout),
  };
}

/** The configuration as it may be logged. */
export function shown({ registry, ...config }: EngineConfig): string {
  const { http = "", https = "", none = "" } = registry.proxies ?? {};
  const proxies = { http: withoutCredentials(http), https: withoutCredentials(https), none };
  return JSON.stringify({ ...config, registry: { ...registry, proxies } });
}

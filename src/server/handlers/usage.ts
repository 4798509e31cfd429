/** `GET /system/df`: what images, containers, volumes and builds take on disk. Sizes are measured anew at each call. */
import type { BuildService } from "../../builder/build.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import type { Containers } from "../../engine/containers/containers.ts";
import type { ContainerView } from "../../engine/containers/queries/inspect.ts";
import type { Images } from "../../engine/images/index.ts";
import { isLocal } from "../../engine/volumes/records.ts";
import type { Volumes } from "../../engine/volumes/volumes.ts";
import type { Call, Handlers } from "../call.ts";
import { summaryFor } from "../versions/containers.ts";
import { type Usage, usageFor } from "../versions/usage.ts";
import { toCacheItem } from "./build-cache.ts";
import { toVolume } from "./volumes.ts";

export interface UsageDeps {
  readonly images: Images;
  readonly containers: Containers;
  readonly volumes: Volumes;
  readonly builds: BuildService;
}

const TYPES = ["container", "image", "volume", "build-cache"];

export function usageHandlers(deps: UsageDeps): Handlers {
  return {
    SystemDataUsage: async (call) => {
      const wanted = wantedTypes(call);
      const usage = {
        ...(wanted.has("image") && { image: await imageUsage(deps, call.signal) }),
        ...(wanted.has("container") && { container: await containerUsage(deps, call) }),
        ...(wanted.has("volume") && { volume: await volumeUsage(deps, call.signal) }),
        ...(wanted.has("build-cache") && { buildCache: await cacheUsage(deps, call.signal) }),
      };
      call.json(usageFor(call, usage, { verbose: call.query.flag("verbose") }));
    },
  };
}

function wantedTypes(call: Call): ReadonlySet<string> {
  const wanted = call.atLeast([1, 42]) ? call.query.all("type") : [];
  const unknown = wanted.find((type) => !TYPES.includes(type));
  if (unknown !== undefined) throw new InvalidParameterError(`unknown object type: ${unknown}`);
  return new Set(wanted.length > 0 ? wanted : TYPES);
}

async function imageUsage({ images }: UsageDeps, signal: AbortSignal): Promise<Usage> {
  const all = images.list({ filters: new Map(), sharedSize: true, manifests: false });
  const unused = all.filter(({ Containers }) => Containers === 0);
  return {
    ActiveCount: all.length - unused.length,
    TotalCount: all.length,
    Reclaimable: sum(unused.map(({ Size, SharedSize }) => Size - SharedSize)),
    TotalSize: await images.diskSize(signal),
    Items: all,
  };
}

async function containerUsage({ containers }: UsageDeps, call: Call): Promise<Usage> {
  const views = await containers.list({ all: true, filters: new Map(), size: true, signal: call.signal });
  const now = Date.now();
  const sizes = views.map((view) => ({ active: isActive(view), size: view.sizes?.rw ?? 0 }));
  const idle = sizes.filter(({ active }) => !active);
  return {
    ActiveCount: sizes.length - idle.length,
    TotalCount: sizes.length,
    Reclaimable: sum(idle.map(({ size }) => size)),
    TotalSize: sum(sizes.map(({ size }) => size)),
    Items: views.map((view) => {
      const { ImageManifestDescriptor: _descriptor, ...summary } = summaryFor(call, view, now);
      return summary;
    }),
  };
}

function isActive({ record }: ContainerView): boolean {
  return ["running", "paused", "restarting"].includes(record.state.status);
}

async function volumeUsage({ volumes }: UsageDeps, signal: AbortSignal): Promise<Usage> {
  const measured = await Promise.all(
    volumes
      .list()
      .filter(isLocal)
      .map(async (record) => ({ record, ...(await volumes.usage(record, signal)) })),
  );
  const known = measured.filter(({ size }) => size >= 0);
  const unused = known.filter(({ references }) => references === 0);
  return {
    ActiveCount: measured.length - unused.length,
    TotalCount: measured.length,
    Reclaimable: sum(unused.map(({ size }) => size)),
    TotalSize: sum(known.map(({ size }) => size)),
    Items: measured.map(({ record, size, references }) => ({
      ...toVolume(record, volumes.mountpointOf(record)),
      UsageData: { Size: size, RefCount: references },
    })),
  };
}

async function cacheUsage({ builds }: UsageDeps, signal: AbortSignal): Promise<Usage> {
  const records = await builds.cacheRecords(signal);
  const own = records.filter(({ shared }) => !shared);
  return {
    ActiveCount: records.filter(({ inUse }) => inUse).length,
    TotalCount: records.length,
    Reclaimable: sum(own.filter(({ inUse }) => !inUse).map(({ size }) => size)),
    TotalSize: sum(own.map(({ size }) => size)),
    Items: records.map(toCacheItem),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

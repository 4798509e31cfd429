/** `GET /system/df` and `POST /build/prune`: what images, containers and volumes take on disk. Sizes are measured anew at each call. */
import { InvalidParameterError } from "../../core/errors.ts";
import type { Containers } from "../../engine/containers/containers.ts";
import type { Images } from "../../engine/images/index.ts";
import { isLocal } from "../../engine/volumes/records.ts";
import type { Volumes } from "../../engine/volumes/volumes.ts";
import type { Call, Handlers } from "../call.ts";
import { toSummary } from "../encode/container.ts";
import { toVolume } from "./volumes.ts";

export interface UsageDeps {
  readonly images: Images;
  readonly containers: Containers;
  readonly volumes: Volumes;
}

const TYPES = ["container", "image", "volume", "build-cache"];

export function usageHandlers(deps: UsageDeps): Handlers {
  return {
    // There is no builder yet, so its cache is empty: `docker system prune` must not fail over that.
    BuildPrune: (call) => call.json({ CachesDeleted: null, SpaceReclaimed: 0 }),
    SystemDataUsage: async (call) => {
      const wanted = wantedTypes(call);
      call.json({
        ...(wanted.has("image") && imageUsage(deps)),
        ...(wanted.has("container") && { Containers: await containerUsage(deps, call.signal) }),
        ...(wanted.has("volume") && { Volumes: await volumeUsage(deps, call.signal) }),
        ...(wanted.has("build-cache") && { BuildCache: [] }),
      });
    },
  };
}

function wantedTypes(call: Call): ReadonlySet<string> {
  const wanted = call.atLeast([1, 42]) ? call.query.all("type") : [];
  const unknown = wanted.find((type) => !TYPES.includes(type));
  if (unknown !== undefined) throw new InvalidParameterError(`unknown object type: ${unknown}`);
  return new Set(wanted.length > 0 ? wanted : TYPES);
}

function imageUsage({ images }: UsageDeps): object {
  return {
    LayersSize: images.layersSize(),
    Images: images.list({ filters: new Map(), sharedSize: true, manifests: false }),
  };
}

async function containerUsage({ containers }: UsageDeps, signal: AbortSignal): Promise<object[]> {
  const views = await containers.list({ all: true, filters: new Map(), size: true, signal });
  const now = Date.now();
  return views.map((view) => toSummary(view, now));
}

async function volumeUsage({ volumes }: UsageDeps, signal: AbortSignal): Promise<object[]> {
  return await Promise.all(
    volumes
      .list()
      .filter(isLocal)
      .map(async (record) => {
        const { size, references } = await volumes.usage(record, signal);
        return {
          ...toVolume(record, volumes.mountpointOf(record)),
          UsageData: { Size: size, RefCount: references },
        };
      }),
  );
}

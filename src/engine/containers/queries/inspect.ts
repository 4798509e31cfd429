/** What `docker ps` and `docker inspect` know of a container beyond its record. Encoding is the server's. */
import type { EndpointSettings, HostConfig, PortMap } from "../../../api/types.ts";
import { log } from "../../../base/log.ts";
import type { ContainerRecord } from "../../../core/container.ts";
import { NotFoundError } from "../../../core/errors.ts";
import type { Needs } from "../deps.ts";
import { mergeUlimits } from "../oci-spec/resources.ts";
import { apparmorProfileOf } from "../oci-spec/security.ts";
import { identityFiles } from "../state/paths.ts";

type InspectDeps = Needs<
  "defaults" | "execs" | "host" | "images" | "logs" | "paths" | "running" | "snapshots" | "store"
>;

export interface ContainerSizes {
  /** Bytes of the writable layer. */
  readonly rw: number;
  /** With all layers of the image. */
  readonly rootFs: number;
}

export interface ContainerView {
  readonly record: ContainerRecord;
  /** As it was asked for; its id, if that name means another image by now. */
  readonly imageName: string;
  /** In force while it runs. */
  readonly ports: PortMap | undefined;
  readonly sandbox: { readonly id: string; readonly path: string } | undefined;
  readonly endpoints: Readonly<Record<string, EndpointSettings>>;
  readonly execIds: readonly string[];
  /** `parent/alias` of the containers that link to it. */
  readonly linkNames: readonly string[];
  readonly sizes: ContainerSizes | undefined;
}

export interface ContainerDetails extends ContainerView {
  /** Also what it has from the daemon's defaults. */
  readonly ulimits: NonNullable<HostConfig["Ulimits"]>;
  readonly apparmorProfile: string;
  /** `/neighbour:/container/alias`, of neighbours that are still there. */
  readonly links: readonly string[];
  readonly logPath: string;
  readonly files:
    | { readonly hostname: string; readonly hosts: string; readonly resolvConf: string }
    | undefined;
  readonly graphDriver: { readonly name: string; readonly data: Readonly<Record<string, string>> };
}

/** The records with what belongs to them now. Sizes walk the disk: only on request. */
export async function viewContainers(
  deps: InspectDeps,
  records: readonly ContainerRecord[],
  options: { size: boolean; signal: AbortSignal },
): Promise<ContainerView[]> {
  return await Promise.all(records.map((record) => viewContainer(deps, record, options)));
}

/** @throws NotFoundError */
export async function inspectContainer(
  deps: InspectDeps,
  reference: string,
  options: { size: boolean; signal: AbortSignal },
): Promise<ContainerDetails> {
  const record = deps.store.get(reference);
  const view = await viewContainer(deps, record, options);
  return {
    ...view,
    ulimits: mergeUlimits(record.hostConfig.Ulimits ?? [], deps.defaults.ulimits),
    links: (record.links ?? []).flatMap(({ alias, target }) => {
      const neighbour = deps.store.byId(target);
      return neighbour ? [`/${neighbour.name}:/${record.name}/${alias}`] : [];
    }),
    apparmorProfile: apparmorProfileOf(record.hostConfig.SecurityOpt ?? [], deps.host),
    logPath: deps.logs.pathOf({ id: record.id, driver: record.hostConfig.LogConfig?.Type ?? "" }),
    files: record.state.startedAt.startsWith("0001") ? undefined : identityFiles(deps.paths, record.id),
    graphDriver: { name: deps.snapshots.name, data: deps.snapshots.describe(record.id, record.layers) },
  };
}

async function viewContainer(
  deps: InspectDeps,
  record: ContainerRecord,
  { size, signal }: { size: boolean; signal: AbortSignal },
): Promise<ContainerView> {
  const sandbox = deps.running.get(record.id)?.sandbox;
  return {
    record,
    imageName: imageNameOf(deps, record),
    ports: sandbox?.ports,
    sandbox: sandbox && { id: sandbox.id, path: sandbox.key ?? "" },
    endpoints: record.networks,
    execIds: deps.execs.idsOf(record.id),
    linkNames: deps.store.linkNamesOf(record.id),
    sizes: size ? await measureContainer(deps, record, signal) : undefined,
  };
}

function imageNameOf(deps: Needs<"images">, { image, imageId }: ContainerRecord): string {
  try {
    return deps.images.resolve(image).id === imageId ? image : imageId;
  } catch (error) {
    if (error instanceof NotFoundError) return imageId;
    throw error;
  }
}

/** What cannot be measured, as the layer of a container that is being removed, counts as nothing. */
export async function measureContainer(
  deps: Needs<"snapshots">,
  { id, layers }: ContainerRecord,
  signal: AbortSignal,
): Promise<ContainerSizes> {
  const sizeOf = async (usage: Promise<{ readonly size: number }>): Promise<number> => {
    try {
      return (await usage).size;
    } catch (error) {
      signal.throwIfAborted();
      log("warn", "the size of a layer could not be found out", { container: id, error });
      return 0;
    }
  };
  const [rw = 0, ...below] = await Promise.all([
    sizeOf(deps.snapshots.usage(id, signal)),
    ...layers.map((layer) => sizeOf(deps.snapshots.layerUsage(layer, signal))),
  ]);
  return { rw, rootFs: below.reduce((sum, size) => sum + size, rw) };
}

/** Who may own something on the host, as the engine itself tells it: the other side of what `residue.ts` finds there. */
import { createHash } from "node:crypto";
import type { Api } from "./api.ts";

export interface OwnPort {
  readonly protocol: string;
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly port: number;
}

export interface OwnContainer {
  readonly id: string;
  readonly name: string;
  /** Running or paused: it has a task. */
  readonly live: boolean;
  readonly pid: number;
  readonly endpoints: readonly {
    readonly id: string;
    readonly networkId: string;
    readonly address: string;
  }[];
  readonly ports: readonly OwnPort[];
  readonly volumes: readonly string[];
  /** Of those that run. */
  readonly execs: readonly string[];
  /** Hex of chain ids. */
  readonly layers: readonly string[];
}

export interface Owners {
  readonly containers: ReadonlyMap<string, OwnContainer>;
  readonly live: ReadonlyMap<string, OwnContainer>;
  /** Network id → its bridge. */
  readonly bridges: ReadonlyMap<string, string>;
  readonly volumes: ReadonlySet<string>;
  /** Hex of chain ids that images or containers have. */
  readonly layers: ReadonlySet<string>;
}

interface Inspected {
  Id: string;
  Name: string;
  State: { Running: boolean; Pid: number };
  NetworkSettings: {
    Ports: Record<string, { HostIp: string; HostPort: string }[] | null>;
    Networks: Record<string, { EndpointID: string; NetworkID: string; IPAddress: string }>;
  };
  Mounts: { Type: string; Name?: string }[];
  ExecIDs: string[] | null;
  GraphDriver: { Data: { LowerDir?: string } };
}

/** @throws Error if one of them goes while it is asked about: ask again */
export async function ownersOf(api: Api): Promise<Owners> {
  const listed = await api.get<{ Id: string }[]>("/containers/json?all=1");
  const inspected = await Promise.all(
    listed.map(({ Id }) => api.get<Inspected>(`/containers/${Id}/json`).then(toContainer)),
  );
  const containers = new Map(inspected.map((one) => [one.id, one]));
  const networks =
    await api.get<{ Id: string; Driver: string; Options: Record<string, string> | null }[]>("/networks");
  const bridges = networks
    .filter(({ Driver }) => Driver === "bridge")
    .map(
      ({ Id, Options }) =>
        [Id, Options?.["com.docker.network.bridge.name"] ?? `br-${Id.slice(0, 12)}`] as const,
    );
  const volumes = await api.get<{ Volumes: { Name: string }[] | null }>("/volumes");
  const images = await api.get<{ Id: string }[]>("/images/json?all=1");
  const layers = await Promise.all(
    images.map(async ({ Id }) =>
      chainsOf((await api.get<{ RootFS: { Layers: string[] } }>(`/images/${Id}/json`)).RootFS.Layers),
    ),
  );
  return {
    containers,
    live: new Map([...containers].filter(([, { live }]) => live)),
    bridges: new Map(bridges),
    volumes: new Set(volumes.Volumes?.map(({ Name }) => Name)),
    layers: new Set([...layers.flat(), ...inspected.flatMap((one) => one.layers)]),
  };
}

function toContainer(inspected: Inspected): OwnContainer {
  const { Id, Name, State, NetworkSettings, Mounts, ExecIDs, GraphDriver } = inspected;
  return {
    id: Id,
    name: Name.slice(1),
    live: State.Running,
    pid: State.Pid,
    endpoints: Object.values(NetworkSettings.Networks)
      .filter(({ EndpointID }) => EndpointID !== "")
      .map(({ EndpointID, NetworkID, IPAddress }) => ({
        id: EndpointID,
        networkId: NetworkID,
        address: IPAddress,
      })),
    ports: Object.entries(NetworkSettings.Ports).flatMap(([port, bindings]) =>
      (bindings ?? []).map(({ HostIp, HostPort }) => ({
        protocol: port.split("/")[1] ?? "",
        hostAddress: HostIp,
        hostPort: Number(HostPort),
        port: Number.parseInt(port, 10),
      })),
    ),
    volumes: Mounts.flatMap(({ Type, Name: volume }) => (Type === "volume" && volume ? [volume] : [])),
    execs: ExecIDs ?? [],
    layers: GraphDriver.Data.LowerDir?.match(/[0-9a-f]{64}/g) ?? [],
  };
}

/** @see image-spec config.md, "Layer ChainID" */
function chainsOf(diffIds: readonly string[]): string[] {
  const chains: string[] = [];
  for (const diffId of diffIds) {
    const parent = chains.at(-1);
    const hash = createHash("sha256").update(`sha256:${parent} ${diffId}`).digest("hex");
    chains.push(parent === undefined ? diffId.slice("sha256:".length) : hash);
  }
  return chains;
}

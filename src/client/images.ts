/** Calls about images. */
import type { AuthConfig, ImageSummary } from "../api/types.ts";
import { type Engine, pathSegment } from "./engine.ts";
import { encodeFilters, type Filters } from "./filters.ts";

export interface ListImagesOptions {
  readonly all?: boolean;
  readonly digests?: boolean;
  readonly filters?: Filters;
}

export async function listImages(
  engine: Engine,
  { all, filters }: ListImagesOptions = {},
): Promise<ImageSummary[]> {
  const query = { ...(all && { all }), ...encodeFilters(filters) };
  return await (await engine.request({ method: "GET", path: "/images/json", query })).json();
}

export async function inspectImageText(engine: Engine, name: string, platform?: string): Promise<string> {
  const query = platform === undefined ? {} : { platform };
  return await (
    await engine.request({ method: "GET", path: `/images/${pathSegment(name)}/json`, query })
  ).text();
}

/** What goes with a pull or a login: a password, or a token in its place. */
export interface RegistryCredentials extends AuthConfig {
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

/** One message of a progress stream. */
export interface ProgressMessage {
  readonly id?: string;
  readonly status?: string;
  readonly stream?: string;
  readonly progressDetail?: {
    readonly current?: number;
    readonly total?: number;
    readonly start?: number;
    readonly hidecounts?: boolean;
    readonly units?: string;
  };
  readonly progress?: string;
  readonly aux?: unknown;
  readonly error?: string;
  readonly errorDetail?: { readonly code?: number; readonly message?: string };
}

export interface PullOptions {
  /** Repository with its registry's host: `docker.io/library/busybox`. */
  readonly fromImage: string;
  /** A tag or digest; all tags of the repository if absent. */
  readonly tag?: string;
  readonly platform?: string;
  readonly auth?: RegistryCredentials;
}

/** Starts a pull; the progress must be read to its end, failures are messages in it. */
export async function pullImage(
  engine: Engine,
  { fromImage, tag, platform, auth }: PullOptions,
): Promise<AsyncGenerator<ProgressMessage, void, undefined>> {
  const reply = await engine.request({
    method: "POST",
    path: "/images/create",
    query: { fromImage, ...(tag !== undefined && { tag }), ...(platform && { platform }) },
    headers: auth ? { "X-Registry-Auth": encodeAuth(auth) } : {},
  });
  return reply.documents<ProgressMessage>();
}

/** base64url JSON, as the engine's headers carry credentials. */
export function encodeAuth(auth: RegistryCredentials): string {
  return Buffer.from(JSON.stringify(auth)).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}

export async function tagImage(
  engine: Engine,
  source: string,
  target: { readonly repo: string; readonly tag: string },
): Promise<void> {
  const path = `/images/${pathSegment(source)}/tag`;
  const query = { repo: target.repo, ...(target.tag && { tag: target.tag }) };
  await (await engine.request({ method: "POST", path, query })).discard();
}

export interface DeletedImage {
  readonly Deleted?: string;
  readonly Untagged?: string;
}

/** As OCI writes it. */
export interface Platform {
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
}

export interface RemoveImageOptions {
  readonly force?: boolean;
  readonly prune?: boolean;
  /** Only these variants. */
  readonly platforms?: readonly Platform[];
}

export async function removeImage(
  engine: Engine,
  name: string,
  { force = false, prune = true, platforms = [] }: RemoveImageOptions = {},
): Promise<DeletedImage[]> {
  const query = {
    ...(force && { force }),
    ...(!prune && { noprune: true }),
    ...(platforms.length > 0 && { platforms: platforms.map((platform) => JSON.stringify(platform)) }),
  };
  return await (
    await engine.request({ method: "DELETE", path: `/images/${pathSegment(name)}`, query })
  ).json();
}

export interface ImagePruneReport {
  readonly deleted: readonly DeletedImage[];
  readonly spaceReclaimed: number;
}

export async function pruneImages(engine: Engine, filters: Filters): Promise<ImagePruneReport> {
  const reply = await engine.request({
    method: "POST",
    path: "/images/prune",
    query: encodeFilters(filters),
  });
  const report = await reply.json<{ ImagesDeleted?: DeletedImage[] | null; SpaceReclaimed?: number }>();
  return { deleted: report.ImagesDeleted ?? [], spaceReclaimed: report.SpaceReclaimed ?? 0 };
}

/** Calls that move images: push, save, load, import, commit; and what is said about them. */
import type { Engine } from "./engine.ts";
import { pathSegment } from "./engine.ts";
import { encodeFilters, type Filters } from "./filters.ts";
import { encodeAuth, type Platform, type ProgressMessage, type RegistryCredentials } from "./images.ts";

type Progress = AsyncGenerator<ProgressMessage, void, undefined>;

/** Failures are messages of the stream, which must be read to its end. */
export async function pushImage(
  engine: Engine,
  name: string,
  {
    tag,
    platform,
    auth,
  }: {
    /** All tags of the repository if absent. */
    readonly tag?: string | undefined;
    readonly platform?: Platform | undefined;
    readonly auth?: RegistryCredentials | undefined;
  },
): Promise<Progress> {
  const reply = await engine.request({
    method: "POST",
    path: `/images/${pathSegment(name)}/push`,
    query: { ...(tag && { tag }), ...(platform && { platform: JSON.stringify(platform) }) },
    // Engines want the header even where there is no account.
    headers: { "X-Registry-Auth": encodeAuth(auth ?? {}) },
  });
  return reply.documents<ProgressMessage>();
}

export async function saveImages(
  engine: Engine,
  names: readonly string[],
  platform?: Platform,
): Promise<AsyncIterable<Uint8Array>> {
  const query = { names, ...(platform && { platform: JSON.stringify(platform) }) };
  return (await engine.request({ method: "GET", path: "/images/get", query })).body;
}

export async function loadImages(
  engine: Engine,
  archive: AsyncIterable<Uint8Array>,
  { quiet, platform }: { readonly quiet: boolean; readonly platform?: Platform | undefined },
): Promise<Progress> {
  const reply = await engine.request({
    method: "POST",
    path: "/images/load",
    query: { quiet: quiet ? 1 : 0, ...(platform && { platform: JSON.stringify(platform) }) },
    bytes: archive,
    contentType: "application/x-tar",
  });
  return reply.documents<ProgressMessage>();
}

export interface ImportOptions {
  /** `-`: the archive that is given. */
  readonly source: string;
  readonly archive: AsyncIterable<Uint8Array> | undefined;
  readonly repository: string;
  readonly tag: string;
  readonly message: string;
  readonly changes: readonly string[];
  readonly platform: string;
}

export async function importImage(engine: Engine, options: ImportOptions): Promise<Progress> {
  const { source, archive, repository, tag, message, changes, platform } = options;
  const reply = await engine.request({
    method: "POST",
    path: "/images/create",
    query: {
      fromSrc: source,
      ...(repository && { repo: repository }),
      ...(tag && { tag }),
      ...(message && { message }),
      ...(changes.length > 0 && { changes }),
      ...(platform && { platform }),
    },
    ...(archive ? { bytes: archive, contentType: "application/x-tar" } : {}),
  });
  return reply.documents<ProgressMessage>();
}

export interface CommitOptions {
  readonly repository: string;
  readonly tag: string;
  readonly author: string;
  readonly comment: string;
  readonly changes: readonly string[];
  readonly pause: boolean;
}

/** @returns the image's id */
export async function commitContainer(
  engine: Engine,
  container: string,
  { repository, tag, author, comment, changes, pause }: CommitOptions,
): Promise<string> {
  const reply = await engine.request({
    method: "POST",
    path: "/commit",
    query: {
      container,
      ...(repository && { repo: repository }),
      ...(tag && { tag }),
      ...(author && { author }),
      ...(comment && { comment }),
      ...(changes.length > 0 && { changes }),
      ...(!pause && { pause: 0 }),
    },
    json: null,
  });
  return (await reply.json<{ Id: string }>()).Id;
}

export interface HistoryStep {
  readonly Id: string;
  /** Seconds since the epoch. */
  readonly Created: number;
  readonly CreatedBy: string;
  readonly Tags: readonly string[] | null;
  readonly Size: number;
  readonly Comment: string;
}

export async function imageHistory(
  engine: Engine,
  name: string,
  platform?: Platform,
): Promise<HistoryStep[]> {
  const path = `/images/${pathSegment(name)}/history`;
  const query = platform ? { platform: JSON.stringify(platform) } : {};
  return await (await engine.request({ method: "GET", path, query })).json();
}

export interface SearchResult {
  readonly name: string;
  readonly description: string;
  readonly star_count: number;
  readonly is_official: boolean;
  readonly is_automated?: boolean;
}

export async function searchImages(
  engine: Engine,
  term: string,
  {
    limit,
    filters,
    auth,
  }: { readonly limit: number; readonly filters: Filters; readonly auth: RegistryCredentials | undefined },
): Promise<SearchResult[]> {
  const reply = await engine.request({
    method: "GET",
    path: "/images/search",
    query: { term, ...(limit > 0 && { limit }), ...encodeFilters(filters) },
    headers: auth ? { "X-Registry-Auth": encodeAuth(auth) } : {},
  });
  return (await reply.json<SearchResult[] | null>()) ?? [];
}

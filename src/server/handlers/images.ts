/** `/images` and `/distribution`: decodes, makes one call of `engine/images`, encodes. */
import { decodeAuthHeader, registryCredentials } from "../../api/bodies/auth.ts";
import { DecodeError } from "../../api/decode.ts";
import { log } from "../../base/log.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import type { Credentials } from "../../core/registry.ts";
import { flagFilter } from "../../engine/images/filters.ts";
import { type Images, LIST_FILTERS, PRUNE_FILTERS } from "../../engine/images/index.ts";
import type { Call, Handlers, Query } from "../call.ts";
import { inspectFor, summaryFor } from "../versions/images.ts";

export function imageHandlers(images: Images): Handlers {
  return {
    ImageList: (call) => list(call, images),
    ImageCreate: (call) => create(call, images),
    ImageInspect: (call) => inspect(call, images),
    ImageHistory: (call) =>
      call.json(
        images.history(call.param("name"), call.atLeast([1, 48]) ? platformParameter(call) : undefined),
      ),
    ImageSearch: (call) => search(call, images),
    ImagePush: (call) => push(call, images),
    ImageGet: (call) => save(call, images, [call.param("name")]),
    ImageGetAll: (call) => save(call, images, call.query.all("names")),
    ImageLoad: (call) => load(call, images),
    ImageTag: (call) => tag(call, images),
    ImageDelete: async (call) =>
      call.json(
        await images.remove(notBlank(call.param("name")), {
          force: call.query.flag("force"),
          platform: call.atLeast([1, 50]) ? platformToDelete(call.query) : undefined,
        }),
      ),
    ImagePrune: async (call) => call.json(await images.prune(call.query.filters(PRUNE_FILTERS), call.signal)),
    DistributionInspect: async (call) =>
      call.json(
        await images.describeDistribution(call.param("name"), {
          credentials: credentialsOf(call),
          signal: call.signal,
        }),
      ),
  };
}

function list(call: Call, images: Images): void {
  const found = images.list({
    filters: listFilters(call),
    all: call.query.flag("all"),
    sharedSize: call.atLeast([1, 42]) && call.query.flag("shared-size"),
    manifests: call.atLeast([1, 47]) && call.query.flag("manifests"),
  });
  call.json(found.map((image) => summaryFor(call, image)));
}

/** Before 1.41 one glob of names could be given without being a filter. */
function listFilters(call: Call): ReadonlyMap<string, ReadonlySet<string>> {
  const filters = call.query.filters(LIST_FILTERS);
  const name = call.atLeast([1, 41]) ? undefined : call.query.get("filter");
  if (!name) return filters;
  return new Map(filters).set("reference", new Set([...(filters.get("reference") ?? []), name]));
}

function inspect(call: Call, images: Images): void {
  const manifests = call.atLeast([1, 48]) && call.query.flag("manifests");
  const platform = call.atLeast([1, 49]) ? platformParameter(call) : undefined;
  if (manifests && platform !== undefined) {
    throw new InvalidParameterError("conflicting options: manifests and platform options cannot both be set");
  }
  const found = images.inspect(call.param("name"), { manifests, ...(platform ? { platform } : {}) });
  call.json(inspectFor(call, found));
}

function notBlank(name: string): string {
  if (name.trim() === "") throw new InvalidParameterError("image name cannot be blank");
  return name;
}

/** Inspect takes the platform as a JSON object; pull takes it as text. */
function platformParameter(call: Call): string | undefined {
  const text = call.query.get("platform");
  return text ? decodePlatform(text) : undefined;
}

/** An image is kept for one platform only. @see moby image_delete.go, httputils.DecodePlatform */
export function platformToDelete(query: Pick<Query, "all">): string | undefined {
  const platforms = query.all("platforms").map(decodePlatform);
  if (platforms.length > 1) throw new InvalidParameterError("multiple platforms are not supported");
  return platforms[0];
}

function decodePlatform(text: string): string {
  const { os, architecture, variant } = parsePlatformJson(text);
  if (!os && !architecture && variant) {
    throw new InvalidParameterError("optional platform fields provided, but OS and Architecture are missing");
  }
  if (!os || !architecture) throw new InvalidParameterError("both OS and Architecture must be provided");
  return [os, architecture, variant].filter(Boolean).join("/");
}

function parsePlatformJson(text: string): Record<string, string | undefined> {
  try {
    return Object(JSON.parse(text));
  } catch (error) {
    throw new InvalidParameterError(`failed to parse platform: ${String(error)}`, { cause: error });
  }
}

async function create(call: Call, images: Images): Promise<void> {
  const fromImage = call.query.get("fromImage") ?? "";
  if (fromImage === "") {
    await importSource(call, images);
    return;
  }
  // `docker pull -a` of old sends a colon without a tag.
  const progress = images.pull(nameWithTag(fromImage.replace(/:$/, ""), call.query.get("tag") ?? ""), {
    platform: call.query.get("platform"),
    credentials: credentialsOf(call),
    signal: call.signal,
  });
  await sendProgress(call, progress);
}

/** What fails before there is progress is an ordinary error with its status; after that it is told in-band. */
async function sendProgress(call: Call, progress: AsyncGenerator<object, void, undefined>): Promise<void> {
  const first = await progress.next();
  const reply = call.stream({ contentType: "application/json", errors: "progress" });
  if (!first.done) {
    await reply.writeJson(first.value);
    for await (const message of progress) await reply.writeJson(message);
  }
  await reply.end();
}

async function importSource(call: Call, images: Images): Promise<void> {
  const source = call.query.get("fromSrc") ?? "";
  if (source === "") throw new InvalidParameterError("fromImage or fromSrc must be given");
  const platform = call.query.get("platform");
  const progress = images.import({
    source,
    input: call.body,
    ...(Number.isFinite(call.bodyLength) ? { length: call.bodyLength } : {}),
    repository: call.query.get("repo") ?? "",
    tag: call.query.get("tag") ?? "",
    message: call.query.get("message") ?? "",
    changes: call.query.all("changes"),
    ...(platform ? { platform } : {}),
    signal: call.signal,
  });
  await sendProgress(call, progress);
}

/** A tag in the name is none of Docker's: it belongs into the query. */
async function push(call: Call, images: Images): Promise<void> {
  const tagName = call.query.get("tag") ?? "";
  const name = call.param("name");
  const progress = images.push(tagName === "" ? name : `${name}:${tagName}`, {
    platform: call.atLeast([1, 46]) ? platformParameter(call) : undefined,
    credentials: credentialsOf(call),
    signal: call.signal,
  });
  await sendProgress(call, progress);
}

async function save(call: Call, images: Images, names: readonly string[]): Promise<void> {
  if (names.length === 0) throw new InvalidParameterError("no images to save: names is empty");
  const platform = call.atLeast([1, 48]) ? platformParameter(call) : undefined;
  const archive = images.save(names, { platform, signal: call.signal });
  const first = await archive.next();
  const reply = call.stream({ contentType: "application/x-tar", errors: "abort" });
  if (!first.done) {
    await reply.write(first.value);
    for await (const piece of archive) await reply.write(piece);
  }
  await reply.end();
}

async function load(call: Call, images: Images): Promise<void> {
  const progress = images.load(call.body, {
    platform: call.atLeast([1, 48]) ? platformParameter(call) : undefined,
    quiet: call.query.flag("quiet", true),
    signal: call.signal,
  });
  await sendProgress(call, progress);
}

/** `tag` takes the place of a tag in the name, and may be a digest; a digest in the name stands. */
function nameWithTag(name: string, tag: string): string {
  if (tag === "" || name.includes("@")) return name;
  const withoutTag = name.replace(/:[^/:]*$/, "");
  return tag.startsWith("sha256:") ? `${withoutTag}@${tag}` : `${withoutTag}:${tag}`;
}

function tag(call: Call, images: Images): void {
  const repository = call.query.get("repo") ?? "";
  if (repository === "") throw new InvalidParameterError("repository name must have at least one component");
  images.tag(call.param("name"), repository, call.query.get("tag") ?? "");
  call.empty(201);
}

/** What cannot be read is no credentials: a public image needs none. @see moby image_routes.go, postImagesCreate */
export function credentialsOf(call: Pick<Call, "header">): Credentials | undefined {
  try {
    return toCredentials(decodeAuthHeader(call.header("x-registry-auth"), registryCredentials));
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    log("debug", "credentials that cannot be read are left out", { error });
    return undefined;
  }
}

/** Undefined if there is nothing to log in with. */
export function toCredentials(config: {
  username?: string;
  password?: string;
  auth?: string;
  identitytoken?: string;
  registrytoken?: string;
}): Credentials | undefined {
  const [, user = "", password = ""] =
    /^([^:]*):(.*)$/s.exec(Buffer.from(config.auth ?? "", "base64").toString("utf8")) ?? [];
  const credentials = {
    username: config.username || user,
    password: config.password || password,
    ...(config.identitytoken ? { identityToken: config.identitytoken } : {}),
    ...(config.registrytoken ? { registryToken: config.registrytoken } : {}),
  };
  const empty = !credentials.username && !credentials.identityToken && !credentials.registryToken;
  return empty ? undefined : credentials;
}

const SEARCH_FILTERS = ["is-automated", "is-official", "stars"];

/** @see moby image_routes.go, getImagesSearch; `daemon/internal/…/search.go` for the filters */
async function search(call: Call, images: Images): Promise<void> {
  const limit = call.query.integer("limit") ?? 0;
  if (limit < 0 || limit > 100) throw new InvalidParameterError("limit must be between 1 and 100");
  const filters = call.query.filters(SEARCH_FILTERS);
  const official = flagFilter(filters, "is-official");
  const automated = flagFilter(filters, "is-automated");
  const stars = Math.max(0, ...[...(filters.get("stars") ?? [])].map(starsOf));
  const found = await images.search(call.query.get("term") ?? "", {
    limit,
    credentials: credentialsOf(call),
    signal: call.signal,
  });
  call.json(
    found
      .filter((each) => official === undefined || each.official === official)
      .filter((each) => automated === undefined || each.automated === automated)
      .filter((each) => each.stars >= stars)
      .map((each) => ({
        star_count: each.stars,
        is_official: each.official,
        name: each.name,
        is_automated: each.automated,
        description: each.description,
      })),
  );
}

function starsOf(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidParameterError(`invalid filter 'stars=[${text}]'`);
  return Number(text);
}

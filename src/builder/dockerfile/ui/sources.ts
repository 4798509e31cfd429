/** Vertices that bring something in: images, directories of the client, git repositories, files by URL. */
import type { Platform } from "../../../core/content.ts";
import type { ResolveMode } from "../../frontend.ts";
import type { SourceOp } from "../../graph/ops.ts";
import type { GitReference } from "../convert/git-reference.ts";
import { type Output, type VertexPlan, vertex } from "../convert/output.ts";
import { joinPath } from "../paths.ts";

export interface LocalOptions {
  readonly sessionId: string;
  readonly sharedKeyHint: string;
  readonly followPaths?: readonly string[];
  readonly excludePatterns?: readonly string[];
  /** Files are few and read anew each time: no comparing with what was sent before. */
  readonly always?: boolean;
  readonly name: string;
}

/** A directory of the client's. */
export function localSource(directory: string, options: LocalOptions): Output {
  const { followPaths = [], excludePatterns = [] } = options;
  return source(
    `local://${directory}`,
    {
      "local.session": options.sessionId,
      "local.sharedkeyhint": options.sharedKeyHint,
      ...(followPaths.length === 0 ? {} : { "local.followpaths": JSON.stringify(followPaths) }),
      ...(excludePatterns.length === 0 ? {} : { "local.excludepatterns": JSON.stringify(excludePatterns) }),
      ...(options.always ? { "local.differ": "none" } : {}),
    },
    { name: options.name },
  );
}

type Shown = Pick<VertexPlan, "name" | "code" | "location" | "ignoreCache">;

export function imageSource(
  reference: string,
  platform: Platform | undefined,
  mode: ResolveMode,
  shown: Shown,
): Output {
  const attrs: Record<string, string> = mode === "default" ? {} : { "image.resolvemode": mode };
  return source(`docker-image://${reference}`, attrs, { ...shown, platform });
}

export function ociLayoutSource(
  reference: string,
  store: { readonly sessionId: string; readonly storeId: string },
  platform: Platform | undefined,
  shown: Shown,
): Output {
  const attrs = { "oci.session": store.sessionId, "oci.store": store.storeId };
  return source(`oci-layout://${reference}`, attrs, { ...shown, platform });
}

export interface HttpOptions extends Shown {
  readonly filename: string;
  readonly checksum?: string;
}

export function httpSource(url: string, options: HttpOptions): Output {
  const { filename, checksum, ...shown } = options;
  return source(url, httpAttrs(filename, checksum), shown);
}

export function httpAttrs(filename: string, checksum?: string): Record<string, string> {
  return { "http.filename": filename, ...(checksum ? { "http.checksum": checksum } : {}) };
}

export interface GitOptions {
  readonly keepGitDir?: boolean;
  readonly checksum?: string;
  readonly mtime?: string;
}

export function gitSource(reference: GitReference, options: GitOptions, shown: Shown): Output {
  const { identifier, attrs } = gitSourceOp(reference, options);
  return source(identifier, attrs, shown);
}

/**
 * The identifier leaves out how the repository is reached, so that one over https and over ssh is the same source; the
 * full address is beside it.
 */
export function gitSourceOp(
  reference: GitReference,
  options: GitOptions,
): { identifier: string; attrs: Record<string, string> } {
  const { scheme, host, path, ref, subdir } = reference;
  const fragment = ref === "" && subdir === "" ? "" : `#${ref}${subdir === "" ? "" : `:${subdir}`}`;
  const remote = reference.couldBePath ? `https://${reference.remote}` : reference.remote;
  const checksum = options.checksum || reference.checksum;
  const mtime = reference.mtime || options.mtime;
  return {
    identifier: `git://${host}${joinPath("/", path)}${fragment}`,
    attrs: {
      ...(options.keepGitDir ? { "git.keepgitdir": "true" } : {}),
      "git.fullurl": remote,
      "git.authtokensecret": "GIT_AUTH_TOKEN",
      "git.authheadersecret": "GIT_AUTH_HEADER",
      ...(scheme === "ssh" ? { "git.mountsshsock": "default" } : {}),
      ...(checksum ? { "git.checksum": checksum } : {}),
      ...(reference.submodules === false ? { "git.skipsubmodules": "true" } : {}),
      ...(mtime ? { "git.mtime": mtime } : {}),
      ...(reference.fetchByCommit ? { "git.fetchbycommit": "true" } : {}),
    },
  };
}

function source(identifier: string, attrs: SourceOp["attrs"], shown: Omit<VertexPlan, "work">): Output {
  return vertex({ ...shown, work: () => ({ type: "source", identifier, attrs }) });
}

/**
 * Named contexts: what `--build-context NAME=…` puts in the place of a stage or an image.
 *
 * @see https://github.com/moby/buildkit/blob/master/frontend/dockerui/namedcontext.go
 */
import type { Platform } from "../../../core/content.ts";
import {
  canonicalString,
  familiarString,
  type Reference as ImageReference,
  parseReference,
  repositoryOf,
  withDefaultTag,
} from "../../../core/references.ts";
import type { FrontendRequest, Gateway, ResolveMode } from "../../frontend.ts";
import { formatWholePlatform, normalizePlatform } from "../../platforms.ts";
import { parseGitReference } from "../convert/git-reference.ts";
import { type ImageDocument, parseImage } from "../convert/image.ts";
import { given, late, type Output } from "../convert/output.ts";
import { DockerfileError, during } from "../source/errors.ts";
import { type BuildContexts, IGNORE_FILE } from "./context.ts";
import type { BuildOptions } from "./options.ts";
import { gitSource, httpSource, imageSource, localSource, ociLayoutSource } from "./sources.ts";

export interface NamedContextOptions {
  readonly platform: Platform;
  readonly resolveMode: ResolveMode;
  /** Paths that are needed of a directory, asked when the graph is written; undefined: all. */
  readonly neededPaths: () => readonly string[] | undefined;
}

export interface LoadedContext {
  readonly output: Output;
  /** If it is an image, or comes with a configuration. */
  readonly image?: ImageDocument;
}

export interface NamedContext {
  load(): Promise<LoadedContext>;
}

export class NamedContexts {
  readonly #gateway: Gateway;
  readonly #request: FrontendRequest;
  readonly #options: BuildOptions;
  readonly #contexts: BuildContexts;

  constructor(gateway: Gateway, request: FrontendRequest, options: BuildOptions, contexts: BuildContexts) {
    this.#gateway = gateway;
    this.#request = request;
    this.#options = options;
    this.#contexts = contexts;
  }

  /**
   * The context of that name: one for the platform goes before one for all. `scratch` and `context` cannot be replaced.
   * @throws DockerfileError if the name could be no image's
   */
  find(name: string, options: NamedContextOptions): NamedContext | undefined {
    if (name.toLowerCase() === "scratch" || name.toLowerCase() === "context") return undefined;
    const plain = during(`invalid context name ${name}`, () => familiarString(parseReference(name)));
    const short = plain.endsWith(":latest") ? plain.slice(0, -":latest".length) : plain;
    const keyed = `${short}::${formatWholePlatform(normalizePlatform(options.platform))}`;
    for (const key of [keyed, short]) {
      const address = this.#options.raw.get(`context:${key}`);
      if (address !== undefined) return { load: () => this.#load(address, short, key, options) };
    }
    return undefined;
  }

  async #load(
    address: string,
    name: string,
    key: string,
    options: NamedContextOptions,
  ): Promise<LoadedContext> {
    const at = address.indexOf(":");
    if (at < 0) throw new DockerfileError(`invalid context specifier ${address} for ${key}`);
    const scheme = address.slice(0, at);
    const rest = address.slice(at + 1);
    if (scheme.startsWith("git@") || scheme === "git" || scheme === "ssh") return this.#git(address);
    switch (scheme) {
      case "docker-image":
        return this.#image(rest.replace(/^\/\//, ""), key, options);
      case "http":
      case "https":
        return this.#url(address, key);
      case "oci-layout":
        return this.#ociLayout(rest.replace(/^\/\//, ""), name, key, options);
      case "local":
        return this.#local(rest, key, options);
      case "input":
        return this.#input(rest, key);
      default:
        throw new DockerfileError(`unsupported context source ${scheme} for ${key}`);
    }
  }

  async #image(name: string, key: string, options: NamedContextOptions): Promise<LoadedContext> {
    if (name === "scratch") return { output: undefined };
    const { platform, resolveMode } = options;
    const wanted = canonicalString(withDefaultTag(parseReference(name)));
    const { reference, config } = await this.#gateway.resolveImageConfig(wanted, {
      platform,
      resolveMode,
      logName: `[context ${key}] load metadata for ${name}`,
      signal: this.#request.signal,
    });
    const shown = { name: `[context ${key}] ${reference}` };
    return { output: imageSource(reference, platform, "default", shown), image: withoutDate(config) };
  }

  #git(address: string): LoadedContext {
    const git = parseGitReference(address);
    if (!git) throw new DockerfileError(`invalid git context ${address}`);
    return {
      output: gitSource(
        git,
        { keepGitDir: git.keepGitDir ?? false },
        { name: `[internal] load git source ${address}` },
      ),
    };
  }

  #url(address: string, key: string): LoadedContext {
    if (parseGitReference(address)) return this.#git(address);
    return { output: httpSource(address, { filename: "context", name: `[context ${key}] ${address}` }) };
  }

  async #ociLayout(
    text: string,
    name: string,
    key: string,
    options: NamedContextOptions,
  ): Promise<LoadedContext> {
    const { storeId, digest } = parseLayoutReference(text);
    // The name of an image that exists nowhere: it is what progress shows.
    const stand: ImageReference = { ...parseReference(name), digest };
    const reference = canonicalString({ domain: stand.domain, path: stand.path, digest });
    const store = { sessionId: this.#gateway.sessionId, storeId };
    const { config } = await this.#gateway.resolveImageConfig(reference, {
      platform: options.platform,
      resolveMode: options.resolveMode,
      logName: `[context ${key}] load metadata for ${reference}`,
      ociLayout: store,
      signal: this.#request.signal,
    });
    const shown = { name: `[context ${key}] OCI load from client` };
    return {
      output: ociLayoutSource(reference, store, options.platform, shown),
      image: withoutDate(config),
    };
  }

  /** A directory has an ignore file of its own; which files are needed is known when the graph is written. */
  async #local(directory: string, key: string, options: NamedContextOptions): Promise<LoadedContext> {
    const sessionId = this.#contexts.sessionOf(directory);
    const sharedKey = this.#options.raw.get(`sharedkey:localdir:${key}`) ?? "";
    const ignoreFile = localSource(directory, {
      sessionId,
      sharedKeyHint: `context:${key}-${IGNORE_FILE}`,
      followPaths: [IGNORE_FILE],
      always: true,
      name: `[context ${key}] load ${IGNORE_FILE}`,
    });
    const text = await this.#contexts.readFile(ignoreFile, IGNORE_FILE);
    const excludePatterns = text
      ? this.#contexts.parseIgnore(new TextDecoder().decode(text), IGNORE_FILE)
      : [];
    return {
      output: late(() =>
        localSource(directory, {
          sessionId,
          sharedKeyHint: `context:${key}-${sharedKey}`,
          followPaths: options.neededPaths() ?? [],
          excludePatterns,
          name: `[context ${key}] load from client`,
        }),
      ),
    };
  }

  #input(name: string, key: string): LoadedContext {
    const definition = this.#request.inputs.get(name);
    if (!definition) throw new DockerfileError(`invalid input ${name} for ${key}`);
    const output = given(definition);
    const metadata = this.#options.raw.get(`input-metadata:${name}`);
    if (metadata === undefined) return { output };
    const values = during(
      `failed to parse input metadata ${metadata}`,
      () => JSON.parse(metadata) as Record<string, string>,
    );
    const config = values["containerimage.config"];
    if (config === undefined) return { output };
    return {
      output,
      image: during(`failed to parse image config for ${key}`, () =>
        parseImage(Buffer.from(config, "base64")),
      ),
    };
  }
}

/** An image's date is not its children's. */
function withoutDate(config: Uint8Array): ImageDocument {
  const { created: _, ...image } = parseImage(config);
  return image;
}

/** `STORE@sha256:…`; a store's name is read as an image's, and is not completed. */
function parseLayoutReference(text: string): {
  storeId: string;
  digest: NonNullable<ImageReference["digest"]>;
} {
  const reference = during(`could not parse oci-layout reference ${JSON.stringify(text)}`, () =>
    parseReference(text),
  );
  if (reference.digest === undefined) {
    throw new DockerfileError(`oci-layout reference ${JSON.stringify(text)} has no digest`);
  }
  const written = text.slice(0, text.lastIndexOf("@"));
  const tag = reference.tag === undefined ? "" : `:${reference.tag}`;
  const storeId = written.endsWith(tag)
    ? written.slice(0, written.length - tag.length)
    : repositoryOf(reference);
  return { storeId, digest: reference.digest };
}

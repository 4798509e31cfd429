/**
 * Where a build's files come from: the Dockerfile, the main context, the ignore file. A context is a directory of the
 * client's, a git repository, something behind a URL, or a definition that the client handed in.
 *
 * @see https://github.com/moby/buildkit/blob/master/frontend/dockerui/context.go
 */
import { posix } from "node:path";
import type { FrontendRequest, Gateway, Reference } from "../../frontend.ts";
import type { SourceInfo } from "../../graph/definition.ts";
import { copyOf } from "../convert/file-actions.ts";
import { type GitReference, parseGitReference } from "../convert/git-reference.ts";
import { given, type Output, toDefinition } from "../convert/output.ts";
import { parseIgnoreFile } from "../ignore/ignore-file.ts";
import { parseBool } from "../instructions/values.ts";
import { DockerfileError, wrapped } from "../source/errors.ts";
import { looksLikeArchive } from "./archives.ts";
import type { BuildOptions } from "./options.ts";
import { gitSource, gitSourceOp, httpAttrs, httpSource, localSource } from "./sources.ts";

export const DEFAULT_DOCKERFILE = "Dockerfile";
export const IGNORE_FILE = ".dockerignore";

/** What the file of a build is, and where it stands. */
export interface Entrypoint {
  readonly text: string;
  readonly info: SourceInfo;
}

/** A source whose facts can be asked for: what SOURCE_DATE_EPOCH=context takes its time from. */
export interface RemoteSource {
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
  /** The file that was fetched, if it is an archive: the newest time within counts. */
  readonly archive?: { readonly reference: Reference; readonly filename: string };
}

interface MainContext {
  /** Absent: a directory of the client's. */
  readonly output?: { readonly value: Output };
  /** The Dockerfile is in there, and not in the client's `dockerfile` directory. */
  readonly dockerfile?: { readonly value: Output };
  readonly filename: string;
  readonly remote?: RemoteSource;
}

export class BuildContexts {
  readonly #gateway: Gateway;
  readonly #request: FrontendRequest;
  readonly #options: BuildOptions;
  readonly #dockerfileName: string;
  #main: Promise<MainContext> | undefined;
  #ignore: Promise<{ text: string; name: string }> | undefined;

  constructor(gateway: Gateway, request: FrontendRequest, options: BuildOptions) {
    this.#gateway = gateway;
    this.#request = request;
    this.#options = options;
    this.#dockerfileName = options.raw.get("dockerfilekey") ?? "dockerfile";
  }

  /** Reads the Dockerfile, and the ignore file that belongs to it alone. */
  async readEntrypoint(language: string): Promise<Entrypoint> {
    const { dockerfile, filename } = await this.#mainContext();
    const output = dockerfile ? dockerfile.value : this.#dockerfileSource(filename);
    const definition = toDefinition(output, undefined);
    const reference = await this.#solve(output, "failed to resolve dockerfile");
    const data = await this.#readDockerfile(reference, filename);
    const ownIgnore = `${filename}${IGNORE_FILE}`;
    const ignore = await this.#readIfThere(reference, ownIgnore);
    if (ignore !== undefined) this.#ignore = Promise.resolve({ text: decode(ignore), name: ownIgnore });
    return { text: decode(data), info: { filename, data, language, definition } };
  }

  /**
   * The main context.
   * @param paths those within it that are needed; undefined: all of it
   */
  async mainContext(paths: readonly string[] | undefined): Promise<Output> {
    const { output } = await this.#mainContext();
    if (output) return output.value;
    return localSource("context", {
      sessionId: this.sessionOf("context"),
      sharedKeyHint: "context",
      excludePatterns: await this.ignorePatterns(),
      followPaths: paths ?? [],
      name: "[internal] load build context",
    });
  }

  /** Patterns of the ignore file; only a directory of the client's has one. */
  async ignorePatterns(): Promise<readonly string[]> {
    const { output } = await this.#mainContext();
    if (output) return [];
    this.#ignore ??= this.#readIgnoreFile();
    const { text, name } = await this.#ignore;
    return this.parseIgnore(text, name);
  }

  /** @throws DockerfileError with the file's name */
  parseIgnore(text: string, name: string): string[] {
    try {
      return parseIgnoreFile(text);
    } catch (error) {
      throw wrapped(`failed parsing ${name}`, error);
    }
  }

  /** What the main context is fetched from, if it is fetched. */
  async remoteSource(): Promise<RemoteSource | undefined> {
    return (await this.#mainContext()).remote;
  }

  /** The session that a directory is in: builds of one bake file may each have their own. */
  sessionOf(directory: string): string {
    return this.#options.localSessions.get(directory) ?? this.#gateway.sessionId;
  }

  /** Solves an output and reads a file of it; undefined if there is none. */
  async readFile(output: Output, path: string): Promise<Uint8Array | undefined> {
    return this.#readIfThere(await this.#solve(output, "failed to resolve context"), path);
  }

  async #solve(output: Output, doing: string): Promise<Reference | undefined> {
    const { signal } = this.#request;
    try {
      return await this.#gateway.solve({ definition: toDefinition(output, undefined), signal });
    } catch (error) {
      throw wrapped(doing, error);
    }
  }

  async #readIfThere(reference: Reference | undefined, path: string): Promise<Uint8Array | undefined> {
    try {
      return await reference?.readFile(path, { signal: this.#request.signal });
    } catch {
      this.#request.signal.throwIfAborted();
      return undefined; // Not there, or no file: then the build goes without it.
    }
  }

  async #readDockerfile(reference: Reference | undefined, filename: string): Promise<Uint8Array> {
    const read = (path: string) => {
      if (!reference) throw new DockerfileError(`open ${path}: no such file or directory`);
      return reference.readFile(path, { signal: this.#request.signal });
    };
    try {
      return await read(filename);
    } catch (error) {
      if (posix.basename(filename) === DEFAULT_DOCKERFILE) {
        const lower = posix.join(posix.dirname(filename), DEFAULT_DOCKERFILE.toLowerCase());
        const found = await this.#readIfThere(reference, lower);
        if (found) return found;
      }
      throw wrapped("failed to read dockerfile", error);
    }
  }

  #dockerfileSource(filename: string): Output {
    const paths = [filename, `${filename}${IGNORE_FILE}`];
    if (posix.basename(filename) === DEFAULT_DOCKERFILE) {
      paths.push(posix.join(posix.dirname(filename), DEFAULT_DOCKERFILE.toLowerCase()));
    }
    return localSource(this.#dockerfileName, {
      sessionId: this.sessionOf(this.#dockerfileName),
      sharedKeyHint: this.#dockerfileName,
      followPaths: paths,
      always: true,
      name: `[internal] load build definition from ${filename}`,
    });
  }

  async #readIgnoreFile(): Promise<{ text: string; name: string }> {
    const output = localSource("context", {
      sessionId: this.sessionOf("context"),
      sharedKeyHint: `context-${IGNORE_FILE}`,
      followPaths: [IGNORE_FILE],
      always: true,
      name: `[internal] load ${IGNORE_FILE}`,
    });
    const reference = await this.#gateway.solve({
      definition: toDefinition(output, undefined),
      signal: this.#request.signal,
    });
    const data = await this.#readIfThere(reference, IGNORE_FILE);
    return { text: data ? decode(data) : "", name: IGNORE_FILE };
  }

  #mainContext(): Promise<MainContext> {
    this.#main ??= this.#findMainContext();
    return this.#main;
  }

  async #findMainContext(): Promise<MainContext> {
    const { raw } = this.#options;
    const found = await this.#locate(
      raw.get(raw.get("contextkey") ?? "context") ?? "",
      raw.get("filename") ?? DEFAULT_DOCKERFILE,
    );
    const { dockerfile: _, ...withoutDockerfile } = found;
    const main = raw.has("dockerfilekey") ? withoutDockerfile : found;
    const subdir = raw.get("contextsubdir");
    if (subdir === undefined || !main.output) return main;
    return { ...main, output: { value: copyOf(main.output.value, subdir, { dirCopyContents: true }) } };
  }

  async #locate(address: string, filename: string): Promise<MainContext> {
    const git = parseGitReference(address);
    if (git) return this.#gitContext(git, address, filename);
    if (/^https?:\/\//.test(address)) return this.#httpContext(address, filename);
    const { inputs } = this.#request;
    const context = inputs.get("context");
    const dockerfile = inputs.get(this.#dockerfileName);
    return {
      filename,
      ...(context ? { output: { value: given(context) } } : {}),
      ...(dockerfile ? { dockerfile: { value: given(dockerfile) } } : {}),
    };
  }

  #gitContext(git: GitReference, address: string, filename: string): MainContext {
    const { raw } = this.#options;
    const keep = git.keepGitDir ?? false;
    const options = {
      keepGitDir: keep || (parseBool(raw.get("build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR") ?? "") ?? false),
      ...(raw.get("build-arg:SOURCE_DATE_EPOCH") ? { mtime: "commit" } : {}),
    };
    const value = gitSource(git, options, { name: `[internal] load git source ${address}` });
    return { output: { value }, dockerfile: { value }, filename, remote: gitSourceOp(git, options) };
  }

  /** An archive is unpacked; anything else is the Dockerfile itself. */
  async #httpContext(address: string, filename: string): Promise<MainContext> {
    const fetched = "context";
    const value = httpSource(address, { filename: fetched, name: "[internal] load remote build context" });
    const reference = await this.#solve(value, "failed to resolve httpcontext");
    if (!reference) throw new DockerfileError("failed to read downloaded context: nothing was downloaded");
    let head: Uint8Array;
    try {
      const range = { offset: 0, length: 1024 };
      head = await reference.readFile(fetched, { range, signal: this.#request.signal });
    } catch (error) {
      throw wrapped("failed to read downloaded context", error);
    }
    const source = { identifier: address, attrs: httpAttrs(fetched) };
    if (!looksLikeArchive(head)) {
      return { output: { value }, dockerfile: { value }, filename: fetched, remote: source };
    }
    const unpacked = copyOf(value, `/${fetched}`, { attemptUnpackDockerCompatibility: true });
    return {
      output: { value: unpacked },
      dockerfile: { value: unpacked },
      filename,
      remote: { ...source, archive: { reference, filename: fetched } },
    };
  }
}

function decode(data: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(data);
}

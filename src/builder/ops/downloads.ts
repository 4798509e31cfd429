/**
 * Files from addresses: `http(s)://` ones, and what clients send up for a build. Each is fetched once in a build, and lies in a
 * directory of its own until the build is over.
 */
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, chownSync, mkdirSync, utimesSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { InvalidParameterError, messageOf, NotFoundError, UnavailableError } from "../../core/errors.ts";
import type { Sessions } from "../session.ts";

export interface DownloadRequest {
  readonly url: string;
  /** Empty: the last part of the address. */
  readonly filename: string;
  /** `sha256:…`; empty: any content. */
  readonly checksum: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface Downloaded {
  /** A directory with the file in it. */
  readonly root: string;
  readonly filename: string;
  /** sha256, hex. */
  readonly digest: string;
  /** Last-Modified, seconds since the epoch; 0 if it was not said. */
  readonly mtime: number;
}

interface DownloadsParts {
  readonly sessions: Sessions;
  readonly workDirectory: string;
  readonly cleanup: AsyncDisposableStack;
}

/** The address of what a client sends up: no host. */
const UPLOAD = /^http:\/\/buildkit-session\//;

export class Downloads {
  readonly #parts: DownloadsParts;
  readonly #fetched = new Map<string, Promise<Downloaded>>();

  constructor(parts: DownloadsParts) {
    this.#parts = parts;
  }

  /** @throws NotFoundError, UnavailableError; InvalidParameterError if the checksum differs */
  fetch(
    request: DownloadRequest,
    { sessionId, signal }: { sessionId: string; signal: AbortSignal },
  ): Promise<Downloaded> {
    const key = JSON.stringify(request);
    const fetched = this.#fetched.get(key) ?? this.#fetch(request, { sessionId, signal });
    this.#fetched.set(key, fetched);
    return fetched;
  }

  async #fetch(
    request: DownloadRequest,
    { sessionId, signal }: { sessionId: string; signal: AbortSignal },
  ): Promise<Downloaded> {
    const { body, mtime, suggested } = UPLOAD.test(request.url)
      ? {
          body: await this.#parts.sessions.upload(request.url, { sessionId, signal }),
          mtime: 0,
          suggested: "",
        }
      : await openAddress(request.url, signal);
    const filename = safeName(request.filename || suggested || lastPart(request.url));
    const root = join(this.#parts.workDirectory, `download-${randomBytes(8).toString("hex")}`);
    this.#parts.cleanup.defer(() => rm(root, { recursive: true, force: true }));
    mkdirSync(root, { recursive: true, mode: 0o755 });
    const path = join(root, filename);
    const digest = await write(path, body, signal);
    const expected = request.checksum;
    if (expected !== "" && expected !== `sha256:${digest}`) {
      throw new InvalidParameterError(`digest mismatch sha256:${digest}: ${expected}`, {
        subject: request.url,
      });
    }
    chownSync(path, request.uid, request.gid);
    chmodSync(path, request.mode & 0o7777);
    utimesSync(path, mtime, mtime);
    return { root, filename, digest, mtime };
  }
}

async function openAddress(
  url: string,
  signal: AbortSignal,
): Promise<{ body: AsyncIterable<Uint8Array>; mtime: number; suggested: string }> {
  let response: Response;
  try {
    response = await fetch(url, { signal, headers: { "accept-encoding": "identity" } });
  } catch (error) {
    signal.throwIfAborted();
    throw new UnavailableError(`failed to load ${url}: ${messageOf(error)}`, { cause: error });
  }
  if (!response.ok || !response.body) {
    await response.body?.cancel();
    const message = `invalid response status ${response.status}`;
    throw response.status === 404
      ? new NotFoundError(message, { subject: url })
      : new UnavailableError(message, { subject: url });
  }
  const disposition = response.headers.get("content-disposition") ?? "";
  const [, suggested = ""] = /filename="?([^";]+)"?/.exec(disposition) ?? [];
  const modified = Date.parse(response.headers.get("last-modified") ?? "");
  return { body: response.body, mtime: Number.isNaN(modified) ? 0 : modified / 1000, suggested };
}

/** A name in one directory, whatever the address says (S08). */
function safeName(name: string): string {
  const base = name.split("/").at(-1) ?? "";
  return base === "" || base === "." || base === ".." || base.includes("\0") ? "download" : base;
}

function lastPart(url: string): string {
  try {
    return decodeURIComponent(new URL(url).pathname.split("/").at(-1) ?? "");
  } catch {
    return "";
  }
}

async function write(path: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  await using file = await open(path, "wx", 0o600);
  for await (const bytes of body) {
    signal.throwIfAborted();
    hash.update(bytes);
    await file.writeFile(bytes);
  }
  return hash.digest("hex");
}

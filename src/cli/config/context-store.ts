/**
 * Docker's contexts as files, read and written: `contexts/meta/<id>/meta.json` and `contexts/tls/<id>/docker/*.pem` below the
 * configuration directory, where `<id>` is the SHA-256 of the name (docker/cli, cli/context/store).
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hasCode } from "../../base/error-codes.ts";
import { goQuote } from "../values/go-text.ts";

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$/;
const TLS_FILES = ["ca.pem", "cert.pem", "key.pem"] as const;
export type TlsFile = (typeof TLS_FILES)[number];

export interface ContextMetadata {
  readonly Name: string;
  readonly Metadata: { readonly Description?: string; readonly [key: string]: unknown };
  readonly Endpoints: {
    readonly docker?: { readonly Host?: string; readonly SkipTLSVerify?: boolean };
    readonly [name: string]: unknown;
  };
}

/** PEM texts by the names of their files. */
export type ContextTls = Readonly<Partial<Record<TlsFile, string>>>;

/** @throws Error in Docker's words */
export function validateContextName(name: string): void {
  if (name === "") throw new Error("context name cannot be empty");
  if (name === "default") throw new Error('"default" is a reserved context name');
  if (!NAME.test(name)) {
    throw new Error(
      `context name ${goQuote(name)} is invalid, names are validated against regexp "${NAME.source}"`,
    );
  }
}

export class ContextStore {
  readonly #meta: string;
  readonly #tls: string;

  /** @param directory Docker's configuration directory */
  constructor(directory: string) {
    this.#meta = join(directory, "contexts", "meta");
    this.#tls = join(directory, "contexts", "tls");
  }

  list(): ContextMetadata[] {
    const ids = ifThere(() => readdirSync(this.#meta)) ?? [];
    return ids.flatMap((id) => {
      const text = ifThere(() => readFileSync(join(this.#meta, id, "meta.json"), "utf8"));
      return text === undefined ? [] : [toMetadata(text, join(this.#meta, id, "meta.json"))];
    });
  }

  has(name: string): boolean {
    return this.find(name) !== undefined;
  }

  find(name: string): ContextMetadata | undefined {
    const path = join(this.paths(name).metadata, "meta.json");
    const text = ifThere(() => readFileSync(path, "utf8"));
    return text === undefined ? undefined : toMetadata(text, path);
  }

  /** @throws Error in Docker's words */
  get(name: string): ContextMetadata {
    const found = this.find(name);
    if (found) return found;
    const path = join(this.paths(name).metadata, "meta.json");
    throw new Error(`context ${goQuote(name)}: context not found: open ${path}: no such file or directory`);
  }

  /** Where a context's files are. */
  paths(name: string): { readonly metadata: string; readonly tls: string } {
    const id = new Bun.CryptoHasher("sha256").update(name).digest("hex");
    return { metadata: join(this.#meta, id), tls: join(this.#tls, id) };
  }

  tls(name: string): ContextTls {
    const files = TLS_FILES.flatMap((file) => {
      const text = ifThere(() => readFileSync(join(this.paths(name).tls, "docker", file), "utf8"));
      return text === undefined ? [] : [[file, text] as const];
    });
    return Object.fromEntries(files);
  }

  /** @param tls undefined leaves the certificates as they are */
  put(context: ContextMetadata, tls: ContextTls | undefined): void {
    const { metadata, tls: tlsDirectory } = this.paths(context.Name);
    if (tls !== undefined) {
      rmSync(tlsDirectory, { recursive: true, force: true });
      for (const [file, text] of Object.entries(tls))
        replaceFile(join(tlsDirectory, "docker"), file, text, 0o600);
    }
    replaceFile(metadata, "meta.json", JSON.stringify(context), 0o644);
  }

  remove(name: string): void {
    const { metadata, tls } = this.paths(name);
    rmSync(metadata, { recursive: true, force: true });
    rmSync(tls, { recursive: true, force: true });
  }
}

function replaceFile(directory: string, file: string, text: string, mode: number): void {
  mkdirSync(directory, { recursive: true, mode: mode === 0o600 ? 0o700 : 0o755 });
  const temporary = join(directory, `.${file}.${process.pid}`);
  writeFileSync(temporary, text, { mode });
  renameSync(temporary, join(directory, file));
}

function toMetadata(text: string, path: string): ContextMetadata {
  try {
    const { Name = "", Metadata = {}, Endpoints = {} } = JSON.parse(text) as Partial<ContextMetadata>;
    return { Name, Metadata, Endpoints };
  } catch (cause) {
    throw new Error(`parsing ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

function ifThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

/** Image references as people write them (distribution/reference): `busybox`, `host:5000/team/app:1@sha256:…`. Pure. */

export interface ImageReference {
  /** `docker.io`, `localhost:5000`. */
  readonly domain: string;
  /** Without the domain: `library/busybox`. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: string;
}

const DEFAULT_DOMAIN = "docker.io";
const DEFAULT_TAG = "latest";
const pattern =
  /^([a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)(?::([\w][\w.-]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$/;
const domainPattern =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$/;

/** @throws Error with Docker's wording */
export function parseReference(text: string): ImageReference {
  if (/^[a-f0-9]{64}$/.test(text)) {
    throw new Error(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  const slash = text.indexOf("/");
  const first = slash < 0 ? "" : text.slice(0, slash);
  const named =
    first !== "" && (/[.:]/.test(first) || first === "localhost" || first.toLowerCase() !== first);
  const domain = named ? (first === "index.docker.io" ? DEFAULT_DOMAIN : first) : DEFAULT_DOMAIN;
  const remainder = named ? text.slice(slash + 1) : text;
  if (named && !domainPattern.test(first)) throw new Error("invalid reference format");
  const repository = remainder.split("@")[0]?.split(":")[0] ?? "";
  if (repository.toLowerCase() !== repository) {
    const full =
      domain === DEFAULT_DOMAIN && !repository.includes("/") ? `library/${repository}` : repository;
    throw new Error(`invalid reference format: repository name (${full}) must be lowercase`);
  }
  const match = pattern.exec(remainder);
  if (!match) throw new Error("invalid reference format");
  const [, name = "", tag, digest] = match;
  const path = domain === DEFAULT_DOMAIN && !name.includes("/") ? `library/${name}` : name;
  if (`${domain}/${path}`.length > 255) {
    throw new Error("repository name must not be more than 255 characters");
  }
  return { domain, path, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}

/** True for what names an image by its id: a digest, or its 64 digits alone. Never looked for in a registry. */
export function isImageId(text: string): boolean {
  return /^(?:[a-f0-9]{64}|sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$/.test(text);
}

/** Undefined for what is not a reference. */
export function findReference(text: string): ImageReference | undefined {
  try {
    return parseReference(text);
  } catch {
    return undefined;
  }
}

/** Adds `latest` where neither tag nor digest is given. */
export function withDefaultTag(reference: ImageReference): ImageReference {
  const named = reference.tag !== undefined || reference.digest !== undefined;
  return named ? reference : { ...reference, tag: DEFAULT_TAG };
}

/** The shortest name that means the same repository: `busybox`. */
export function familiarName({ domain, path }: ImageReference): string {
  if (domain !== DEFAULT_DOMAIN) return `${domain}/${path}`;
  return path.startsWith("library/") ? path.slice("library/".length) : path;
}

export function familiarString(reference: ImageReference): string {
  return familiarName(reference) + suffix(reference);
}

/** With its domain: `docker.io/library/busybox:latest`. */
export function fullString(reference: ImageReference): string {
  return `${reference.domain}/${reference.path}${suffix(reference)}`;
}

function suffix({ tag, digest }: ImageReference): string {
  return `${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

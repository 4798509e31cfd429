/**
 * Image references: the grammar of the distribution project, and Docker's short forms of it.
 *
 * A *canonical* reference has its domain (`docker.io/library/busybox:1.36`): what is stored and sent to registries.
 * A *familiar* one leaves out what Docker assumes (`busybox:1.36`): what people see.
 *
 * @see https://github.com/distribution/reference/blob/main/reference.go
 */
import { compileTranslated, type GoRegExp } from "../base/go-regexp.ts";
import { parseDigest } from "./digests.ts";
import { InvalidParameterError } from "./errors.ts";
import type { Digest } from "./ids.ts";

/** A repository, and what in it is meant. Neither tag nor digest: the repository itself. */
export interface Reference {
  /** `docker.io`, `localhost:5000`, `[::1]:5000`. */
  readonly domain: string;
  /** `library/busybox`. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

export const DEFAULT_DOMAIN = "docker.io";
const LEGACY_DOMAIN = "index.docker.io";
const OFFICIAL_PREFIX = "library/";
const DEFAULT_TAG = "latest";
const LONGEST_PATH = 255;
/** Domain, path, tag and digest together: the expressions below try more the longer the text is. */
const LONGEST_REFERENCE = 2048;

const domainComponent = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const domain = `(?:${domainComponent}(?:\\.${domainComponent})*|\\[(?:[a-fA-F0-9:]+)\\])(?::[0-9]+)?`;
const pathComponent = "[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*";
const path = `${pathComponent}(?:/${pathComponent})*`;
const tag = "[\\w][\\w.-]{0,127}";
const digest = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}";

const TAG = new RegExp(`^${tag}$`);
const REFERENCE = new RegExp(`^((?:${domain}/)?${path})(?::(${tag}))?(?:@(${digest}))?$`);
const DOMAIN_AND_PATH = new RegExp(`^(?:(${domain})/)?(${path})$`);
const IDENTIFIER = /^[a-f0-9]{64}$/;

/**
 * Reads what a person wrote: `busybox`, `localhost:5000/app:1.2`, `quay.io/a/b@sha256:…`.
 * Tag and digest stay absent where they were not given.
 * @throws InvalidParameterError in the words of the distribution library
 */
export function parseReference(text: string): Reference {
  if (IDENTIFIER.test(text)) {
    throw invalid(text, `invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  const [domainName, remainder] = splitDomain(text);
  const remoteName = remainder.split(":", 1)[0] ?? "";
  if (remoteName.toLowerCase() !== remoteName) {
    throw invalid(text, `invalid reference format: repository name (${remoteName}) must be lowercase`);
  }
  return parseCanonicalReference(`${domainName}/${remainder}`);
}

/** Reads a reference that has its domain, as it is stored. @throws InvalidParameterError */
export function parseCanonicalReference(text: string): Reference {
  if (text.length > LONGEST_REFERENCE) throw tooLong(text);
  const [, name, tagName, digestText] = REFERENCE.exec(text) ?? [];
  if (name === undefined) {
    const uppercase = REFERENCE.test(text.toLowerCase());
    throw invalid(text, uppercase ? "repository name must be lowercase" : "invalid reference format");
  }
  const [, domainName, repository] = DOMAIN_AND_PATH.exec(name) ?? [];
  if (domainName === undefined || repository === undefined) throw invalid(text, "invalid reference format");
  if (repository.length > LONGEST_PATH) throw tooLong(text);
  return {
    domain: domainName,
    path: repository,
    ...(tagName === undefined ? {} : { tag: tagName }),
    ...(digestText === undefined ? {} : { digest: parseDigest(digestText) }),
  };
}

/** The first part is a domain only if it could not be a path: it has a dot or a port, is `localhost`, or has capitals. */
function splitDomain(text: string): [domain: string, remainder: string] {
  const slash = text.indexOf("/");
  const first = slash < 0 ? "" : text.slice(0, slash);
  const isDomain =
    slash >= 0 && (/[.:]/.test(first) || first === "localhost" || first.toLowerCase() !== first);
  const domainName = !isDomain || first === LEGACY_DOMAIN ? DEFAULT_DOMAIN : first;
  const remainder = isDomain ? text.slice(slash + 1) : text;
  const official = domainName === DEFAULT_DOMAIN && !remainder.includes("/");
  return [domainName, official ? OFFICIAL_PREFIX + remainder : remainder];
}

/** @throws InvalidParameterError */
export function withTag(reference: Reference, tagName: string): Reference {
  if (!TAG.test(tagName)) throw invalid(tagName, "invalid tag format");
  return { domain: reference.domain, path: reference.path, tag: tagName };
}

/** The same repository, named by digest alone. */
export function withDigest(reference: Reference, of: Digest): Reference {
  return { domain: reference.domain, path: reference.path, digest: of };
}

/** `latest` where neither tag nor digest was given. */
export function withDefaultTag(reference: Reference): Reference {
  return reference.tag === undefined && reference.digest === undefined
    ? { ...reference, tag: DEFAULT_TAG }
    : reference;
}

/** `docker.io/library/busybox`. */
export function repositoryOf(reference: Reference): string {
  return `${reference.domain}/${reference.path}`;
}

/** `busybox`, `user/app`, `localhost:5000/app`. */
export function familiarName(reference: Reference): string {
  if (reference.domain !== DEFAULT_DOMAIN) return repositoryOf(reference);
  const rest = reference.path.startsWith(OFFICIAL_PREFIX)
    ? reference.path.slice(OFFICIAL_PREFIX.length)
    : reference.path;
  return rest.includes("/") ? reference.path : rest;
}

/** `docker.io/library/busybox:1.36@sha256:…`. */
export function canonicalString(reference: Reference): string {
  return repositoryOf(reference) + suffix(reference);
}

/** `busybox:1.36@sha256:…`. */
export function familiarString(reference: Reference): string {
  return familiarName(reference) + suffix(reference);
}

function suffix(reference: Reference): string {
  const tagPart = reference.tag === undefined ? "" : `:${reference.tag}`;
  return reference.digest === undefined ? tagPart : `${tagPart}@${reference.digest}`;
}

/**
 * Docker's `path.Match` of the `reference` filter: against the familiar string, the familiar name, and both
 * without the leading path.
 * @throws InvalidParameterError if the pattern is malformed
 */
export function matchesFamiliar(pattern: string, reference: Reference): boolean {
  const expression = globExpression(pattern);
  return expression.test(familiarString(reference)) || expression.test(familiarName(reference));
}

/** Go's path.Match: `*` and `?` stop at a slash, `[a-z]` and `[^a-z]` are classes, a backslash quotes. */
function globExpression(pattern: string): GoRegExp {
  const source = pattern.replace(
    /\\(.)|\[(\^?)((?:\\.|[^\]\\])+)\]|([\s\S])/g,
    (_, quoted?: string, not?: string, set?: string, single?: string) => {
      if (quoted !== undefined) return literal(quoted);
      if (set !== undefined) return `[${not ?? ""}${set.replace(/[[^]/g, "\\$&")}]`;
      if (single === "*") return "[^/]*";
      if (single === "?") return "[^/]";
      if (single === "[" || single === "\\") throw invalid(pattern, "syntax error in pattern");
      return literal(single ?? "");
    },
  );
  try {
    return compileTranslated(`^${source}$`);
  } catch {
    throw invalid(pattern, "syntax error in pattern");
  }
}

function literal(character: string): string {
  return character.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}

function tooLong(text: string): InvalidParameterError {
  return invalid(
    text.slice(0, LONGEST_PATH),
    `repository name must not be more than ${LONGEST_PATH} characters`,
  );
}

function invalid(subject: string, message: string): InvalidParameterError {
  return new InvalidParameterError(message, { subject });
}

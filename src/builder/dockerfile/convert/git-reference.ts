/**
 * Git repositories as contexts and as sources of ADD: `https://host/repo.git#branch:dir`, `git@host:repo`, and the query
 * form `?ref=…&subdir=…`.
 *
 * @see https://docs.docker.com/build/concepts/context/#git-repositories
 */
import { InvalidParameterError } from "../../../core/errors.ts";
import { parseBool } from "../instructions/values.ts";
import { joinPath } from "../paths.ts";

export interface GitReference {
  /** The repository, without query and fragment: what git is told. */
  readonly remote: string;
  readonly scheme: "http" | "https" | "ssh" | "git";
  readonly host: string;
  readonly path: string;
  /** A branch, a tag, a commit; empty: the default branch. */
  readonly ref: string;
  /** The commit that it must be. */
  readonly checksum: string;
  readonly subdir: string;
  /** `github.com/foo/bar`, which could be a path as well: a context's short form, and not taken elsewhere. */
  readonly couldBePath: boolean;
  readonly keepGitDir?: boolean;
  readonly submodules?: boolean;
  /** `checkout` or `commit`; empty: not given. */
  readonly mtime: string;
  readonly fetchByCommit: boolean;
}

const SCHEME = /^([a-zA-Z0-9]+):\/\//;
const URL_FORM = /^([a-zA-Z0-9]+):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#([\s\S]*))?$/;
const SCP_FORM = /^([a-zA-Z0-9-_]+)@([a-zA-Z0-9-.]+):(.*?)(?:\?(.*?))?(?:#(.*))?$/;

/**
 * The repository that a text names, or undefined if it names none.
 * @throws InvalidParameterError if it is one with a query that makes no sense
 */
export function parseGitReference(text: string): GitReference | undefined {
  if (text.startsWith("./") || text.startsWith("../")) return undefined;
  const couldBePath = text.startsWith("github.com/");
  const parts = couldBePath
    ? splitUrl(`https://${text}`)
    : SCHEME.test(text)
      ? splitUrl(text)
      : splitScp(text);
  if (!parts) return undefined;
  const isHttp = parts.scheme === "http" || parts.scheme === "https";
  if (isHttp && !couldBePath && !parts.path.endsWith(".git")) return undefined;
  const [ref = "", ...rest] = parts.fragment.split(":");
  return withQuery(
    {
      remote: couldBePath ? parts.remote.slice("https://".length) : parts.remote,
      scheme: parts.scheme,
      host: parts.host,
      path: parts.path,
      ref,
      checksum: "",
      subdir: cleanSubdir(rest.join(":")),
      couldBePath,
      mtime: "",
      fetchByCommit: false,
    },
    parts.query,
  );
}

interface Parts {
  readonly scheme: GitReference["scheme"];
  readonly remote: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;
  readonly fragment: string;
}

function splitUrl(text: string): Parts | undefined {
  const [, scheme = "", authority = "", path = "", query = "", fragment = ""] = URL_FORM.exec(text) ?? [];
  const lower = scheme.toLowerCase();
  if (lower !== "http" && lower !== "https" && lower !== "ssh" && lower !== "git") return undefined;
  // Control characters and spaces are in no URL; what git would make of them is not left to chance.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  if (/[\u0000-\u0020\u007f]/.test(authority + path)) return undefined;
  return {
    scheme: lower,
    remote: `${lower}://${authority}${path}`,
    host: authority.slice(authority.lastIndexOf("@") + 1),
    path: decoded(path),
    query,
    fragment: decoded(fragment),
  };
}

function splitScp(text: string): Parts | undefined {
  const [, user, host = "", path = "", query = "", fragment = ""] = SCP_FORM.exec(text) ?? [];
  if (user === undefined) return undefined;
  return { scheme: "ssh", remote: `${user}@${host}:${path}`, host, path, query, fragment };
}

function withQuery(base: GitReference, query: string): GitReference {
  let reference = base;
  let tag = "";
  let branch = "";
  for (const [name, value] of queryOf(query)) {
    switch (name) {
      case "ref":
        reference = { ...reference, ref: agreed("ref", reference.ref, value) };
        break;
      case "tag":
        tag = value;
        break;
      case "branch":
        branch = value;
        break;
      case "subdir":
        reference = { ...reference, subdir: agreed("subdir", reference.subdir, value) };
        break;
      case "checksum":
      case "commit":
        reference = { ...reference, checksum: value };
        break;
      case "keep-git-dir":
        reference = { ...reference, keepGitDir: switchOf(name, value) };
        break;
      case "submodules":
        reference = { ...reference, submodules: switchOf(name, value) };
        break;
      case "mtime":
        reference = { ...reference, mtime: mtimeOf(value) };
        break;
      case "fetch-by-commit":
        reference = { ...reference, fetchByCommit: switchOf(name, value) };
        break;
      default:
        throw new InvalidParameterError(`unexpected query ${JSON.stringify(name)}`);
    }
  }
  if (tag !== "") reference = withRef(reference, "refs/tags/", tag);
  if (branch === "") return reference;
  if (tag !== "") throw new InvalidParameterError("branch conflicts with tag");
  return withRef(reference, "refs/heads/", branch);
}

const SWITCHES = new Set(["submodules", "keep-git-dir", "fetch-by-commit"]);

/** Each name once. @throws InvalidParameterError */
function queryOf(query: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (values.has(name))
      throw new InvalidParameterError(`query ${JSON.stringify(name)} has multiple values`);
    if (value === "" && !SWITCHES.has(name)) {
      throw new InvalidParameterError(`query ${JSON.stringify(name)} has no value`);
    }
    values.set(name, value);
  }
  return values;
}

function withRef(reference: GitReference, prefix: string, name: string): GitReference {
  const ref = name.startsWith(prefix) ? name : prefix + name;
  return { ...reference, ref: agreed("ref", reference.ref, ref) };
}

function agreed(what: string, before: string, value: string): string {
  if (before === "" || before === value) return value;
  throw new InvalidParameterError(`${what} conflicts: ${JSON.stringify(before)} vs ${JSON.stringify(value)}`);
}

function switchOf(name: string, value: string): boolean {
  const parsed = value === "" ? true : parseBool(value);
  if (parsed === undefined)
    throw new InvalidParameterError(`invalid ${name} value: ${JSON.stringify(value)}`);
  return parsed;
}

function mtimeOf(value: string): string {
  if (value === "checkout" || value === "commit") return value;
  throw new InvalidParameterError(
    `invalid mtime value: ${JSON.stringify(value)} (must be "checkout" or "commit")`,
  );
}

/** Within the repository, whatever dots it holds. */
function cleanSubdir(subdir: string): string {
  return subdir === "" ? "" : joinPath("/", subdir).slice(1);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

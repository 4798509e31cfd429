/** The names of networks: which are allowed, which are taken, and what a reference means. */
import { ConflictError, ForbiddenError, InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import type { NetworkRecord } from "../../core/network-driver.ts";

/** Networks that are always there; `default` is what clients call the engine's choice of them. */
const PREDEFINED = new Set(["bridge", "host", "none", "default"]);

/** `bridge`, `host` and `none` are there from the beginning and stay. */
export function isPredefined(name: string): boolean {
  return PREDEFINED.has(name);
}

/**
 * Any text is a name, as in Docker: names are data, nothing in the kernel is called by them.
 * @throws InvalidParameterError, ForbiddenError with Docker's wording
 */
export function checkNewName(name: string): void {
  if (name.trim() === "") throw new InvalidParameterError("invalid name: name is empty");
  if (isPredefined(name))
    throw new ForbiddenError(`operation is not permitted on predefined ${name} network `, { subject: name });
}

/**
 * What people mean: the full id, else the name, else a unique prefix of the id.
 * @throws NotFoundError "network … not found"; InvalidParameterError when it is ambiguous
 */
export function resolveNetwork(networks: Iterable<NetworkRecord>, reference: string): NetworkRecord {
  const all = [...networks];
  const exact = all.find(({ id }) => id === reference) ?? all.find(({ name }) => name === reference);
  if (exact) return exact;
  const byPrefix = reference === "" ? [] : all.filter(({ id }) => id.startsWith(reference));
  const [only, ...more] = byPrefix;
  if (more.length > 0)
    throw new InvalidParameterError(
      `network ${reference} is ambiguous (${byPrefix.length} matches found based on ID prefix)`,
      { subject: reference },
    );
  if (!only) throw new NotFoundError(`network ${reference} not found`, { subject: reference });
  return only;
}

/** @throws ConflictError in dockerd's words */
export function checkNameFree(networks: Iterable<NetworkRecord>, name: string): void {
  for (const network of networks) {
    if (network.name === name)
      throw new ConflictError(`network with name ${name} already exists`, { subject: name });
  }
}

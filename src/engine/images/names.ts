/** Names that people give to images. */
import { InvalidParameterError } from "../../core/errors.ts";
import {
  DEFAULT_DOMAIN,
  parseReference,
  type Reference,
  withDefaultTag,
  withTag,
} from "../../core/references.ts";

/**
 * The name that an image is to get; undefined if none is given.
 * @param tag takes the place of what the name says, if it is not empty
 * @param exists throws if what is to be named is not there: that is told before the name's own faults
 * @throws InvalidParameterError for what is no name, or one that would not be unique
 */
export function parseNewName(repository: string, tag: string, exists?: () => unknown): Reference | undefined {
  if (repository === "") {
    if (tag !== "") throw new InvalidParameterError("invalid reference format");
    return undefined;
  }
  const parsed = parseReference(repository);
  if (parsed.domain === DEFAULT_DOMAIN && parsed.path === "library/sha256") {
    throw new InvalidParameterError("refusing to create an ambiguous tag using digest algorithm as name");
  }
  exists?.();
  if (parsed.digest !== undefined) {
    throw new InvalidParameterError("refusing to create a tag with a digest reference", {
      subject: repository,
    });
  }
  return withDefaultTag(tag === "" ? parsed : withTag(parsed, tag));
}

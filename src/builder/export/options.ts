/**
 * Options of exporters: each is done, or changes nothing here, or is refused by name before anything runs. None is passed over.
 * @see BuildKit exporter/containerimage/exptypes/keys.go, exporter/local/fs.go
 */
import { InvalidParameterError, NotImplementedError } from "../../core/errors.ts";
import type { ExportRequest } from "../build.ts";

/** What of an option can be had: any value, or those that say what is done anyway. */
interface Rule {
  readonly allowed: "any" | readonly string[];
  /** The way out for the rest. */
  readonly instead: string;
}

const YES = ["1", "t", "T", "true", "TRUE", "True"];
const NO = ["0", "f", "F", "false", "FALSE", "False"];

const ANY: Rule = { allowed: "any", instead: "" };
const rule = (allowed: readonly string[], instead: string): Rule => ({ allowed, instead });

const EPOCH = "set it with --build-arg SOURCE_DATE_EPOCH=SECONDS";
const PUSH = "push the image after the build";

const IMAGE: Readonly<Record<string, Rule>> = {
  name: ANY,
  unpack: rule(YES, "images here are always unpacked; leave it out"),
  store: rule(YES, "use --output type=cacheonly to keep no image"),
  push: rule(NO, PUSH),
  "push-by-digest": rule(NO, PUSH),
  "registry.insecure": rule(
    NO,
    `${PUSH}; the daemon's insecure-registries say which registry may be insecure`,
  ),
  "name-canonical": rule(NO, "tag the image after the build"),
  "dangling-name-prefix": rule([], "give the image a name"),
  "danging-name-empty-only": ANY,
  "oci-mediatypes": rule(NO, "the manifest is made when the image is pushed; leave it out"),
  "oci-artifact": rule(NO, "there are no attestations; leave it out"),
  "attestation-inline": rule(NO, "there are no attestations; leave it out"),
  "prefer-nondist-layers": rule(NO, "leave it out"),
  "source-date-epoch": rule([], EPOCH),
  "rewrite-timestamp": rule(NO, "set the times of files in a step of the build"),
  compression: rule(["gzip"], "layers are kept as they are, and compressed with gzip when they are pushed"),
  "compression-level": rule([], "layers are compressed when they are pushed; leave it out"),
  "force-compression": rule(NO, "layers are compressed when they are pushed; leave it out"),
};

const FILES: Readonly<Record<string, Rule>> = {
  // The client's own: where it puts what it is sent.
  dest: ANY,
  // Of files that are not made: there are no attestations.
  "attestation-prefix": ANY,
  "platform-split": rule(NO, "leave it out: files of one platform lie at the top"),
  mode: rule(["copy"], "empty the directory before the build"),
  "source-date-epoch": rule([], "set the times of files in a step of the build"),
};

const RULES: Readonly<Record<string, Readonly<Record<string, Rule>>>> = {
  moby: IMAGE,
  image: IMAGE,
  local: FILES,
  tar: { ...FILES, mode: rule([], "it is of type=local") },
  cacheonly: {},
};

/** @throws InvalidParameterError for an option that there is not; NotImplementedError, with the option and the way out */
export function checkExporters(exporters: readonly ExportRequest[]): void {
  for (const { type, attrs } of exporters) {
    const rules = Object.hasOwn(RULES, type) ? RULES[type] : undefined;
    if (!rules) throw new NotImplementedError(`the exporter ${type} is not implemented`);
    for (const [name, value] of Object.entries(attrs)) checkOption(type, { name, value }, rules);
  }
}

function checkOption(
  type: string,
  { name, value }: { readonly name: string; readonly value: string },
  rules: Readonly<Record<string, Rule>>,
): void {
  const shown = `${name}=${value}`;
  if (name.startsWith("annotation") && rules === IMAGE) {
    throw new NotImplementedError(
      `the option ${shown} of the exporter ${type} is not implemented; use --label in place of an annotation`,
    );
  }
  const found = Object.hasOwn(rules, name) ? rules[name] : undefined;
  if (!found)
    throw new InvalidParameterError(`unknown option ${shown} of the exporter ${type}; leave it out`);
  if (found.allowed === "any" || found.allowed.includes(value)) return;
  throw new NotImplementedError(
    `the option ${shown} of the exporter ${type} is not implemented; ${found.instead}`,
  );
}

/**
 * Statements about how an image came to be (`--provenance`, `--sbom`) are not made. Those that a client asks for only where
 * they come at no cost, as buildx does unasked, are not missed.
 *
 * @param options a frontend's: `attest:sbom`, `attest:provenance`
 * @throws NotImplementedError
 * @see BuildKit frontend/attestations/parse.go
 */
export function checkAttestations(options: ReadonlyMap<string, string>): void {
  for (const [name, value] of options) {
    const [, kind] = /^(?:build-arg:BUILDKIT_ATTEST_|attest:)([^:]+)$/.exec(name) ?? [];
    if (kind === undefined) continue;
    const words = value.split(",").map((word) => word.trim());
    if (words.some((word) => UNMISSED.test(word))) continue;
    throw new NotImplementedError(
      `the attestation ${name}=${value} is not implemented; leave it out, or set --${kind.toLowerCase()}=false`,
    );
  }
}

const UNMISSED = /^(?:(?:inline-only|disabled)=(?:1|t|true)|false)$/i;

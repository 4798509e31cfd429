/** Images as rows of `images`: one for each tag, digests on request. */
import type { ImageSummary } from "../../api/types.ts";
import { TemplateObject } from "../templates/object.ts";
import { familiarName, findReference } from "../values/reference.ts";
import { goTime } from "../values/times.ts";
import { humanDuration, humanSize } from "../values/units.ts";
import { shortId } from "./container.ts";

export const imageHeaders: Readonly<Record<string, string>> = {
  ID: "IMAGE ID",
  Repository: "REPOSITORY",
  Tag: "TAG",
  Digest: "DIGEST",
  CreatedSince: "CREATED",
  CreatedAt: "CREATED AT",
  Size: "SIZE",
  Containers: "CONTAINERS",
  VirtualSize: "SIZE",
  SharedSize: "SHARED SIZE",
  UniqueSize: "UNIQUE SIZE",
};

/** `--format raw`. */
export function rawImages({
  quiet,
  digests,
}: {
  readonly quiet: boolean;
  readonly digests: boolean;
}): string {
  if (quiet) return "image_id: {{.ID}}";
  return `repository: {{ .Repository }}
tag: {{.Tag}}
${digests ? "digest: {{.Digest}}\n" : ""}image_id: {{.ID}}
created_at: {{.CreatedAt}}
virtual_size: {{.Size}}
`;
}

export interface ImageRowOptions {
  readonly truncate: boolean;
  /** A row for each digest, rather than one with its first. */
  readonly digests: boolean;
  /** The template shows digests. */
  readonly needsDigests: boolean;
}

export function imageRows(image: ImageSummary, options: ImageRowOptions): TemplateObject[] {
  const tags = grouped(image.RepoTags ?? [], "tag");
  const digests = grouped(image.RepoDigests ?? [], "digest");
  if (isDangling(image)) return [imageRow(image, "<none>", "<none>", "<none>", options)];
  const rows: TemplateObject[] = [];
  for (const [repository, repositoryTags] of tags) {
    const known = options.digests || options.needsDigests ? (digests.get(repository) ?? []) : [];
    digests.delete(repository);
    for (const tag of repositoryTags) {
      for (const digest of known.length > 0 ? known : ["<none>"]) {
        rows.push(imageRow(image, repository, tag, digest, options));
      }
    }
  }
  for (const [repository, repositoryDigests] of digests) {
    for (const digest of options.digests ? repositoryDigests : [""]) {
      rows.push(imageRow(image, repository, "<none>", digest, options));
    }
  }
  return rows;
}

function isDangling({ RepoTags, RepoDigests }: ImageSummary): boolean {
  const [tags, digests] = [RepoTags ?? [], RepoDigests ?? []];
  if (tags.length === 0 && digests.length === 0) return true;
  return (
    tags.length === 1 && tags[0] === "<none>:<none>" && digests.length === 1 && digests[0] === "<none>@<none>"
  );
}

function grouped(references: readonly string[], part: "tag" | "digest"): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const text of references) {
    const reference = findReference(text);
    const value = reference?.[part];
    if (!reference || value === undefined) continue;
    const repository = familiarName(reference);
    groups.set(repository, [...(groups.get(repository) ?? []), value]);
  }
  return groups;
}

function imageRow(
  image: ImageSummary,
  repository: string,
  tag: string,
  digest: string,
  { truncate }: ImageRowOptions,
): TemplateObject {
  const { Id, Created, Size, SharedSize, Containers } = image;
  return new TemplateObject("*formatter.imageContext", {
    ID: () => (truncate ? shortId(Id) : Id),
    Repository: () => repository,
    Tag: () => tag,
    Digest: () => digest,
    CreatedSince: () => `${humanDuration(Date.now() / 1000 - Created)} ago`,
    CreatedAt: () => goTime(Created),
    Size: () => humanSize(Size, 3),
    Containers: () => (Containers === -1 ? "N/A" : String(Containers)),
    VirtualSize: () => humanSize(Size),
    SharedSize: () => (SharedSize === -1 ? "N/A" : humanSize(SharedSize)),
    UniqueSize: () => (Size === -1 || SharedSize === -1 ? "N/A" : humanSize(Size - SharedSize)),
  });
}

/**
 * The `tag` of a log: a Go template over what the log is of. Fields are what people use; a template that does more than
 * name fields is refused. @see moby daemon/logger/loggerutils/log_tag.go, loginfo.go
 */
import { hostname } from "node:os";
import { InvalidParameterError } from "../../core/errors.ts";
import type { LogSubject } from "../../core/logs.ts";

const FIELD = /\{\{-?\s*\.?(\w*)\s*-?\}\}/g;

const FIELDS: Readonly<Record<string, (subject: LogSubject) => string>> = {
  ID: ({ id }) => id.slice(0, 12),
  FullID: ({ id }) => id,
  Name: ({ name }) => name,
  ImageID: ({ imageId }) => imageId.replace(/^sha256:/, "").slice(0, 12),
  ImageFullID: ({ imageId }) => imageId,
  ImageName: ({ image }) => image,
  Command: ({ command }) => command.join(" "),
  Hostname: () => hostname(),
  DaemonName: () => "docker",
  ContainerID: ({ id }) => id,
  ContainerName: ({ name }) => `/${name}`,
  ContainerImageID: ({ imageId }) => imageId,
  ContainerImageName: ({ image }) => image,
  ContainerEntrypoint: ({ command }) => command[0] ?? "",
  ContainerCreated: ({ created }) => created,
};

/** @throws InvalidParameterError naming what is not understood */
export function checkTag(template: string | undefined): void {
  for (const [whole, name = ""] of (template ?? "").matchAll(FIELD)) {
    if (!(name in FIELDS)) throw new InvalidParameterError(`unsupported tag template: ${whole}`);
  }
  if ((template ?? "").replace(FIELD, "").includes("{{")) {
    throw new InvalidParameterError(`unsupported tag template: ${template}: only fields can be named`);
  }
}

/** @param initial what the driver has when nothing was asked for */
export function tagOf(subject: LogSubject, initial: string): string {
  const template = subject.options.tag ?? initial;
  return template.replace(FIELD, (_, name: string) => FIELDS[name]?.(subject) ?? "");
}

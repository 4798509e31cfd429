/** A context as a row of `context ls`. */
import { TemplateObject } from "../templates/object.ts";
import { ellipsis } from "../terminal/table.ts";

export const contextHeaders: Readonly<Record<string, string>> = {
  Name: "NAME",
  Current: "",
  Description: "DESCRIPTION",
  DockerEndpoint: "DOCKER ENDPOINT",
  Error: "ERROR",
};

export interface ContextRow {
  readonly name: string;
  readonly current: boolean;
  readonly description: string;
  readonly endpoint: string;
  readonly error: string;
}

/** Of an error: more makes the table unreadable. */
const ERROR_WIDTH = 45;

export function contextRow({ name, current, description, endpoint, error }: ContextRow): TemplateObject {
  return new TemplateObject("*formatter.clientContextContext", {
    Current: () => current,
    Name: () => name,
    Description: () => description,
    DockerEndpoint: () => endpoint,
    Error: () => ellipsis(error.replaceAll("\n", ", "), ERROR_WIDTH),
  });
}

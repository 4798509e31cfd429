import { type ExactEventMessage, events } from "../../../client/system.ts";
import { defineCommand, messageOf, noArgs, StatusError } from "../../command.ts";
import { filterFlag, inspectFormatFlag } from "../../flags/common-flags.ts";
import { string } from "../../flags/flags.ts";
import { Template } from "../../templates/template.ts";
import { rfc3339Nano, toEngineTime } from "../../values/times.ts";

export const command = defineCommand({
  use: "events [OPTIONS]",
  short: "Get real time events from the server",
  aliases: "system events, events",
  args: noArgs,
  flags: {
    filter: filterFlag("Filter output based on conditions provided", "f"),
    format: string({ usage: inspectFormatFlag.usage }),
    since: string({ usage: "Show all events created since timestamp" }),
    until: string({ usage: "Stream events until this timestamp" }),
  },
  async run({ flags, cli }) {
    const render = await rendererFor(flags.format);
    const now = Date.now();
    const messages = await events(cli.engine, {
      since: toEngineTime(flags.since, now),
      until: toEngineTime(flags.until, now),
      filters: flags.filter,
    });
    for await (const message of messages) cli.stdout.line(render(message));
  },
});

type Renderer = (message: ExactEventMessage) => string;

/** A template must fit an event that says nothing. @throws StatusError 64 */
async function rendererFor(format: string): Promise<Renderer> {
  if (format === "") return describe;
  const { toGoStruct } = await import("../../templates/go-types.ts");
  try {
    const template = new Template(format === "json" ? "{{json .}}" : format);
    template.execute(toGoStruct("events.Message", {}).toPointer());
    return (message) => template.execute(toGoStruct("events.Message", message));
  } catch (error) {
    throw new StatusError(`Error parsing format: ${messageOf(error)}`, 64, { cause: error });
  }
}

function describe({ Type, Action, Actor, time, timeNano }: ExactEventMessage): string {
  const nanoseconds = timeNano ? BigInt(timeNano) : BigInt(time ?? 0) * 1_000_000_000n;
  const attributes = Object.entries(Actor?.Attributes ?? {})
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, value]) => `${key}=${value}`);
  const suffix = attributes.length > 0 ? ` (${attributes.join(", ")})` : "";
  return `${rfc3339Nano(nanoseconds)} ${Type} ${Action} ${Actor?.ID ?? ""}${suffix}`;
}

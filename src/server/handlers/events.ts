/** `GET /events`. */
import { InvalidParameterError } from "../../core/errors.ts";
import type { EventBus } from "../../engine/events/bus.ts";
import { EVENT_FILTERS } from "../../engine/events/filter.ts";
import { parseEventTime, toEventJson } from "../../engine/events/wire.ts";
import type { Call, Handlers } from "../call.ts";

export function eventHandlers(bus: EventBus): Handlers {
  return {
    SystemEvents: async (call) => {
      const since = time(call, "since");
      const until = time(call, "until");
      if (since !== undefined && until !== undefined && until < since) {
        throw new InvalidParameterError(
          `\`since\` time (${call.query.get("since")}) cannot be after \`until\` time (${call.query.get("until")})`,
        );
      }
      const filters = call.query.filters(EVENT_FILTERS);
      const events = bus.subscribe({ since, until, filters, signal: call.signal });
      // Documents on lines were sent as one document once.
      const unasked = call.atLeast([1, 52]) ? "application/jsonl" : "application/json";
      const contentType = negotiate(call.header("accept") ?? "", unasked);
      // RFC 7464: a record separator in front of each document.
      const prefix = contentType === "application/json-seq" ? "\x1e" : "";
      const legacyFields = !call.atLeast([1, 52]);
      const stream = call.stream({ contentType });
      const withImageCreate = call.atLeast([1, 46]);
      for await (const event of events) {
        if (!withImageCreate && event.type === "image" && event.action === "create") continue;
        await stream.write(`${prefix}${toEventJson(event, { legacyFields })}\n`);
      }
      await stream.end();
    },
  };
}

/** 0 and absence are the same: Docker's clients send it for "from now on". */
function time(call: Call, name: "since" | "until"): bigint | undefined {
  const text = call.query.get(name);
  if (!text) return undefined;
  const parsed = parseEventTime(text);
  if (parsed === undefined)
    throw new InvalidParameterError(`invalid value for ${name}: ${JSON.stringify(text)}`);
  return parsed === 0n ? undefined : parsed;
}

const TYPES = ["application/jsonl", "application/x-ndjson", "application/json-seq"];

/** Who asks for one of the right names gets it. */
function negotiate(accept: string, unasked: string): string {
  const wanted = accept
    .split(",")
    .map((item) => {
      const [type = "", ...parameters] = item.split(";").map((part) => part.trim());
      const quality = parameters.find((parameter) => parameter.startsWith("q="));
      return { type: type.toLowerCase(), quality: quality === undefined ? 1 : Number(quality.slice(2)) };
    })
    .filter(({ type, quality }) => TYPES.includes(type) && quality > 0)
    .sort((a, b) => b.quality - a.quality);
  return wanted[0]?.type ?? unasked;
}

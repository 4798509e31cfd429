/** Events as clients read them. Pure. */
import type { EngineEvent } from "../../core/events.ts";

/**
 * One JSON document. `legacyFields` are `status`, `id` and `from`, which API 1.52 dropped.
 * Written by hand because nanoseconds do not fit in a JavaScript number.
 */
export function toEventJson(event: EngineEvent, options: { legacyFields: boolean }): string {
  const { type, action, actor, scope, timeNano } = event;
  const hasLegacy = options.legacyFields && (type === "container" || type === "image");
  const from = type === "container" ? actor.attributes.image : undefined;
  const document = JSON.stringify({
    ...(hasLegacy && { status: action, id: actor.id, ...(from && { from }) }),
    Type: type,
    Action: action,
    Actor: { ID: actor.id, Attributes: actor.attributes },
    scope,
    time: Number(timeNano / 1_000_000_000n),
  });
  return `${document.slice(0, -1)},"timeNano":${timeNano}}`;
}

/** What `since` and `until` carry: seconds since the epoch with up to nine decimals. */
export function parseEventTime(text: string): bigint | undefined {
  const [, seconds = "", fraction = ""] = /^(-?\d+)(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  if (seconds === "") return undefined;
  return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
}

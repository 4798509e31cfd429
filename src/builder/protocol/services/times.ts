/** Times on the wire: seconds and nanoseconds apart. */
import type { Timestamp } from "../messages/control.ts";
import type { Value } from "../wire/message.ts";

const SECOND = 1_000_000_000n;

/** @param nanoseconds since the epoch */
export function toTimestamp(nanoseconds: bigint): Value<typeof Timestamp> {
  return { seconds: nanoseconds / SECOND, nanos: Number(nanoseconds % SECOND) };
}

export function toTimestampMaybe(nanoseconds: bigint | undefined): Value<typeof Timestamp> | undefined {
  return nanoseconds === undefined ? undefined : toTimestamp(nanoseconds);
}

/** Headers as they come, and as they are sent. */

/** Keyed by lower-case name, in order of arrival. */
export type RequestHeaders = ReadonlyMap<string, readonly string[]>;

/** In the order in which they are sent. */
export type ReplyHeaders = readonly (readonly [name: string, value: string])[];

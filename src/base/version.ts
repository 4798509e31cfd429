/** Which build this is. `scripts/build.mjs` may define these when it compiles; from source they say so. */
declare const GANTRY_COMMIT: string | undefined;
declare const GANTRY_BUILD_TIME: string | undefined;

export const VERSION = "0.1.0";
export const COMMIT: string = typeof GANTRY_COMMIT === "string" ? GANTRY_COMMIT : "source";
/** RFC 3339. */
export const BUILD_TIME: string =
  typeof GANTRY_BUILD_TIME === "string" ? GANTRY_BUILD_TIME : "1970-01-01T00:00:00Z";

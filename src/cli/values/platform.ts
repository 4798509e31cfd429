/** `linux/arm64/v8` of a command line, as the engine's newer calls take it. */
import type { Platform } from "../../client/images.ts";

/** Undefined if nothing is given. @throws Error */
export function parsePlatform(text: string): Platform | undefined {
  if (text === "") return undefined;
  const [os = "", architecture = "", variant, ...rest] = text.toLowerCase().split("/");
  if (os === "" || architecture === "" || rest.length > 0) {
    throw new Error(`invalid platform: ${JSON.stringify(text)}: expected os/architecture[/variant]`);
  }
  return { os, architecture, ...(variant ? { variant } : {}) };
}

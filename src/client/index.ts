/**
 * Gantry's client as a library: a typed caller of the Engine API, for any engine that speaks it.
 *
 *     using engine = new Engine({ address: "unix:///run/gantry/gantry.sock" });
 *     const running = await listContainers(engine);
 */
export * from "./address.ts";
export * from "./containers.ts";
export { type Call, Engine, type EngineOptions, type Hijacked, type Reply } from "./engine.ts";
export * from "./errors.ts";
export * from "./filters.ts";
export * from "./frames.ts";
export * from "./images.ts";
export { readJsonStream } from "./json-lines.ts";
export * from "./networks.ts";
export type { TlsOptions } from "./socket.ts";
export * from "./system.ts";
export * from "./volumes.ts";

/** The facts that the engine publishes, in Docker's vocabulary, and the port to publish them. Reading is `engine/events`. */

export type EventType =
  | "container"
  | "image"
  | "network"
  | "volume"
  | "daemon"
  | "plugin"
  | "builder"
  | "node"
  | "service"
  | "secret"
  | "config";

export interface EngineEvent {
  readonly type: EventType;
  /** `start`, `die`, `exec_create: sh`, … */
  readonly action: string;
  readonly actor: { readonly id: string; readonly attributes: Readonly<Record<string, string>> };
  readonly scope: "local" | "swarm";
  /** Nanoseconds since the epoch, strictly increasing. */
  readonly timeNano: bigint;
}

export interface EventSink {
  /** Never blocks and never throws: who publishes is in the middle of something. */
  publish(event: Pick<EngineEvent, "type" | "action" | "actor">): void;
}

/** @see wire contract: the last 256 are replayed to `since`. */
export const REPLAYED_EVENTS = 256;

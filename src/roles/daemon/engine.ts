/**
 * Puts an engine together: drivers are constructed here and handed to the use cases, the use cases to the handlers.
 * Nothing in here decides anything; what belongs to what can be read off from top to bottom.
 */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import { log, setLogLevel } from "../../base/log.ts";
import { BUILD_TIME, COMMIT, VERSION } from "../../base/version.ts";
import type { EngineConfig } from "../../core/config.ts";
import { messageOf } from "../../core/errors.ts";
import type { StateStore } from "../../core/state.ts";
import { openSqliteStateStore } from "../../drivers/state-sqlite/store.ts";
import { LocalVolumeDriver } from "../../drivers/volumes-local/driver.ts";
import { EventBus } from "../../engine/events/bus.ts";
import { Volumes } from "../../engine/volumes/volumes.ts";
import type { Handlers } from "../../server/call.ts";
import { eventHandlers } from "../../server/handlers/events.ts";
import { pingHandlers } from "../../server/handlers/ping.ts";
import { volumeHandlers } from "../../server/handlers/volumes.ts";
import type { Identity } from "../../server/index.ts";

export const identity: Identity = {
  version: VERSION,
  gitCommit: COMMIT,
  buildTime: BUILD_TIME,
  experimental: false,
  builderVersion: "1",
  swarm: "inactive",
};

export interface Engine extends AsyncDisposable {
  readonly handlers: Handlers;
  /** Makes records and kernel agree after whatever happened before. Call once, before the first request. */
  boot(): Promise<void>;
  /** Takes over what can change while running; what cannot is left as it is, and told. */
  reload(configure: () => EngineConfig): void;
}

export async function openEngine(initial: EngineConfig): Promise<Engine> {
  await using undo = new AsyncDisposableStack();
  const { paths } = initial;
  let config = initial;

  const state = undo.use(openSqliteStateStore(join(paths.dataRoot, "gantry.db")));
  const engineId = getEngineId(state);
  const events = new EventBus();

  const volumes = new Volumes({
    state,
    events,
    drivers: [
      new LocalVolumeDriver({
        volumes: join(paths.dataRoot, "volumes"),
        subpaths: join(paths.execRoot, "subpaths"),
      }),
    ],
  });
  const resources = undo.move();
  return {
    handlers: toHandlers({ events, volumes }),
    async boot() {
      await volumes.recover([]);
    },
    reload(configure) {
      try {
        config = reloaded(config, configure());
        setLogLevel(config.logLevel);
        events.publish({
          type: "daemon",
          action: "reload",
          actor: { id: engineId, attributes: { name: hostname(), labels: JSON.stringify(config.labels) } },
        });
        log("info", "configuration reloaded");
      } catch (error) {
        log("error", "configuration not reloaded", { error: messageOf(error) });
      }
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Only these change while running; the rest was handed out at start. */
function reloaded(before: EngineConfig, { labels, logLevel, shutdownTimeout }: EngineConfig): EngineConfig {
  return { ...before, labels, logLevel, shutdownTimeout };
}

/** The engine's own id: stays with the data root. */
function getEngineId(state: StateStore): string {
  const table = state.table<string>("engine");
  const id = table.get("id") ?? randomUUID();
  table.put("id", id);
  return id;
}

/** What the API's handlers are made of. */
interface Parts {
  readonly events: EventBus;
  readonly volumes: Volumes;
}

function toHandlers(parts: Parts): Handlers {
  return {
    ...pingHandlers,
    ...eventHandlers(parts.events),
    ...volumeHandlers(parts.volumes),
  };
}

/** The handlers' names without an engine behind them, for `--list-routes`: making a handler touches nothing. */
export function handlersToList(): Handlers {
  const nothing: object = new Proxy({}, { get: () => nothing });
  return toHandlers(nothing as Parts);
}

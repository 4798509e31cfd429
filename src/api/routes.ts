/**
 * The whole Engine API as one table: the 108 operations of Docker's description, in its words, and the two that
 * clients call without being in it (`BuildCancel`, `Grpc`). Which of them are built is not said here.
 */
import type { Route } from "./route.ts";
import { containerRoutes, execRoutes } from "./routes/containers.ts";
import { buildRoutes, imageRoutes } from "./routes/images.ts";
import { networkRoutes } from "./routes/networks.ts";
import { pluginRoutes } from "./routes/plugins.ts";
import { swarmRoutes } from "./routes/swarm.ts";
import { systemRoutes } from "./routes/system.ts";
import { volumeRoutes } from "./routes/volumes.ts";

export const routes: readonly Route[] = [
  ...systemRoutes,
  ...containerRoutes,
  ...execRoutes,
  ...imageRoutes,
  ...buildRoutes,
  ...networkRoutes,
  ...volumeRoutes,
  ...pluginRoutes,
  ...swarmRoutes,
];

/**
 * `/plugins`: there are none, and that is told as dockerd tells it. `docker inspect` looks among plugins last, and
 * takes any answer but "not found" for its own. Installing one is not built.
 */
import { NotFoundError } from "../../core/errors.ts";
import type { Handlers } from "../call.ts";

export const pluginHandlers: Handlers = {
  PluginList(call) {
    call.query.filters(["enabled", "capability"]);
    call.json([]);
  },
  PluginInspect(call) {
    const name = call.param("name");
    throw new NotFoundError(`plugin ${JSON.stringify(name)} not found`, { subject: name });
  },
};

/**
 * `/swarm`: this node is in none, so it cannot leave one, and that is told as dockerd tells it. Clients that clean up
 * ask for it whatever they did before, and take this answer for success. Making or joining a swarm is not built.
 */
import { UnavailableError } from "../../core/errors.ts";
import type { Handlers } from "../call.ts";

export const swarmHandlers: Handlers = {
  SwarmLeave() {
    throw new UnavailableError("This node is not part of a swarm");
  },
};

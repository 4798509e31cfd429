/** `/networks`. */
import { networkConnectBody, networkCreateBody, networkDisconnectBody } from "../../api/bodies/network.ts";
import { NETWORK_FILTERS, NETWORK_PRUNE_FILTERS } from "../../engine/networks/filters.ts";
import type { Networks } from "../../engine/networks/networks.ts";
import type { Handlers } from "../call.ts";

export function networkHandlers(networks: Networks): Handlers {
  return {
    NetworkList: (call) => call.json(networks.list(call.query.filters(NETWORK_FILTERS))),
    NetworkInspect: (call) => call.json(networks.inspect(call.param("id"))),
    NetworkCreate: async (call) => {
      const body = await call.decode(networkCreateBody);
      const { id, warning } = await networks.create({ ...body, Name: body.Name ?? "" });
      call.json({ Id: id, Warning: warning }, 201);
    },
    NetworkDelete: async (call) => {
      await networks.remove(call.param("id"));
      call.empty(204);
    },
    NetworkConnect: async (call) => {
      const { Container = "", EndpointConfig = {} } = await call.decode(networkConnectBody);
      await networks.connect(call.param("id"), Container, EndpointConfig);
      call.empty(200);
    },
    NetworkDisconnect: async (call) => {
      const { Container = "", Force = false } = await call.decode(networkDisconnectBody);
      await networks.disconnect(call.param("id"), Container, Force);
      call.empty(200);
    },
    NetworkPrune: async (call) => {
      const removed = await networks.prune(call.query.filters(NETWORK_PRUNE_FILTERS));
      call.json({ NetworksDeleted: removed.length > 0 ? removed : null });
    },
  };
}

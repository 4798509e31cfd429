/** `/networks`. */
import { networkConnectBody, networkCreateBody, networkDisconnectBody } from "../../api/bodies/network.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import { NETWORK_FILTERS, NETWORK_PRUNE_FILTERS } from "../../engine/networks/filters.ts";
import type { Networks } from "../../engine/networks/networks.ts";
import type { Handlers } from "../call.ts";

export function networkHandlers(networks: Networks): Handlers {
  return {
    NetworkList: (call) => call.json(networks.list(call.query.filters(NETWORK_FILTERS))),
    NetworkInspect: (call) => {
      checkVerbose(call.query.get("verbose") ?? "");
      const found = networks.inspect(call.param("id"), { scope: call.query.get("scope") });
      const status = () => ({ IPAM: { Subnets: networks.subnetStatus(call.param("id")) } });
      call.json({ ...found, ...(call.atLeast([1, 52]) && { Status: status() }) });
    },
    NetworkCreate: async (call) => {
      const { EnableIPv4, ...body } = await call.decode(networkCreateBody);
      const { id, warning } = await networks.create({
        ...body,
        Name: body.Name ?? "",
        ...(call.atLeast([1, 48]) && { EnableIPv4 }),
      });
      call.json({ Id: id, Warning: warning }, 201);
    },
    NetworkDelete: async (call) => {
      await networks.remove(call.param("id"));
      call.empty(204);
    },
    NetworkConnect: async (call) => {
      const { Container = "", EndpointConfig = {} } = await call.decode(networkConnectBody);
      const { MacAddress: _ignored, ...settings } = EndpointConfig;
      await networks.connect(call.param("id"), Container, call.atLeast([1, 54]) ? EndpointConfig : settings);
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

/** It tells of swarm's services, which there are none of; but it has to be what strconv.ParseBool takes. */
function checkVerbose(value: string): void {
  if (value !== "" && !/^(?:[01tTfF]|true|True|TRUE|false|False|FALSE)$/.test(value))
    throw new InvalidParameterError(
      `invalid value for verbose: ${value}: strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`,
      { subject: "verbose" },
    );
}

import { deletion, get, post, type Route } from "../route.ts";

export const networkRoutes: readonly Route[] = [
  get("NetworkList", "/networks"),
  get("NetworkList", "/networks/"),
  get("NetworkInspect", "/networks/{id:.*}"),
  deletion("NetworkDelete", "/networks/{id:.*}"),
  post("NetworkCreate", "/networks/create", { body: "json" }),
  post("NetworkPrune", "/networks/prune", { onDisconnect: "cancel" }),
  post("NetworkConnect", "/networks/{id:.*}/connect", { body: "json" }),
  post("NetworkDisconnect", "/networks/{id:.*}/disconnect", { body: "json" }),
];

import { deletion, get, post, type Route } from "../route.ts";

const stream = { reply: "stream", onDisconnect: "cancel" } as const;

export const pluginRoutes: readonly Route[] = [
  get("PluginList", "/plugins"),
  get("GetPluginPrivileges", "/plugins/privileges"),
  get("PluginInspect", "/plugins/{name:.*}/json"),
  post("PluginPull", "/plugins/pull", { body: "json", ...stream }),
  post("PluginCreate", "/plugins/create", { body: "bytes" }),
  post("PluginEnable", "/plugins/{name:.*}/enable"),
  post("PluginDisable", "/plugins/{name:.*}/disable"),
  post("PluginUpgrade", "/plugins/{name:.*}/upgrade", { body: "json", ...stream }),
  post("PluginPush", "/plugins/{name:.*}/push", stream),
  post("PluginSet", "/plugins/{name:.*}/set", { body: "json" }),
  deletion("PluginDelete", "/plugins/{name:.*}"),
];

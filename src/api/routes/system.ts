import { get, head, post, type Route } from "../route.ts";

export const systemRoutes: readonly Route[] = [
  get("SystemPing", "/_ping"),
  head("SystemPingHead", "/_ping"),
  get("SystemVersion", "/version"),
  get("SystemInfo", "/info"),
  get("SystemDataUsage", "/system/df", { onDisconnect: "cancel" }),
  get("SystemEvents", "/events", { reply: "stream" }),
  post("SystemAuth", "/auth", { body: "json", onDisconnect: "cancel" }),
];

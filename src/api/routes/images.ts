import { deletion, get, post, type Route } from "../route.ts";

const stream = { reply: "stream", onDisconnect: "cancel" } as const;

export const imageRoutes: readonly Route[] = [
  get("ImageList", "/images/json"),
  get("ImageSearch", "/images/search"),
  get("ImageGetAll", "/images/get", stream),
  post("ImageCreate", "/images/create", { body: "bytes", ...stream }),
  post("ImageLoad", "/images/load", { body: "bytes", ...stream }),
  post("ImagePrune", "/images/prune", { onDisconnect: "cancel" }),
  get("ImageInspect", "/images/{name:.*}/json"),
  get("ImageHistory", "/images/{name:.*}/history"),
  get("ImageGet", "/images/{name:.*}/get", stream),
  get("ImageAttestations", "/images/{name:.*}/attestations", { since: [1, 55] }),
  post("ImagePush", "/images/{name:.*}/push", stream),
  post("ImageTag", "/images/{name:.*}/tag"),
  deletion("ImageDelete", "/images/{name:.*}"),
  post("ImageCommit", "/commit", { body: "json" }),
  get("DistributionInspect", "/distribution/{name:.*}/json"),
];

export const buildRoutes: readonly Route[] = [
  post("ImageBuild", "/build", { body: "bytes", ...stream }),
  post("BuildPrune", "/build/prune", { onDisconnect: "cancel" }),
  post("BuildCancel", "/build/cancel"),
  post("Session", "/session", { reply: "hijack", onDisconnect: "cancel" }),
  post("Grpc", "/grpc", { reply: "hijack", onDisconnect: "cancel" }),
];

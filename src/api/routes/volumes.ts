import { deletion, get, post, put, type Route } from "../route.ts";

export const volumeRoutes: readonly Route[] = [
  get("VolumeList", "/volumes"),
  get("VolumeInspect", "/volumes/{name:.*}"),
  post("VolumeCreate", "/volumes/create", { body: "json" }),
  post("VolumePrune", "/volumes/prune", { onDisconnect: "cancel" }),
  put("VolumeUpdate", "/volumes/{name:.*}", { body: "json", since: [1, 42] }),
  deletion("VolumeDelete", "/volumes/{name:.*}"),
];

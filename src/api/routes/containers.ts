import { deletion, get, head, post, put, type Route } from "../route.ts";

const stream = { reply: "stream", onDisconnect: "cancel" } as const;
const hijack = { reply: "hijack", onDisconnect: "cancel" } as const;

export const containerRoutes: readonly Route[] = [
  get("ContainerList", "/containers/json", { onDisconnect: "cancel" }),
  post("ContainerCreate", "/containers/create", { body: "json" }),
  post("ContainerPrune", "/containers/prune", { onDisconnect: "cancel" }),
  get("ContainerInspect", "/containers/{id:.*}/json", { onDisconnect: "cancel" }),
  get("ContainerTop", "/containers/{id:.*}/top"),
  get("ContainerLogs", "/containers/{id:.*}/logs", stream),
  // An extension of this engine, named in /info.
  deletion("ContainerLogsClear", "/containers/{id:.*}/logs"),
  get("ContainerChanges", "/containers/{id:.*}/changes"),
  get("ContainerExport", "/containers/{id:.*}/export", stream),
  get("ContainerStats", "/containers/{id:.*}/stats", stream),
  post("ContainerResize", "/containers/{id:.*}/resize"),
  post("ContainerStart", "/containers/{id:.*}/start", { body: "json" }),
  post("ContainerStop", "/containers/{id:.*}/stop"),
  post("ContainerRestart", "/containers/{id:.*}/restart"),
  post("ContainerKill", "/containers/{id:.*}/kill"),
  post("ContainerUpdate", "/containers/{id:.*}/update", { body: "json" }),
  post("ContainerRename", "/containers/{id:.*}/rename"),
  post("ContainerPause", "/containers/{id:.*}/pause"),
  post("ContainerUnpause", "/containers/{id:.*}/unpause"),
  post("ContainerAttach", "/containers/{id:.*}/attach", { ...hijack, textErrors: true }),
  get("ContainerAttachWebsocket", "/containers/{id:.*}/attach/ws", hijack),
  post("ContainerWait", "/containers/{id:.*}/wait", stream),
  head("ContainerArchiveInfo", "/containers/{id:.*}/archive"),
  get("ContainerArchive", "/containers/{id:.*}/archive", stream),
  put("PutContainerArchive", "/containers/{id:.*}/archive", { body: "bytes" }),
  deletion("ContainerDelete", "/containers/{id:.*}"),
];

export const execRoutes: readonly Route[] = [
  post("ContainerExec", "/containers/{id:.*}/exec", { body: "json" }),
  post("ExecStart", "/exec/{id:.*}/start", { body: "json", ...hijack }),
  post("ExecResize", "/exec/{id:.*}/resize"),
  get("ExecInspect", "/exec/{id:.*}/json"),
];

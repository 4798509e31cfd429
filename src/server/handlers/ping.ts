/** `/_ping`: a client's first call, which tells by its headers what the engine can do. */
import type { Call, Handlers } from "../call.ts";

export const pingHandlers: Handlers = {
  SystemPing: (call) => ping(call, "OK"),
  SystemPingHead: (call) => ping(call, ""),
};

function ping(call: Call, body: string): void {
  call.setHeader("Cache-Control", "no-cache, no-store, must-revalidate");
  call.setHeader("Pragma", "no-cache");
  call.text(body);
}

/** `/grpc` and `/session`: connections that leave HTTP/1.1 for BuildKit's protocol. What is said on them is the builder's. */
import type { BuildkitProtocol } from "../../builder/protocol/index.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import { serveHttp2 } from "../../http/http2/index.ts";
import type { Call, Handlers } from "../call.ts";

export function buildkitHandlers(protocol: BuildkitProtocol): Handlers {
  return {
    Grpc: (call) => grpc(call, protocol),
    Session: (call) => session(call, protocol),
  };
}

async function grpc(call: Call, protocol: BuildkitProtocol): Promise<void> {
  requireUpgrade(call);
  using connection = call.hijack({ contentType: "application/grpc" });
  await serveHttp2(connection, (exchange) => protocol.serve(exchange), call.signal);
}

/** Roles turn round: the client serves on the connection, and is called. */
async function session(call: Call, protocol: BuildkitProtocol): Promise<void> {
  requireUpgrade(call);
  using undo = new DisposableStack();
  await protocol.holdSession(() => undo.use(call.hijack({ contentType: "application/grpc" })), call.headers);
}

/** @throws InvalidParameterError */
function requireUpgrade(call: Call): void {
  const protocol = call.header("upgrade");
  if (protocol === undefined) throw new InvalidParameterError("no upgrade proto in request");
  if (protocol.toLowerCase() !== "h2c") throw new InvalidParameterError(`protocol ${protocol} not supported`);
}

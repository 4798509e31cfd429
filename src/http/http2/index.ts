/** HTTP/2 on connections that are open already, as server and as client. */
export { type Http2Call, type Http2Client, type Http2Request, openHttp2Client } from "./client.ts";
export { type Http2Exchange, type Http2Handler, serveHttp2 } from "./server.ts";
export { StreamReset } from "./stream.ts";

/** Calls gRPC methods over a connection that is there. */
import type { Message } from "../wire/message.ts";
import { frame, unframed } from "./framing.ts";
import { Code, RpcError, statusOf } from "./status.ts";
import type { Channel, Metadata, MetadataList } from "./transport.ts";

export interface CallOptions {
  readonly metadata?: MetadataList;
  readonly signal?: AbortSignal;
}

/** A stream under way. */
export interface RpcStream<A, B> extends Disposable {
  send(message: Partial<A>): Promise<void>;
  /** No more will be sent. */
  closeSend(): void;
  /** @throws RpcError after the last message, if the call failed */
  readonly messages: AsyncIterable<B>;
}

const HEADERS: MetadataList = [
  ["content-type", "application/grpc"],
  ["te", "trailers"],
  ["user-agent", "gantry"],
];

/** One message, one reply. @throws RpcError */
export async function callOnce<A, B>(
  channel: Channel,
  path: string,
  [request, response]: readonly [Message<A>, Message<B>],
  message: Partial<A>,
  options: CallOptions = {},
): Promise<B> {
  using stream = openStream(channel, path, [request, response], options);
  await stream.send(message);
  stream.closeSend();
  let reply: B | undefined;
  for await (const received of stream.messages) reply ??= received;
  if (reply === undefined) throw new RpcError(Code.internal, `${path} gave no reply`);
  return reply;
}

/** Opens a stream; disposing gives it up if it is not over. */
export function openStream<A, B>(
  channel: Channel,
  path: string,
  [request, response]: readonly [Message<A>, Message<B>],
  { metadata = [], signal }: CallOptions = {},
): RpcStream<A, B> {
  const call = channel.request({ path, headers: [...HEADERS, ...metadata], ...(signal ? { signal } : {}) });
  let over = false;
  async function* messages(): AsyncGenerator<B, void, void> {
    const { status, headers } = await call.response();
    if (status !== 200) throw new RpcError(Code.unavailable, `${path}: HTTP status ${status}`);
    for await (const bytes of unframed(call.body)) yield response.decode(bytes);
    over = true;
    const failure = statusOf(withStatus(await call.trailers(), headers));
    if (failure) throw failure;
  }
  return {
    send: (message) => call.write(frame(request.encode(message))),
    closeSend: () => call.end(),
    messages: { [Symbol.asyncIterator]: messages },
    [Symbol.dispose]() {
      if (!over) call.cancel();
    },
  };
}

/** A reply of trailers alone has its status in its head. */
function withStatus(trailers: Metadata, headers: Metadata): Metadata {
  return trailers.has("grpc-status") ? trailers : headers;
}

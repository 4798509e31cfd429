/** `google.rpc.Status`: how a call failed, with details that programs read. */
import { bytes, int32, message, messages, string } from "../wire/message.ts";

/** `google.protobuf.Any` */
export const AnyMessage = message({ typeUrl: string(1), value: bytes(2) });

export const StatusMessage = message({
  code: int32(1),
  message: string(2),
  details: messages(3, AnyMessage),
});

/** What stands between routing and handlers: it may refuse a call before it executes, and its reply before it is sent. */
import type { Route } from "../../api/route.ts";
import type { Peer, ReplyHeaders, RequestHeaders } from "../../http/index.ts";
import type { Query } from "../call.ts";

/** A call as gates see it: what will execute, and nothing else. */
export interface GatedCall {
  readonly operation: string;
  readonly route: Route;
  readonly method: string;
  /** Version, path and query as they were understood: one slash where there were two, no needless escapes. */
  readonly uri: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly headers: RequestHeaders;
  readonly peer: Peer;
  /** The body of a `json` route; the handler decodes the same text. @throws what decoding would throw */
  bodyText(): Promise<string | undefined>;
  /** What the handler is to decode in its place. */
  replaceBody(text: string): void;
  /** What the handler is to take for a part of the path. */
  replaceParam(name: string, value: string): void;
}

export interface GatedReply {
  readonly status: number;
  readonly headers: ReplyHeaders;
  readonly body: string;
}

export interface Gate {
  /** Before the handler is called. @throws EngineError to refuse */
  enter(call: GatedCall): Promise<void> | void;
  /**
   * Before a whole reply of success goes out; streams and hijacked connections have begun by then. Gives what is sent in
   * its place, if anything. @throws to withhold it
   */
  leave?(call: GatedCall, reply: GatedReply): Promise<GatedReply | undefined>;
  /** True while it lets everything through. */
  idle?(): boolean;
  /** The call is over. @param status of the reply; 0 if there was none */
  done?(call: GatedCall, status: number): void;
}

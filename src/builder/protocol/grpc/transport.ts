/**
 * What gRPC needs of HTTP/2, in both directions. The server's HTTP/2 fits both without an adapter; nothing in here knows
 * sockets.
 */

/** Lower-case names. */
export type Metadata = ReadonlyMap<string, readonly string[]>;
export type MetadataList = readonly (readonly [name: string, value: string])[];

/** One call that a client makes of us. */
export interface IncomingCall {
  /** `/package.Service/Method` */
  readonly path: string;
  readonly headers: Metadata;
  readonly body: AsyncIterable<Uint8Array>;
  /** Aborted when the client gives up or is gone. */
  readonly signal: AbortSignal;
  respond(status: number, headers: MetadataList): void;
  write(bytes: Uint8Array): Promise<void>;
  end(trailers?: MetadataList): Promise<void>;
}

/** A connection that we call somebody over. */
export interface Channel extends Disposable {
  request(options: {
    readonly path: string;
    readonly headers: MetadataList;
    readonly signal?: AbortSignal;
  }): OutgoingCall;
  /** Settles when the connection is over. */
  readonly closed: Promise<void>;
}

export interface OutgoingCall {
  write(bytes: Uint8Array): Promise<void>;
  /** Half-closes. */
  end(): void;
  response(): Promise<{ readonly status: number; readonly headers: Metadata }>;
  readonly body: AsyncIterable<Uint8Array>;
  trailers(): Promise<Metadata>;
  cancel(): void;
}

/** Bytes both ways, before anybody speaks HTTP/2 over them. */
export interface RawBytes extends Disposable {
  readonly input: AsyncIterable<Uint8Array>;
  write(bytes: Uint8Array): Promise<void>;
  end(): Promise<void>;
  readonly closed: Promise<void>;
}

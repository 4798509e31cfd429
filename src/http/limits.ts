/** What one connection may cost. */

export interface ConnectionLimits {
  /** Bytes of request line and headers. */
  readonly maxHead: number;
  /** Milliseconds from the first byte of a head to its last. An idle connection may stay. */
  readonly headTimeout: number;
  /** Milliseconds that a client may go on sending a body that nobody wants, to be able to read our reply. */
  readonly lingerTimeout: number;
}

export const DEFAULT_LIMITS: ConnectionLimits = {
  maxHead: 256 * 1024,
  headTimeout: 60_000,
  lingerTimeout: 2_000,
};

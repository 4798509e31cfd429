/** What the relays of ports need from the loop that runs them. */

/** @param events of `EPOLL`; 0: asked for by `again` */
export type Handler = (events: number) => void;

export interface Loop {
  /** Tells of everything that happens to a descriptor, once. */
  watch(fd: number, handler: Handler): void;
  /** Calls the handler once more, after the others had their turn. */
  again(fd: number): void;
  /** Stops watching, and closes. */
  close(fd: number): void;
}

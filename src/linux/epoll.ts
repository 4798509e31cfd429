/**
 * epoll, for a process that does nothing but wait for descriptors: the loop is the caller's own. Events are
 * edge-triggered: each is told once, and whoever hears of it goes on until there is nothing left to do.
 * @see https://man7.org/linux/man-pages/man7/epoll.7.html
 */
import { constants } from "node:os";
import { check, LinuxError, lastErrno, libc } from "./libc.ts";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL = { ADD: 1, DEL: 2 } as const;
export const EPOLL = { IN: 0x1, OUT: 0x4, ERR: 0x8, HUP: 0x10, RDHUP: 0x2000 } as const;
const EPOLLET = 0x80000000;
/** x86-64 packs `struct epoll_event`; everyone else aligns its 64-bit member. */
const PACKED = process.arch === "x64";
const EVENT_SIZE = PACKED ? 12 : 16;
const DATA_AT = PACKED ? 4 : 8;
const MOST_AT_ONCE = 256;

export interface ReadyDescriptor {
  readonly fd: number;
  /** Of `EPOLL`. */
  readonly events: number;
}

export class Epoll implements Disposable {
  readonly #fd = check(libc.epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  readonly #ready = Buffer.alloc(EVENT_SIZE * MOST_AT_ONCE);

  /** Errors and hang-ups are always told. @throws LinuxError */
  add(fd: number, events: number): void {
    const event = Buffer.alloc(EVENT_SIZE);
    event.writeUInt32LE((events | EPOLLET) >>> 0, 0);
    event.writeInt32LE(fd, DATA_AT);
    check(libc.epoll_ctl(this.#fd, EPOLL_CTL.ADD, fd, event), "epoll_ctl");
  }

  /** Closing a descriptor that nobody else holds does the same. */
  remove(fd: number): void {
    libc.epoll_ctl(this.#fd, EPOLL_CTL.DEL, fd, Buffer.alloc(EVENT_SIZE));
  }

  /** Blocks the thread. @param milliseconds −1: for ever; empty when they are over @throws LinuxError */
  wait(milliseconds: number): ReadyDescriptor[] {
    const count = Number(libc.epoll_wait(this.#fd, this.#ready, MOST_AT_ONCE, milliseconds));
    if (count < 0) {
      if (lastErrno() === constants.errno.EINTR) return [];
      throw new LinuxError("epoll_wait", lastErrno());
    }
    return Array.from({ length: count }, (_, i) => ({
      events: this.#ready.readUInt32LE(i * EVENT_SIZE),
      fd: this.#ready.readInt32LE(i * EVENT_SIZE + DATA_AT),
    }));
  }

  [Symbol.dispose](): void {
    libc.close(this.#fd);
  }
}

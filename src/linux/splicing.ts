/**
 * Moving bytes from one socket to another without seeing them: splice(2) through a pipe. A pipe is held only while
 * bytes are in it, so an idle connection costs none.
 */
import { constants } from "node:os";
import { check, LinuxError, lastErrno, libc } from "./libc.ts";

const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const F_SETPIPE_SZ = 1031;
const SPLICE_F_MOVE = 1;
const SPLICE_F_NONBLOCK = 2;
const PIPE_BYTES = 1 << 18;
const MOST_SPARE = 32;
const SHUT_WR = 1;

interface Pipe {
  readonly out: number;
  readonly into: number;
}

const spare: Pipe[] = [];

function takePipe(): Pipe {
  const known = spare.pop();
  if (known) return known;
  const pair = new Int32Array(2);
  check(libc.pipe2(pair, O_NONBLOCK | O_CLOEXEC), "pipe2");
  const [out = -1, into = -1] = pair;
  // Refused beyond the user's limit: then it is as large as it is.
  libc.fcntl(into, F_SETPIPE_SZ, BigInt(PIPE_BYTES));
  return { out, into };
}

function givePipe(pipe: Pipe): void {
  if (spare.length < MOST_SPARE) spare.push(pipe);
  else closePipe(pipe);
}

function closePipe({ out, into }: Pipe): void {
  libc.close(out);
  libc.close(into);
}

/** `waiting`: for an event of either socket; `more`: there may be more, others first; `ended`: all is through. */
export type FlowState = "waiting" | "more" | "ended";

/** One direction. At its end the other side's reading ends too (half-close). */
export class Flow implements Disposable {
  readonly #from: number;
  readonly #to: number;
  #pipe: Pipe | undefined;
  #inPipe = 0;
  #sourceEnded = false;
  #ended = false;

  /** Both sockets non-blocking; the caller closes them. */
  constructor(from: number, to: number) {
    this.#from = from;
    this.#to = to;
  }

  /** Moves what there is, a bounded number of rounds. @throws LinuxError: the connection is broken */
  pump(): FlowState {
    if (this.#ended) return "ended";
    for (let round = 0; round < 16; round++) {
      if (this.#inPipe === 0 && !this.#fill()) return this.#finish();
      if (!this.#drain()) return "waiting";
    }
    return "more";
  }

  [Symbol.dispose](): void {
    // A pipe with bytes in it is of no use to anybody else.
    if (this.#pipe) closePipe(this.#pipe);
    this.#pipe = undefined;
    this.#ended = true;
  }

  /** False if nothing came. */
  #fill(): boolean {
    if (this.#sourceEnded) return false;
    this.#pipe ??= takePipe();
    const count = splice(this.#from, this.#pipe.into, PIPE_BYTES);
    if (count === 0) this.#sourceEnded = true;
    this.#inPipe = count ?? 0;
    return this.#inPipe > 0;
  }

  /** False if not all went. */
  #drain(): boolean {
    while (this.#pipe && this.#inPipe > 0) {
      const count = splice(this.#pipe.out, this.#to, this.#inPipe);
      if (!count) return false;
      this.#inPipe -= count;
    }
    return true;
  }

  #finish(): FlowState {
    if (this.#pipe) givePipe(this.#pipe);
    this.#pipe = undefined;
    if (!this.#sourceEnded) return "waiting";
    this.#ended = true;
    libc.shutdown(this.#to, SHUT_WR);
    return "ended";
  }
}

/** undefined: it would have to wait. */
function splice(from: number, to: number, length: number): number | undefined {
  const count = libc.splice(from, null, to, null, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (Number(count) >= 0) return Number(count);
  const errno = lastErrno();
  if (errno === constants.errno.EAGAIN) return undefined;
  throw new LinuxError("splice", errno);
}

/** What became of a connection that was begun. 0: it stands. */
export function connectionError(fd: number): number {
  const value = Buffer.alloc(4);
  const length = Buffer.of(4, 0, 0, 0);
  check(libc.getsockopt(fd, 1, 4, value, length), "getsockopt", "SO_ERROR");
  return value.readInt32LE(0);
}

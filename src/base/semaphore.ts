/** At most so many at a time, first come first served. */
export class Semaphore {
  #free: number;
  #places: number;
  readonly #waiting: (() => void)[] = [];

  constructor(places: number) {
    this.#free = places;
    this.#places = places;
  }

  /** More or fewer places from now on: who holds one keeps it. */
  resize(places: number): void {
    this.#free += places - this.#places;
    this.#places = places;
    while (this.#free > 0 && this.#waiting.length > 0) {
      this.#free--;
      this.#waiting.shift()?.();
    }
  }

  /** False if the next caller would have to wait. */
  get hasFree(): boolean {
    return this.#free > 0;
  }

  /** Waits for a place; the holder must dispose. @throws the signal's reason if aborted while waiting */
  async acquire(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.#release();
        held = false;
      },
    };
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => {
      const index = this.#waiting.indexOf(resolve);
      // Gone already: the place was handed over in the same moment, and is the holder's to give back.
      if (index < 0) return;
      this.#waiting.splice(index, 1);
      reject(signal.reason);
    };
    this.#waiting.push(resolve);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #release(): void {
    // Below zero: there are fewer places than before, and this one is gone.
    const next = this.#free < 0 ? undefined : this.#waiting.shift();
    if (next) next();
    else this.#free++;
  }
}

/** A queue between one who receives and one who works: the first waits when the second falls behind. Iterate once. */
export class Inbox<T> implements AsyncIterable<T> {
  readonly #limit: number;
  readonly #items: T[] = [];
  #state: "open" | "ended" | { readonly failure: unknown } = "open";
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  constructor(limit = 64) {
    this.#limit = limit;
  }

  /** Resolves when there is room again. After the end it does nothing. */
  async put(item: T): Promise<void> {
    if (this.#state !== "open") return;
    this.#items.push(item);
    this.#wakeReader?.();
    if (this.#items.length >= this.#limit) {
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
      });
    }
  }

  end(): void {
    if (this.#state === "open") this.#state = "ended";
    this.#wake();
  }

  /** Items before it are given first. */
  fail(failure: unknown): void {
    if (this.#state === "open") this.#state = { failure };
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    try {
      for (;;) {
        const item = this.#items.shift();
        if (item !== undefined) {
          this.#wakeWriter?.();
          yield item;
        } else if (this.#state === "open") {
          await new Promise<void>((resolve) => {
            this.#wakeReader = resolve;
          });
        } else if (this.#state === "ended") return;
        else throw this.#state.failure;
      }
    } finally {
      // Nobody reads any more: nobody may wait for room.
      if (this.#state === "open") this.#state = "ended";
      this.#wakeWriter?.();
    }
  }

  #wake(): void {
    this.#wakeReader?.();
    this.#wakeWriter?.();
  }
}

/** Lets others have the JavaScript thread in between, while a long loop works on data that is there already. */

/** A request that waits for the thread should not notice. Milliseconds. */
const LONGEST_TURN = 4;

export class Pace {
  #since = performance.now();

  /** To be called often: returns at once until a turn has become long. */
  async breathe(): Promise<void> {
    if (performance.now() - this.#since < LONGEST_TURN) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#since = performance.now();
  }
}

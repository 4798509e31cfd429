/** What timers can and cannot do. */

/** What setTimeout takes; longer ones would fire at once. Milliseconds, 24 days. */
export const LONGEST_TIMER = 2 ** 31 - 1;

// Random numbers from a seed, so that a failure can be repeated.

/** A generator of numbers from 0 to below 1 (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Draws from lists with one generator. */
export class Draw {
  constructor(seed) {
    this.next = random(seed);
  }

  /** One of the items. */
  of(items) {
    return items[Math.floor(this.next() * items.length)];
  }

  /** A whole number from `from` to `to`. */
  count(from, to) {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  /** True in `share` of all cases. */
  is(share) {
    return this.next() < share;
  }

  /** An array of `count` results of `make`. */
  many(count, make) {
    return Array.from({ length: count }, make);
  }
}

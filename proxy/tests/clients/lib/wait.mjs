// Waits that end: for a promise, or for the next of a socket's messages that fits, each with a bound and a name.
import { Failed } from './scenario.mjs';

export const PATIENCE_SECONDS = 10;

// The promise's value; or a failure that says what did not come in time.
export async function within(what, promise, seconds = PATIENCE_SECONDS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Failed(`no ${what} within ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// Hands each message to those who wait for one like it, and the end of the socket to everybody.
export class Inbox {
  #waiting = new Set();
  #ended;

  next(what, fits, seconds) {
    if (this.#ended) return Promise.reject(this.#ended);
    const { promise, resolve, reject } = deferred();
    const waiter = { fits, resolve, reject };
    this.#waiting.add(waiter);
    return within(what, promise, seconds).finally(() => this.#waiting.delete(waiter));
  }

  deliver(message) {
    for (const waiter of this.#waiting) {
      if (waiter.fits(message)) waiter.resolve(message);
    }
  }

  end(why) {
    this.#ended = new Failed(`the socket closed: ${why}`);
    for (const waiter of this.#waiting) waiter.reject(this.#ended);
  }
}

export function deferred() {
  let resolve, reject;
  const promise = new Promise((...settle) => ([resolve, reject] = settle));
  return { promise, resolve, reject };
}

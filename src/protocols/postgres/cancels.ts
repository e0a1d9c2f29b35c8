import { randomBytes, randomInt, timingSafeEqual } from 'node:crypto'
import type { BackendKey } from './messages-client.ts'

/** The minor version of protocol 3 from which on a key may have more than 4 bytes (up to 256; PostgreSQL's own has 32). */
const LONG_KEYS_SINCE = 2

/**
 * CancelRequest comes on a connection of its own and without a token ("Canceling Requests in Progress"): all it has is
 * the key that the gateway gave the session. The target's own key never reaches a client.
 */
export class Cancels {
  readonly #sessions = new Map<number, { readonly key: Buffer; readonly cancel: () => void }>()

  /** The key for a client that speaks this minor version; the session is forgotten when it is disposed. */
  add(minor: number, cancel: () => void): BackendKey & Disposable {
    const key = randomBytes(minor < LONG_KEYS_SINCE ? 4 : 32)
    let pid = randomInt(1, 2 ** 31)
    while (this.#sessions.has(pid)) pid = randomInt(1, 2 ** 31)
    this.#sessions.set(pid, { key, cancel })
    return { pid, key, [Symbol.dispose]: () => void this.#sessions.delete(pid) }
  }

  /** As with PostgreSQL, nobody is told whether there was such a session. */
  request({ pid, key }: BackendKey): void {
    const session = this.#sessions.get(pid)
    if (session && session.key.length === key.length && timingSafeEqual(session.key, key)) session.cancel()
  }
}

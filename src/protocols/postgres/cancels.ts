import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { BackendKey } from './messages-client.ts'

/** The minor version of protocol 3 from which on a key may have more than 4 bytes (up to 256; PostgreSQL's own has 32). */
const LONG_KEYS_SINCE = 2

type Session = { readonly key: Buffer; readonly cancel: () => void }

/**
 * CancelRequest comes on a connection of its own and without a token ("Canceling Requests in Progress"): all it has is
 * the key that the gateway gave the session. The target's own key never reaches a client.
 * The process id is the target's: clients compare it with that of notifications and ask the target about it.
 */
export class Cancels {
  /** By process id, of which each target has its own. */
  readonly #sessions = new Map<number, readonly Session[]>()

  /** The key for a client that speaks this minor version; the session is forgotten when it is disposed. */
  add(pid: number, minor: number, cancel: () => void): BackendKey & Disposable {
    const session = { key: randomBytes(minor < LONG_KEYS_SINCE ? 4 : 32), cancel }
    this.#sessions.set(pid, [...this.#of(pid), session])
    return { pid, key: session.key, [Symbol.dispose]: () => this.#forget(pid, session) }
  }

  /** As with PostgreSQL, nobody is told whether there was such a session. */
  request({ pid, key }: BackendKey): void {
    for (const session of this.#of(pid)) {
      if (session.key.length === key.length && timingSafeEqual(session.key, key)) session.cancel()
    }
  }

  #of(pid: number): readonly Session[] {
    return this.#sessions.get(pid) ?? []
  }

  #forget(pid: number, session: Session): void {
    const others = this.#of(pid).filter((other) => other !== session)
    if (others.length > 0) this.#sessions.set(pid, others)
    else this.#sessions.delete(pid)
  }
}

import { Fault } from '../../gateway/fault.ts'

/** A change to a name that was sent but that the target has not answered yet. */
export type Proposal = { confirm(): void; drop(): void }

type Pending<T> = { readonly key: string | null; readonly value: T | undefined; readonly batch: number }

/** What a session may keep at most: more names than any client needs. */
const MOST = 10_000
const MOST_BYTES = 128 * 1024 * 1024
/** A name's bytes that count at the target (NAMEDATALEN - 1): two that differ only behind them are one name. */
const NAME_BYTES = 63
/** In UTF-8, of a UTF-16 code unit. */
const MOST_BYTES_OF_A_UNIT = 3

/**
 * Names that live in a session at the target: prepared statements, or portals with cursors. They follow the target's
 * confirmations, not the client's wishes: a change counts for what comes behind it in the same batch (up to the next
 * Sync), because the target skips all of that too if the change fails; a later batch has to wait for the answer.
 */
export class Names<T> {
  readonly #confirmed = new Map<string, T>()
  #pending: Pending<T>[] = []
  #bytes = 0
  readonly #sizeOf: (value: T) => number

  /** `sizeOf` says in bytes what remembering a value costs. */
  constructor(sizeOf: (value: T) => number) {
    this.#sizeOf = sizeOf
  }

  /** What the name stands for; `null` when a change of an earlier batch is still unanswered. */
  look(name: string, batch: number): T | undefined | null {
    const key = keyOf(name)
    const pending = this.#pending.findLast((change) => change.key === key || change.key === null)
    if (!pending) return this.#confirmed.get(key)
    return pending.batch === batch ? pending.value : null
  }

  /** `name` null is every name; `value` undefined removes. Fault `protocol` when the session keeps too much. */
  propose(name: string | null, value: T | undefined, batch: number): Proposal {
    const change = { key: name === null ? null : keyOf(name), value, batch }
    this.#bytes += this.#weigh(value)
    this.#pending.push(change)
    if (this.#confirmed.size + this.#pending.length > MOST || this.#bytes > MOST_BYTES)
      throw new Fault('protocol', `the session keeps more than ${MOST} statements or portals, or ${MOST_BYTES} bytes`)
    return { confirm: () => this.#settle(change, true), drop: () => this.#settle(change, false) }
  }

  /** Takes away the confirmed names whose value is gone at the target. */
  forget(isGone: (value: T) => boolean): void {
    for (const [key, value] of this.#confirmed) if (isGone(value)) this.#remove(key)
  }

  /** The first answer counts: a change that was confirmed or dropped is settled. */
  #settle(change: Pending<T>, confirmed: boolean): void {
    const place = this.#pending.indexOf(change)
    if (place < 0) return
    this.#pending.splice(place, 1)
    const { key, value } = change
    if (!confirmed || value === undefined) this.#bytes -= this.#weigh(value)
    if (!confirmed) return
    if (key === null) this.forget(() => true)
    else this.#remove(key)
    if (key !== null && value !== undefined) this.#confirmed.set(key, value)
  }

  #remove(key: string): void {
    this.#bytes -= this.#weigh(this.#confirmed.get(key))
    this.#confirmed.delete(key)
  }

  #weigh(value: T | undefined): number {
    return value === undefined ? 0 : this.#sizeOf(value)
  }
}

/** A name that is surely within its bytes is its own key: no other one is as short. */
function keyOf(name: string): string {
  if (name.length * MOST_BYTES_OF_A_UNIT <= NAME_BYTES) return name
  return Buffer.from(name, 'utf8').subarray(0, NAME_BYTES).toString('latin1')
}

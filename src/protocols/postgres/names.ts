/** A change to a name that was sent but that the target has not answered yet. */
export type Proposal = { confirm(): void; drop(): void }

type Pending<T> = { readonly name: string | null; readonly value: T | undefined; readonly batch: number }

/** More names than any client needs; a session that wants more is refused. */
const MOST = 10_000

/**
 * Names that live in a session at the target: prepared statements, or portals with cursors. They follow the target's
 * confirmations, not the client's wishes: a change counts for what comes behind it in the same batch (up to the next
 * Sync), because the target skips all of that too if the change fails; a later batch has to wait for the answer.
 */
export class Names<T> {
  readonly #confirmed = new Map<string, T>()
  #pending: Pending<T>[] = []

  get full(): boolean {
    return this.#confirmed.size + this.#pending.length >= MOST
  }

  /** What the name stands for; `null` when a change of an earlier batch is still unanswered. */
  look(name: string, batch: number): T | undefined | null {
    const pending = this.#pending.findLast((change) => change.name === name || change.name === null)
    if (!pending) return this.#confirmed.get(name)
    return pending.batch === batch ? pending.value : null
  }

  /** `name` null is every name; `value` undefined removes. */
  propose(name: string | null, value: T | undefined, batch: number): Proposal {
    const change = { name, value, batch }
    this.#pending.push(change)
    const drop = (): void => {
      this.#pending = this.#pending.filter((pending) => pending !== change)
    }
    const confirm = (): void => {
      drop()
      if (name === null) this.#confirmed.clear()
      else if (value === undefined) this.#confirmed.delete(name)
      else this.#confirmed.set(name, value)
    }
    return { confirm, drop }
  }
}

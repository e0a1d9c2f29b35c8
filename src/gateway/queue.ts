import type { Soon, Source } from './source.ts'

/** An ordered hand-over between two loops: bounded, closable, and able to say when all of it was worked off. */
export class Queue<T> implements Source<T> {
  readonly #limit: number
  readonly #items: T[] = []
  #unfinished = 0
  /** The reader has an item that it still works on. */
  #taken = false
  #closed = false
  #wakers: (() => void)[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  /** True once the item is in; waits while the queue is full. False when the queue is closed: the item is not in. */
  push(item: T): Soon<boolean> {
    return this.#items.length < this.#limit || this.#closed ? this.pushNow(item) : this.#pushLater(item)
  }

  /** Like `push`, whatever the limit. */
  pushNow(item: T): boolean {
    if (this.#closed) return false
    this.#items.push(item)
    this.#unfinished++
    this.#wake()
    return true
  }

  /** No more items; those inside are still worked off. */
  close(): void {
    this.#closed = true
    this.#wake()
  }

  /** Resolves when every item so far was taken and worked off, or when the reader has left. */
  async drained(): Promise<void> {
    while (this.#unfinished > 0) await this.#change()
  }

  /** The item that `next` will give, if it is there. */
  peek(): T | undefined {
    return this.#items[0]
  }

  /** An item counts as worked off when the next one is asked for. */
  next(): Soon<T | undefined> {
    if (this.#taken) this.#finish()
    return this.#items.length > 0 || this.#closed ? this.#take() : this.#takeLater()
  }

  /** The reader reads no further: nothing more is taken in, and what is inside counts as worked off. */
  leave(): void {
    this.#closed = true
    this.#unfinished = 0
    this.#wake()
  }

  async #pushLater(item: T): Promise<boolean> {
    while (this.#items.length >= this.#limit && !this.#closed) await this.#change()
    return this.pushNow(item)
  }

  #take(): T | undefined {
    const item = this.#items.shift()
    this.#taken = item !== undefined
    this.#wake()
    return item
  }

  async #takeLater(): Promise<T | undefined> {
    while (this.#items.length === 0 && !this.#closed) await this.#change()
    return this.#take()
  }

  #finish(): void {
    this.#taken = false
    this.#unfinished--
    this.#wake()
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wakers.push(resolve))
  }

  #wake(): void {
    const wakers = this.#wakers
    if (wakers.length === 0) return
    this.#wakers = []
    for (const waker of wakers) waker()
  }
}

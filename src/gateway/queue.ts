/** An ordered hand-over between two loops: bounded, closable, and able to say when all of it was worked off. */
export class Queue<T> implements AsyncIterable<T> {
  readonly #limit: number
  readonly #items: T[] = []
  #unfinished = 0
  #closed = false
  #wakers: (() => void)[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Resolves once the item is in; waits while the queue is full. False when the queue is closed: the item is not in. */
  async push(item: T): Promise<boolean> {
    while (this.#items.length >= this.#limit && !this.#closed) await this.#change()
    return this.pushNow(item)
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

  /** One reader. An item counts as worked off when the next one is asked for. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    try {
      for (;;) {
        while (this.#items.length === 0) {
          if (this.#closed) return
          await this.#change()
        }
        const item = this.#items.shift() as T
        this.#wake()
        yield item
        this.#unfinished--
        this.#wake()
      }
    } finally {
      this.#closed = true
      this.#unfinished = 0
      this.#wake()
    }
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

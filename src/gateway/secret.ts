import { inspect } from 'node:util'

/** A credential in memory: prints as `[secret]` everywhere, and is wiped when disposed. */
export class Secret implements Disposable {
  #bytes: Buffer

  constructor(text: string) {
    this.#bytes = Buffer.from(text, 'utf8')
  }

  /** The credential itself: only for the call that presents it. */
  reveal(): string {
    return this.#bytes.toString('utf8')
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }

  [Symbol.dispose](): void {
    this.#bytes.fill(0)
    this.#bytes = Buffer.alloc(0)
  }
}

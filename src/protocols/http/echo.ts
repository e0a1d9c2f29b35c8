const STAR = 0x2a
/** A shorter text is no secret worth looking for: it would be found by chance. */
const SHORTEST = 8

/** The credential of a session, wherever a target repeats it: stars of the same length stand in its place. */
export class Echo {
  readonly #secrets: readonly Buffer[]
  #kept: Buffer = Buffer.alloc(0)

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets.map((text) => Buffer.from(text, 'utf8')).filter(({ length }) => length >= SHORTEST)
  }

  /** Of a text that is whole. */
  hide(bytes: Buffer): Buffer {
    let copy: Buffer | undefined
    for (const secret of this.#secrets) {
      for (let at = bytes.indexOf(secret); at >= 0; at = bytes.indexOf(secret, at + 1)) {
        copy ??= Buffer.from(bytes)
        copy.fill(STAR, at, at + secret.length)
      }
    }
    return copy ?? bytes
  }

  /** Of a text that comes in chunks: the start of a secret at the end of one is kept for the next. */
  push(chunk: Buffer): Buffer {
    const text = this.hide(this.#kept.length > 0 ? Buffer.concat([this.#kept, chunk]) : chunk)
    const begun = Math.max(0, ...this.#secrets.map((secret) => startAtEnd(text, secret)))
    this.#kept = text.subarray(text.length - begun)
    return text.subarray(0, text.length - begun)
  }

  /** What was kept of the last chunk. */
  end(): Buffer {
    return this.#kept
  }
}

/** How many bytes at the end of a text are the start of a secret. */
function startAtEnd(text: Buffer, secret: Buffer): number {
  for (let size = Math.min(secret.length - 1, text.length); size > 0; size--) {
    if (text.subarray(text.length - size).equals(secret.subarray(0, size))) return size
  }
  return 0
}

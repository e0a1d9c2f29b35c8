/** A response as it is on the wire, taken apart without the code under test (RFC 9112 sections 6 and 7). */
export type Response = {
  readonly status: number
  readonly head: string
  readonly body: readonly Buffer[]
  /** Its end has come, as its framing says. */
  readonly whole: boolean
}

type Growing = { status: number; head: string; body: Buffer[]; whole: boolean }
/** What comes next; `left` in bytes. */
type State =
  | { readonly in: 'head' | 'size' | 'chunk end' | 'trailer' | 'rest' }
  | { in: 'body' | 'chunk'; left: number }

/** Reads responses out of whatever pieces they come in. */
export class ResponseReader {
  readonly responses: Growing[] = []
  #state: State = { in: 'head' }
  #line = Buffer.alloc(0)

  push(chunk: Buffer): void {
    let bytes: Buffer = chunk
    while (bytes.length > 0) {
      const state = this.#state
      if (state.in === 'rest') {
        this.#last.body.push(bytes)
        return
      }
      bytes = 'left' in state ? this.#take(state, bytes) : this.#takeLines(state.in, bytes)
    }
  }

  get #last(): Growing {
    return this.responses.at(-1)!
  }

  #take(state: { readonly in: 'body' | 'chunk'; left: number }, bytes: Buffer): Buffer {
    const part = bytes.subarray(0, state.left)
    this.#last.body.push(part)
    state.left -= part.length
    if (state.left === 0 && state.in === 'body') this.#end()
    else if (state.left === 0) this.#state = { in: 'chunk end' }
    return bytes.subarray(part.length)
  }

  #takeLines(kind: 'head' | 'size' | 'chunk end' | 'trailer', bytes: Buffer): Buffer {
    const all = Buffer.concat([this.#line, bytes])
    const mark = kind === 'head' ? '\r\n\r\n' : '\r\n'
    const at = all.indexOf(mark)
    this.#line = at < 0 ? all : Buffer.alloc(0)
    if (at < 0) return Buffer.alloc(0)
    const line = all.toString('latin1', 0, at)
    if (kind === 'head') this.#begin(line)
    else if (kind === 'chunk end') this.#state = { in: 'size' }
    else if (kind === 'trailer') this.#end()
    else this.#state = Number.parseInt(line, 16) === 0 ? { in: 'trailer' } : { in: 'chunk', left: parseInt(line, 16) }
    return all.subarray(at + mark.length)
  }

  #begin(head: string): void {
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0)
    this.responses.push({ status, head, body: [], whole: false })
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1]
    if (length !== undefined && length !== '0') this.#state = { in: 'body', left: Number(length) }
    else if (/\r\ntransfer-encoding: chunked/i.test(head)) this.#state = { in: 'size' }
    else if (length === '0' || status === 100) this.#end()
    else this.#state = { in: 'rest' }
  }

  #end(): void {
    this.#last.whole = true
    this.#state = { in: 'head' }
  }
}

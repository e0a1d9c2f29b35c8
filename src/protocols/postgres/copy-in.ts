import type { Operation } from '../../gateway/domain.ts'
import type { Input } from '../../gateway/exchange.ts'
import type { Soon } from '../../gateway/source.ts'
import type { Connection } from './connection.ts'
import type { Frame } from './frames.ts'
import { FRONTEND, type FrontendName } from './message-types.ts'
import { decodeCopyFail } from './messages-client.ts'
import { joined } from './pieces.ts'

/** What a client may send while the target takes input; the server itself ends the connection at any other message. */
const COPYING: ReadonlySet<FrontendName | undefined> = new Set(['CopyData', 'CopyDone', 'CopyFail', 'Sync', 'Flush'])

/** What a client is told that sends anything else. */
export const NOTHING_ELSE = 'a client sends nothing but the rows of its COPY'

/** Whether the target takes input from the client, and for which operation ("COPY Operations": copy-in mode). */
export class CopyIn {
  #operation: Operation | undefined
  /** COPYs that were sent and have not asked for their input yet. */
  #coming = 0
  #certain = Promise.withResolvers<void>()
  #clientLeft = false
  readonly #stranded: () => void

  /** `stranded` is called when the target waits for input of a client that sends no more. */
  constructor(stranded: () => void) {
    this.#stranded = stranded
  }

  /** The operation that takes input; undefined outside of copy-in mode. */
  get operation(): Operation | undefined {
    return this.#operation
  }

  /** Statements that may ask for input so many times are on their way. */
  expect(copies: number): void {
    this.#coming += copies
  }

  /** Of statements that are over, so many never asked; others may be on their way behind them. */
  over(copies: number): void {
    this.#coming -= copies
    this.#decided()
  }

  /**
   * Resolves once it is certain whether the target takes input. What it makes of a Sync depends on that: sent before, it is
   * ignored by a COPY that reads it and answered behind one that fails before it reads anything.
   */
  certain(): Soon<void> {
    if (this.#coming > 0 && this.#operation === undefined) return this.#certain.promise
  }

  /** The target has said CopyInResponse. */
  open(operation: Operation): void {
    this.#operation = operation
    this.#coming--
    this.#decided()
    if (this.#clientLeft) this.#stranded()
  }

  /** The client has sent all there is, or the target wants no more. */
  close(): void {
    this.#operation = undefined
  }

  /** The client sends nothing more. */
  leave(): void {
    this.#clientLeft = true
    if (this.#operation !== undefined) this.#stranded()
  }

  /** True when a client may not send this now. */
  forbids(name: FrontendName | undefined): boolean {
    return this.#operation !== undefined && !COPYING.has(name)
  }

  /** True when the target ignores this now: it expects a client that did not know that its statement was a COPY. */
  ignores(name: FrontendName | undefined): boolean {
    return this.#operation !== undefined && (name === 'Sync' || name === 'Flush')
  }

  #decided(): void {
    const { resolve } = this.#certain
    this.#certain = Promise.withResolvers()
    resolve()
  }
}

/** What the client sends into a COPY; undefined when the target takes none, which ignores it then. */
export function readInput(connection: Connection, frames: readonly Frame[]): Input | undefined {
  const { copyIn } = connection
  const feeds = copyIn.operation
  if (feeds === undefined) return undefined
  const last = frames.some(isEnd)
  if (last) copyIn.close()
  const bytes = joined(frames.map((frame) => frame.bytes))
  return { feeds, bytes, last, send: (permit) => connection.write(permit, bytes) }
}

function isEnd(frame: Frame): boolean {
  if (frame.type === FRONTEND.CopyFail) decodeCopyFail(frame)
  return frame.type !== FRONTEND.CopyData
}

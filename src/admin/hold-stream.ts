import type { Clock } from '../gateway/clock.ts'
import type { GrantId } from '../gateway/domain.ts'
import type { HeldGrant } from '../gateway/grant-desk.ts'

/** How often a stream that holds a grant says that it does, in ms. */
const SAY_EVERY_MS = 5_000

/**
 * Says `{"grant","held":true}` now and every five seconds, and at last `{"grant","ended":"why"}`. Broken off, or when its
 * client has `left`, it releases.
 */
export function holdStream(
  grant: GrantId,
  { ended, released }: HeldGrant,
  { clock, left }: { readonly clock: Clock; readonly left: AbortSignal },
): ReadableStream<Uint8Array> {
  const over = new AbortController()
  const release = (): void => {
    over.abort()
    released()
  }
  left.addEventListener('abort', release, { once: true })
  if (left.aborted) release()
  const line = (content: object): Uint8Array => Buffer.from(`${JSON.stringify({ grant, ...content })}\n`)
  return new ReadableStream({
    start: (stream) => {
      const say = async (): Promise<void> => {
        for (; !over.signal.aborted; await clock.sleep(SAY_EVERY_MS, over.signal)) stream.enqueue(line({ held: true }))
      }
      void say()
      void ended.then((reason) => {
        if (over.signal.aborted) return
        over.abort()
        stream.enqueue(line({ ended: reason }))
        stream.close()
      })
    },
    cancel: release,
  })
}

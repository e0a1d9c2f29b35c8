import { setImmediate } from 'node:timers/promises'

/**
 * How a fake target answers: as it should; cut at these places; half of it, and then nothing more, a reset, an orderly
 * end, or bytes that are none of its protocol; as it should and then once more, at once or later.
 */
export type Behaviour =
  | { readonly does: 'answer' | 'stall' | 'reset' | 'close' | 'garbage' | 'repeat' | 'repeat later' }
  | { readonly does: 'cut'; readonly at: readonly number[] }

/** A fake target's side of a connection. */
export type Outlet = {
  /** Resolves when the network has taken them, or never will. */
  pass(bytes: Buffer): Promise<void>
  end(): void
  reset(): void
}

const CHUNK = 64 * 1024
const GARBAGE = Buffer.alloc(512, 0xff)
/** Long enough that an answer was taken and its connection is at rest, in ms. */
const LATER_MS = 60

/** Puts an answer on the network; `taken` is told of bytes that have gone. Resolves when that is over. */
export async function deliver(
  answer: Buffer,
  outlet: Outlet,
  behaviour: Behaviour,
  taken: (bytes: number) => void,
): Promise<void> {
  const pass = async (bytes: Buffer): Promise<void> => {
    for (let at = 0; at < bytes.length; at += CHUNK) {
      const chunk = bytes.subarray(at, at + CHUNK)
      await outlet.pass(chunk)
      taken(chunk.length)
    }
  }
  if (behaviour.does === 'answer') return pass(answer)
  if (behaviour.does === 'cut') return cut(answer, behaviour.at, pass)
  if (behaviour.does === 'repeat') return pass(Buffer.concat([answer, answer]))
  if (behaviour.does === 'repeat later') {
    await pass(answer)
    setTimeout(() => void pass(answer), LATER_MS)
    return undefined
  }
  await pass(answer.subarray(0, answer.length >> 1))
  if (behaviour.does === 'stall') return new Promise(() => undefined)
  if (behaviour.does === 'garbage') return pass(GARBAGE)
  if (behaviour.does === 'close') outlet.end()
  else outlet.reset()
  return undefined
}

/** In pieces, each a segment of its own as far as the network allows. */
async function cut(answer: Buffer, places: readonly number[], pass: (bytes: Buffer) => Promise<void>): Promise<void> {
  const cuts = [...new Set(places.map((place) => place % answer.length))].sort((one, other) => one - other)
  let from = 0
  for (const to of [...cuts, answer.length]) {
    await pass(answer.subarray(from, to))
    await setImmediate()
    from = to
  }
}

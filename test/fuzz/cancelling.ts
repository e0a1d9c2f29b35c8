import { u32, untyped } from '../frames-builder.ts'
import type { FuzzScene } from './fuzz-scene.ts'
import type { Heard } from './heard.ts'
import type { Random } from './random.ts'

const CANCEL_REQUEST = 80_877_102

/** CancelRequest on a connection of its own, by the client's key or by one that is near it; never an answer. */
export async function requestCancel(dial: FuzzScene['dial'], heard: Heard, random: Random): Promise<void> {
  const right = random.once(2)
  const key = right ? heard.key : nearly(heard.key, random)
  heard.mayBeCancelled ||= right
  const closing = Promise.withResolvers<void>()
  const line = await dial({
    heard: (bytes) => isKey(key) && heard.problems.push(`an answer to CancelRequest: ${bytes.toString('latin1')}`),
    ended: () => undefined,
    closed: () => closing.resolve(),
  })
  line?.write(untyped(u32(CANCEL_REQUEST), key))
  if (line) await closing.promise
}

/** With the process id before it; what is none is an error, and is told so. */
function isKey({ length }: Buffer): boolean {
  return length >= 8 && length <= 260
}

/** The process id and a key that is not the session's. */
function nearly(key: Buffer, random: Random): Buffer {
  const copy = Buffer.from(key)
  const last = copy.length - 1
  switch (random.below(4)) {
    case 0:
      return Buffer.concat([copy, Buffer.alloc(random.pick([1, 4, 28, 224]))])
    case 1:
      return copy.subarray(0, copy.length > 8 ? random.pick([8, 12, last]) : last)
    case 2:
      copy[last]! ^= 1 << random.below(8)
      return copy
    default:
      return Buffer.concat([copy.subarray(0, 4), Buffer.alloc(random.pick([0, 3, 4, 32, 256, 257]))])
  }
}

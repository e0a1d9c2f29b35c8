import { Fault } from '../../src/gateway/fault.ts'
import type { Entry } from '../../src/record/entry.ts'
import type { Recorder, Stored } from '../../src/record/recorder.ts'

/** A log in memory that can be made to wait and to fail. */
export interface FakeRecorder extends Recorder {
  /** What was stored, in order. */
  readonly entries: readonly Entry[]
  /** From now on entries of this type wait until they are released. */
  block(type: Entry['type']): { readonly reached: Promise<void>; release(): void }
  /** From now on entries of this type cannot be stored, until that is mended. */
  fail(type: Entry['type']): { mend(): void }
}

export function fakeRecorder(): FakeRecorder {
  const entries: Entry[] = []
  const before = new Map<Entry['type'], () => Promise<void>>()
  return {
    entries,
    append: async (entry) => {
      await before.get(entry.type)?.()
      return { seq: entries.push(entry) } as Stored
    },
    checkpoint: async () => undefined,
    block: (type) => {
      const reached = Promise.withResolvers<void>()
      const released = Promise.withResolvers<void>()
      before.set(type, () => {
        reached.resolve()
        return released.promise
      })
      return {
        reached: reached.promise,
        release: () => {
          before.delete(type)
          released.resolve()
        },
      }
    },
    fail: (type) => {
      before.set(type, () => Promise.reject(new Fault('unrecordable', 'the disk is full')))
      return { mend: () => void before.delete(type) }
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}

import type { EventEmitter } from 'node:events'

/** Resolves with the first of these events; an `error` event is not awaited, nor thrown. */
export function firstEvent(emitter: EventEmitter, ...names: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const name of names) emitter.off(name, done)
      resolve()
    }
    for (const name of names) emitter.once(name, done)
  })
}

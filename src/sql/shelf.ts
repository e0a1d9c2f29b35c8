/** What is kept under a key, in order; keys least recently used first out. */
export type Shelf<T> = {
  /** The first that fits. */
  find(key: string, fits: (each: T) => boolean): T | undefined
  at(key: string): readonly T[]
  /** In place of what is there. */
  put(key: string, list: readonly T[]): void
}

/** Keeps up to `totalBytes`, keys included. A UTF-16 unit counts two. */
export function newShelf<T extends { readonly bytes: number }>(totalBytes: number): Shelf<T> {
  const lists = new Map<string, readonly T[]>()
  let held = 0
  const drop = (key: string): void => {
    held -= sizeOf(key, lists.get(key))
    lists.delete(key)
  }
  return {
    at: (key) => lists.get(key) ?? [],
    find(key, fits) {
      const list = lists.get(key)
      const found = list?.find(fits)
      if (list === undefined || found === undefined) return undefined
      lists.delete(key)
      lists.set(key, list)
      return found
    },
    put(key, list) {
      drop(key)
      lists.set(key, list)
      held += sizeOf(key, list)
      for (const oldest of lists.keys()) {
        if (held <= totalBytes) return
        drop(oldest)
      }
    },
  }
}

function sizeOf(key: string, list: readonly { readonly bytes: number }[] | undefined): number {
  return list === undefined ? 0 : list.reduce((sum, { bytes }) => sum + bytes, key.length * 2)
}

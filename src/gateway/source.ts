/** A value, or the promise of one: what is there at once costs no turn of the microtask queue. */
export type Soon<T> = T | Promise<T>

/** Goes on with a value, now if it is there. */
export function soon<T, Next>(value: Soon<T>, use: (value: T) => Soon<Next>): Soon<Next> {
  return value instanceof Promise ? value.then(use) : use(value)
}

/** Values one after another, for one reader who asks for one at a time. `undefined` is the end. */
export interface Source<T> {
  next(): Soon<T | undefined>
}

/** The same values as a source. */
export function sourceOf<T>(items: AsyncIterable<T>): Source<T> {
  const iterator = items[Symbol.asyncIterator]()
  return {
    next: async () => {
      const { done, value } = await iterator.next()
      return done === true ? undefined : value
    },
  }
}

import { reasonOf } from '../gateway/fault.ts'
import type { Store } from './store.ts'

/** The same store; `warn` is told when it begins to fail, and when it works again. */
export function watchedStore(store: Store, warn: (line: string) => void): Store {
  let failing = false
  const watched = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      const result = await work()
      if (failing) warn('the store works again')
      failing = false
      return result
    } catch (error) {
      if (!failing) warn(reasonOf(error))
      failing = true
      throw error
    }
  }
  return {
    ...store,
    query: (work) => watched(() => store.query(work)),
    transaction: (work) => watched(() => store.transaction(work)),
  }
}

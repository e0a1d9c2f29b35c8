import { hash } from 'node:crypto'
import type { Catalog } from './catalog.ts'
import type { ReadRequest } from './reader.ts'

/** What a reading depends on besides its text and the code. */
export type ReadingContext = {
  /** The same for two requests when all that they can see is. */
  readonly id: string
  /** Of the whole catalog, with what only other sessions see. */
  readonly version: string
}

export type ReadingContexts = {
  /** Undefined when the target's catalog is not known. */
  of(request: ReadRequest): ReadingContext | undefined
}

/** So many are told apart before all of them get new names: then readings under the old ones are found no more. */
const MOST_CONTEXTS = 10_000
const LONGEST_KEY = 1_000

/** `catalogs`: by target, as they are when asked. */
export function newReadingContexts(catalogs: ReadonlyMap<string, Catalog>): ReadingContexts {
  const ids = new Map<string, string>()
  /** What each session asked last; its hidden classes are a list of its own. */
  const latest = new WeakMap<readonly string[], Latest>()
  let named = 0
  return {
    of(request) {
      const catalog = catalogs.get(request.target)
      if (catalog === undefined) return undefined
      const last = latest.get(request.hidden)
      if (last && last.catalog === catalog && isAlike(last.request, request)) return last.context
      const context = contextOf(catalog, request)
      latest.set(request.hidden, { catalog, request, context })
      return context
    },
  }

  function contextOf(catalog: Catalog, request: ReadRequest): ReadingContext {
    const { target, searchPath, hidden, inference, wall, open, temporary, changed } = request
    const seen = [seenOf(catalog, temporary), temporary, searchPath, changed?.length ? changed : undefined]
    const key = shortened(JSON.stringify([target, hidden, inference, wall, open ?? false, ...seen]))
    const known = ids.get(key)
    if (known !== undefined) return { id: known, version: catalog.version }
    if (ids.size >= MOST_CONTEXTS) ids.clear()
    const id = String(named++)
    ids.set(key, id)
    return { id, version: catalog.version }
  }
}

type Latest = { readonly catalog: Catalog; readonly request: ReadRequest; readonly context: ReadingContext }

/** Measured: the same lists, and not equal ones, save writing them down. */
function isAlike(one: ReadRequest, other: ReadRequest): boolean {
  return (
    one.target === other.target &&
    one.searchPath === other.searchPath &&
    one.hidden === other.hidden &&
    one.inference === other.inference &&
    one.wall === other.wall &&
    one.open === other.open &&
    one.temporary === other.temporary &&
    one.changed === other.changed
  )
}

/** Many names may have changed. */
function shortened(key: string): string {
  return key.length > LONGEST_KEY ? hash('sha256', key) : key
}

/** The version of what a session with these temporary schemas sees by names of its own. */
function seenOf({ version, shared, temporary: versions = {} }: Catalog, own: readonly string[] | undefined): unknown {
  if (shared === undefined || own === undefined) return version
  return [shared, ...own.map((schema) => versions[schema])]
}

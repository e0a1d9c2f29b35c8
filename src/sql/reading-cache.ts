import { templateOf, type Template } from './lexer.ts'
import type { Reading } from './reader.ts'
import type { ReadingContext } from './reading-contexts.ts'
import { newShelf } from './shelf.ts'

/** A reading as it comes from the worker. */
export type Answer = {
  readonly reading: Reading
  /** The literals of the text's template that have to be the same (watched-literals.ts); undefined when all of them have to. */
  readonly pinned?: readonly number[]
  /** About what it takes. */
  readonly bytes: number
}

/** Readings of recent texts, least recently used first out. */
export type ReadingCache = {
  /** The reading of exactly this text. */
  find(context: ReadingContext, text: string): Reading | undefined
  /** The reading of a text that differs in literals which it does not depend on. */
  findAlike(context: ReadingContext, text: string): Reading | undefined
  keep(context: ReadingContext, text: string, answer: Answer): void
}

/** A reading of one text, or of all with these pinned literals. */
type Kept = {
  readonly reading: Reading
  readonly pinned: readonly (readonly [place: number, literal: string])[]
  /** The one version of the catalog that it is good for, when it depends on all of it. */
  readonly version: string | undefined
  readonly bytes: number
}

/** So many readings of one template, the latest: with more, the pinned literals are the news. */
const MOST_ALIKE = 16

/** Keeps texts of up to `textBytes` each, and up to `totalBytes` in all. A UTF-16 unit counts two. */
export function newReadingCache(textBytes: number, totalBytes: number): ReadingCache {
  const shelf = newShelf<Kept>(totalBytes)
  return {
    find: (context, text) => shelf.find(keyOf(context, text), (kept) => isCurrent(kept, context))?.reading,
    findAlike(context, text) {
      const template = templateOf(text)
      if (template === undefined) return undefined
      const fits = (kept: Kept): boolean => isCurrent(kept, context) && hasPinned(kept, text, template)
      return shelf.find(keyOf(context, template.key), fits)?.reading
    },
    keep(context, text, answer) {
      if (text.length * 2 > textBytes) return
      shelf.put(keyOf(context, text), [keptOf(answer, context, [])])
      const template = answer.pinned && templateOf(text)
      if (template === undefined) return
      const pinned = answer.pinned!.map((place) => [place, literalAt(place, text, template)] as const)
      const key = keyOf(context, template.key)
      const others = shelf.at(key).filter((kept) => isCurrent(kept, context) && !hasPinned(kept, text, template))
      shelf.put(key, [keptOf(answer, context, pinned), ...others].slice(0, MOST_ALIKE))
    },
  }
}

/** A text has no NUL and a template has: neither is taken for the other. */
function keyOf({ id }: ReadingContext, text: string): string {
  return `${id} ${text}`
}

function keptOf({ reading, bytes }: Answer, { version }: ReadingContext, pinned: Kept['pinned']): Kept {
  const literals = pinned.reduce((sum, [, literal]) => sum + literal.length * 2, 0)
  return { reading, pinned, version: seesAll(reading) ? version : undefined, bytes: bytes + literals }
}

/** Of other sessions' temporary relations a query sees only what it names by their schema; a DROP takes them along. */
function seesAll(reading: Reading): boolean {
  if (!('statements' in reading)) return true
  return reading.statements.some(
    ({ node, touches }) =>
      !/^(Select|Insert|Update|Delete|Merge)Stmt$/.test(node) ||
      touches.some(({ resource }) => /\/pg_(toast_)?temp/.test(resource.id)),
  )
}

function isCurrent({ version }: Kept, context: ReadingContext): boolean {
  return version === undefined || version === context.version
}

function hasPinned({ pinned }: Kept, text: string, template: Template): boolean {
  return pinned.every(([place, literal]) => literalAt(place, text, template) === literal)
}

function literalAt(place: number, text: string, { literals }: Template): string {
  const { start, end } = literals[place]!
  return text.slice(start, end)
}

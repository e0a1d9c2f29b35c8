import { refuse } from '../gateway/refusals.ts'
import type { Catalog } from './catalog.ts'
import type { Reading, SqlReader } from './reader.ts'
import { newReadingCache } from './reading-cache.ts'
import { newReadingContexts } from './reading-contexts.ts'
import { newLanes } from './lanes.ts'
import { startReadingQueue, unreadable, type QueueEvents } from './reading-queue.ts'

export type SqlReaderOptions = {
  /** A short text that takes more of its worker's CPU time is refused; one of 1 MiB has five times as much. */
  readonly timeoutMs?: number
  /** In bytes of UTF-8. */
  readonly maxTextBytes?: number
}

const TIMEOUT_MS = 500
const MAX_TEXT_BYTES = 1024 * 1024
const CACHED_TEXT_BYTES = 64 * 1024
/** Until the worker for slow texts ends when there are none, in ms. */
const REST_MS = 10_000
const CACHE_BYTES = 32 * 1024 * 1024

/**
 * Reads SQL in worker threads with PostgreSQL's own parser, one for short texts and one for the slow. A worker is not
 * trusted to live: whatever goes wrong in it but a syntax error, or takes too long, refuses the text that it has and
 * starts a new worker for the others.
 */
export function startSqlReader(options: SqlReaderOptions = {}): SqlReader {
  const maxTextBytes = options.maxTextBytes ?? MAX_TEXT_BYTES
  const catalogs = new Map<string, Catalog>()
  const contexts = newReadingContexts(catalogs)
  const cache = newReadingCache(CACHED_TEXT_BYTES, CACHE_BYTES)
  const lanes = newLanes()
  const events: QueueEvents = {
    contextOf: (request) => contexts.of(request),
    onAnswer(context, text, answer) {
      if ('statements' in answer.reading) cache.keep(context, text, answer)
    },
    onTime: (request, ms) => lanes.took(request, ms),
  }
  const lane = { timeoutMs: options.timeoutMs ?? TIMEOUT_MS, catalogs, events }
  const quick = startReadingQueue(lane)
  const slow = startReadingQueue({ ...lane, restMs: REST_MS })
  return {
    read(request) {
      const { text } = request
      const context = contexts.of(request)
      if (context === undefined) return unknownCatalog(request.target)
      const known = cache.find(context, text) ?? checkText(text, maxTextBytes) ?? cache.findAlike(context, text)
      return known ?? (lanes.isSlow(request) ? slow : quick).read(request)
    },
    learn(target, catalog) {
      catalogs.set(target, catalog)
      for (const queue of [quick, slow]) queue.tell({ does: 'learn', target, catalog })
    },
    [Symbol.asyncDispose]: async () => void (await Promise.all([quick.stop(), slow.stop()])),
  }
}

/** What can be said of a text without reading it. */
function checkText(text: string, maxTextBytes: number): Reading | undefined {
  if (text === '') return { statements: [] }
  const bytes = Buffer.byteLength(text)
  if (bytes > maxTextBytes) {
    const message = `The statement has ${bytes} bytes; at most ${maxTextBytes} are read.`
    return { objection: refuse('too_large', message, [{ do: 'change', hint: 'send it in smaller statements' }]) }
  }
  if (text.includes('\0')) return unreadable('The statement contains a NUL character.')
  return text.isWellFormed() ? undefined : unreadable('The statement is not valid Unicode.')
}

/** Without the target's catalog nothing is known about what names mean. */
function unknownCatalog(target: string): Reading {
  return {
    objection: refuse('unavailable', `The catalog of ${target} has not been read yet.`, [
      { do: 'wait', hint: 'Send it again in a moment.' },
    ]),
  }
}

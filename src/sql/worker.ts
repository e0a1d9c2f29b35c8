import { parentPort } from 'node:worker_threads'
import { hasSqlDetails, loadModule, parseSync, type SqlError } from 'libpg-query'
import type { Touch } from '../gateway/domain.ts'
import { refuse } from '../gateway/refusals.ts'
import { analyse } from './analyse.ts'
import { EMPTY_CATALOG, indexCatalog, type CatalogIndex } from './catalog-index.ts'
import type { Catalog } from './catalog.ts'
import type { ReadRequest, Reading, Statement } from './reader.ts'
import { rewritten, type Rewrite } from './rewrites.ts'
import { watchLiterals } from './watched-literals.ts'

/** What the worker is told. */
export type ToWorker =
  | { readonly does: 'learn'; readonly target: string; readonly catalog: Catalog }
  | { readonly does: 'read'; readonly request: ReadRequest }

/**
 * What it answers: one `learned` for each `learn`, one `read` or `broken` for each `read`, in order. After `broken` it is
 * of no more use.
 */
export type FromWorker =
  | { readonly does: 'ready' }
  | { readonly does: 'learned' }
  | ReadAnswer
  | { readonly does: 'broken'; readonly why: string }

/** `used`: of the thread's own time since its start, in ms. */
export type Told = FromWorker & { readonly used: number }

/**
 * `reading` as JSON, which takes less time than a structured clone; `pinned` as in reading-cache.ts; `ms`: what it took of
 * the thread's own time.
 */
export type ReadAnswer = {
  readonly does: 'read'
  readonly reading: string
  readonly ms: number
  readonly pinned?: readonly number[]
}

function readText(request: ReadRequest, index: CatalogIndex): FromWorker {
  const start = process.threadCpuUsage()
  const read = (reading: Reading, pinned?: readonly number[]): FromWorker => {
    const json = JSON.stringify(reading)
    return { does: 'read', reading: json, ms: spent(start), ...(pinned && { pinned }) }
  }
  try {
    const tree = parseSync(request.text)
    const pinned = watchLiterals(tree, request.text)
    const rewrites = new Set<Rewrite>()
    const reading = decidable(analyse(tree, request, index, rewrites))
    if (rewrites.size > 0 && 'statements' in reading) return read(throughWall(reading, request.text, rewrites))
    return read(reading, pinned?.())
  } catch (error) {
    if (hasSqlDetails(error)) return read(syntaxError(error))
    return { does: 'broken', why: error instanceof Error ? error.message : 'unknown' }
  }
}

/** What is sent instead must be readable too: as many statements as before. */
function throughWall(
  reading: Extract<Reading, { statements: unknown }>,
  text: string,
  rewrites: Set<Rewrite>,
): Reading {
  if (reading.statements.some(({ objection }) => objection !== undefined)) return reading
  const sent = rewritten(text, rewrites)
  if (sent !== undefined && parseSync(sent).stmts?.length === reading.statements.length)
    return { ...reading, rewritten: sent }
  const hint = 'write the names of tables with masked columns plainly, without comments in them'
  return {
    objection: refuse('unreadable', 'The statement cannot be rewritten to show masks.', [{ do: 'change', hint }]),
  }
}

/** Each statement, and each thing touched in a way of its own, is a question to policy: the answers take time. */
const MOST_STATEMENTS = 10_000
const MOST_TOUCHES = 256
/** LOCK names tables and does nothing else: pg_dump locks all there are in statements of 100,000 characters. */
const MOST_LOCKED = 10_000

function decidable(statements: readonly Statement[]): Reading {
  if (statements.length > MOST_STATEMENTS) return tooMuch(`${statements.length} statements`, MOST_STATEMENTS)
  const all = statements.flatMap(({ touches, uses }) => [
    ...touches,
    ...(uses && 'statement' in uses ? uses.statement.touches : []),
  ])
  if (all.length <= MOST_TOUCHES) return { statements }
  const locked = differentIn(all.filter(({ action }) => action === 'sql.lock'))
  if (locked > MOST_LOCKED) return tooMuch(`${locked} things that it locks`, MOST_LOCKED)
  const others = differentIn(all.filter(({ action }) => action !== 'sql.lock'))
  return others <= MOST_TOUCHES ? { statements } : tooMuch(`${others} things that it touches`, MOST_TOUCHES)
}

function differentIn(touches: readonly Touch[]): number {
  return new Set(touches.map((touch) => JSON.stringify(touch))).size
}

function tooMuch(has: string, most: number): Reading {
  const message = `The text has ${has}; at most ${most} are decided at once.`
  return { objection: refuse('too_large', message, [{ do: 'change', hint: 'send it in smaller texts' }]) }
}

/** The thread's own time, in ms. */
function spent(start?: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(start)
  return (user + system) / 1_000
}

/** `cursorPosition` counts characters from 0 (tried with characters of two and four bytes). */
function syntaxError(error: SqlError): Reading {
  const position = (error.sqlDetails?.cursorPosition ?? 0) + 1
  const remedy = [{ do: 'change', hint: `correct the statement at character ${position}` }] as const
  return { objection: refuse('unreadable', error.message, remedy, { position }), sqlstate: '42601' }
}

async function serve(port: NonNullable<typeof parentPort>): Promise<void> {
  const catalogs = new Map<string, CatalogIndex>()
  const empty = indexCatalog(EMPTY_CATALOG)
  const answer = (message: FromWorker): void => port.postMessage({ ...message, used: spent() } satisfies Told)
  await loadModule()
  port.on('message', (message: ToWorker) => {
    if (message.does === 'learn') {
      catalogs.set(message.target, indexCatalog(message.catalog))
      answer({ does: 'learned' })
    } else answer(readText(message.request, catalogs.get(message.request.target) ?? empty))
  })
  answer({ does: 'ready' })
}

if (parentPort !== null) await serve(parentPort)

import { Fault } from '../gateway/fault.ts'
import type { SessionId } from '../gateway/domain.ts'
import type { StoredEntry } from './entry.ts'
import { parseLine, readLine } from './line.ts'
import type { Line } from './line.ts'
import { listSegments, readLines } from './segments.ts'
import type { SegmentName } from './segments.ts'

/** What to read; every condition given must hold. */
export type ReadOptions = {
  readonly dir: string
  readonly session?: SessionId
  /** Records at or after this time, in ms since the epoch. */
  readonly since?: number
  /** Records before this time, in ms since the epoch. */
  readonly until?: number
  /** Records with a greater `seq` than this. */
  readonly after?: number
  readonly types?: readonly StoredEntry['type'][]
}

/**
 * The records in order, unverified (see `verifyLog`). A log that is being written may be read: it ends where it ended when
 * the reading came there, and an incomplete last line is left out. Throws Fault `store` at any other line that is no record.
 */
export async function* readLog(options: ReadOptions): AsyncGenerator<StoredEntry, void> {
  for await (const { entry } of select(options)) yield entry
}

/** The same, each as it is stored: one JSON text, byte for byte, without its newline. Unfiltered, the chain still holds. */
export async function* exportLog(options: ReadOptions): AsyncGenerator<string, void> {
  for await (const { bytes } of select(options)) yield bytes.toString('utf8')
}

type Selected = { readonly entry: StoredEntry; readonly bytes: Buffer }

async function* select(options: ReadOptions): AsyncGenerator<Selected, void> {
  const segments = listSegments(options.dir)
  const isWanted = filter(options)
  for (const [index, name] of segments.entries()) {
    const next = segments[index + 1]
    if (next && next.first <= (options.after ?? 0) + 1) continue
    for await (const lines of readLines(options.dir, name.name)) {
      for (const { bytes, ended, number } of lines) {
        if (!ended && !next) return
        const line = ended ? readLine(bytes) : undefined
        if (line && !isWanted.line(line)) continue
        const entry = line && parseLine(line)
        if (!entry) throw unreadable(name, number)
        if (isWanted.entry(entry)) yield { entry, bytes }
      }
    }
  }
}

/** Two steps, so that most lines need not be parsed. */
function filter({ session, since, until, after, types }: ReadOptions) {
  return {
    line: ({ seq, at, type, body }: Line): boolean =>
      (after === undefined || seq > after) &&
      (since === undefined || Date.parse(at) >= since) &&
      (until === undefined || Date.parse(at) < until) &&
      (types === undefined || (types as readonly string[]).includes(type)) &&
      (session === undefined || body.includes(session)),
    entry: (entry: StoredEntry): boolean => session === undefined || ('session' in entry && entry.session === session),
  }
}

function unreadable({ name }: SegmentName, number: number): Fault {
  return new Fault('store', `line ${number} of ${name} is not a record: see audit verify`)
}

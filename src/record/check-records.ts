import type { KeyObject } from 'node:crypto'
import { followChain } from './chain.ts'
import type { Follows } from './chain.ts'
import { isSigned } from './checkpoint.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { Findings } from './findings.ts'
import { MAX_LINE_BYTES, parseLine } from './line.ts'
import type { Head } from './line.ts'
import type { RawLine, SegmentName } from './segments.ts'

/** The beginning of a last record that was being written when the gateway died, or is being written just now. */
export type Torn = { readonly seq: number; readonly segment: string; readonly line: number; readonly bytes: number }

/** What was seen of a log, besides the problems. */
export type Walked = {
  readonly records: number
  /** `seq` of the last record. */
  readonly last: number
  /** Checkpoints vouch for every record up to this one; what follows could have been written by anyone. 0: none. */
  readonly vouched: number
  /** Good checkpoints in the log. */
  readonly checkpoints: number
  /** The `log.recovered` records: where a crash had torn the log. */
  readonly recovered: readonly number[]
  readonly torn?: Torn
}

/** Takes the lines of a log in order. */
export interface RecordCheck {
  line(name: SegmentName, raw: RawLine, inLastSegment: boolean): void
  result(): Walked
}

/** Checkpoints that left the machine, by the record they vouch for; their signatures are good. */
export type Printed = ReadonlyMap<number, readonly Checkpoint[]>

type Where = { readonly segment: string; readonly line: number }

/** Entries whose content matters to the proof. */
const EXAMINED: ReadonlySet<string> = new Set(['log.segment', 'log.recovered', 'checkpoint'])

/** Checks the chain, the beginning of each segment, and both kinds of checkpoints. */
export function checkRecords(publicKey: KeyObject, printed: Printed, { report, isClean }: Findings): RecordCheck {
  const chain = followChain()
  const recovered: number[] = []
  let installation: string | undefined
  let records = 0
  let vouched = 0
  let checkpoints = 0
  let torn: Torn | undefined

  function line(name: SegmentName, raw: RawLine, inLastSegment: boolean): void {
    const where = { segment: name.name, line: raw.number }
    if (!raw.ended && inLastSegment && raw.bytes.length <= MAX_LINE_BYTES) {
      torn = { seq: chain.head().seq + 1, ...where, bytes: raw.bytes.length }
      return
    }
    records += 1
    const step = chain.step(raw.bytes, raw.ended)
    if (step.kind !== 'follows') return report({ ...step, ...where })
    if (raw.number === 1) checkStart(where, step, name)
    if (EXAMINED.has(step.line.type)) examine(where, step)
    for (const one of printed.get(step.line.seq) ?? []) {
      if (fits(one, step.line)) vouch(one.upto)
      else report({ kind: 'checkpoint', seq: one.upto, ...where, message: forged(one.upto, 'a printed checkpoint') })
    }
  }

  function checkStart(where: Where, { line: { seq, type } }: Follows, { first, name }: SegmentName): void {
    if (seq === first && type === 'log.segment') return
    report({ kind: 'segment', seq, ...where, message: `${name} begins with record ${seq} (${type})` })
  }

  function examine(where: Where, { line, previous }: Follows): void {
    const entry = parseLine(line)
    const at = { seq: line.seq, ...where }
    if (entry?.type === 'log.segment') {
      installation = entry.installation
      if (entry.previous === previous.hash) return
      report({ kind: 'segment', ...at, message: `record ${line.seq} names another hash before it` })
    } else if (entry?.type === 'log.recovered') recovered.push(line.seq)
    else if (entry?.type === 'checkpoint' && fits(entry, previous) && isSigned(publicKey, entry)) {
      checkpoints += 1
      vouch(entry.upto)
    } else report({ kind: 'checkpoint', ...at, message: forged(previous.seq, `the checkpoint in record ${line.seq}`) })
  }

  function fits(checkpoint: Checkpoint, head: Head): boolean {
    if (checkpoint.upto !== head.seq || checkpoint.head !== head.hash) return false
    // Unknown: the record that tells it is broken, which was reported.
    return installation === undefined || checkpoint.installation === installation
  }

  function vouch(seq: number): void {
    if (isClean()) vouched = Math.max(vouched, seq)
  }

  function forged(upto: number, what: string): string {
    return `${what} does not fit: one of the records ${vouched + 1} to ${upto} was changed and the chain made anew without the key`
  }

  return {
    line,
    result: () => ({ records, last: chain.head().seq, vouched, checkpoints, recovered, ...(torn && { torn }) }),
  }
}

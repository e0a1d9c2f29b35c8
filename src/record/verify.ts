import type { KeyObject } from 'node:crypto'
import { checkRecords } from './check-records.ts'
import type { Printed, Walked } from './check-records.ts'
import { isSigned, readCheckpointLine } from './checkpoint.ts'
import type { Checkpoint } from './checkpoint.ts'
import { collectFindings } from './findings.ts'
import type { Findings, Problem } from './findings.ts'
import { listSegments, readLines } from './segments.ts'

export type Verification = Walked & {
  /** `torn`: nothing but an incomplete last record. */
  readonly verdict: 'intact' | 'torn' | 'tampered'
  /** The first 100, in the order of the log; problems of the printed checkpoints come first. */
  readonly problems: readonly Problem[]
  readonly problemCount: number
}

export type VerifyOptions = {
  readonly dir: string
  readonly publicKey: KeyObject
  /** Lines that the gateway printed, other output among them or not. Without them a cut tail cannot be seen. */
  readonly checkpoints?: Iterable<string>
}

/** Reads the whole log in constant memory and checks every record, every checkpoint, and the printed checkpoints. */
export async function verifyLog({ dir, publicKey, checkpoints }: VerifyOptions): Promise<Verification> {
  const findings = collectFindings()
  const printed = checkpoints && readPrinted(checkpoints, publicKey, findings)
  const check = checkRecords(publicKey, printed ?? new Map(), findings)
  const segments = listSegments(dir)
  for (const name of segments) {
    for await (const lines of readLines(dir, name.name)) {
      for (const raw of lines) check.line(name, raw, name === segments.at(-1))
    }
  }
  const walked = check.result()
  reportCut(walked.last, printed ?? new Map(), findings)
  const { problems, count } = findings.result()
  const verdict = count > 0 ? 'tampered' : walked.torn ? 'torn' : 'intact'
  return { verdict, ...walked, problems, problemCount: count }
}

/** By record. A line that is not signed with the key is a problem: it was changed, or belongs to another log. */
function readPrinted(lines: Iterable<string>, publicKey: KeyObject, { report }: Findings): Printed {
  const printed = new Map<number, Checkpoint[]>()
  let number = 0
  for (const line of lines) {
    number += 1
    const read = readCheckpointLine(line)
    if (read === 'none') continue
    if (read === 'broken' || !isSigned(publicKey, read)) {
      const message = `line ${number} of the checkpoints is not signed with the key of this log`
      report({ kind: 'checkpoint', seq: read === 'broken' ? 0 : read.upto, message })
    } else printed.set(read.upto, [...(printed.get(read.upto) ?? []), read])
  }
  if (printed.size === 0)
    report({ kind: 'checkpoint', seq: 0, message: 'there is no good checkpoint among the lines given' })
  return printed
}

function reportCut(last: number, printed: Printed, { report }: Findings): void {
  let furthest = 0
  for (const seq of printed.keys()) furthest = Math.max(furthest, seq)
  if (furthest <= last) return
  const message = `the log ends at record ${last}, but the gateway signed a checkpoint for record ${furthest}`
  report({ kind: 'cut', seq: last + 1, message })
}

import { bodyOf, chainHash, follows, readLine, START } from './line.ts'
import type { Head, Line } from './line.ts'

/** A line that is the next record, and what it follows. */
export type Follows = { readonly kind: 'follows'; readonly line: Line; readonly previous: Head }

/** A line that is not; `seq` is the record that is wrong. */
export type Breaks = {
  readonly kind: 'changed' | 'missing' | 'misplaced' | 'unreadable'
  readonly seq: number
  readonly message: string
}

/** Follows the chain from its start and finds it again after a break, so that one change is told as one. */
export interface Chain {
  /** The last record so far. */
  head(): Head
  /** The next line, its newline left off; undefined: a line of which the end is not there. */
  step(bytes: Buffer, ended: boolean): Follows | Breaks
}

/** How many candidates and past hashes are kept. */
const NEARBY = 8
const HASH_AT_END = /"hash":"([0-9a-f]{64})"\}$/

export function followChain(): Chain {
  /** What the next line may follow: one head; after a break, whatever the broken line may have been meant to be. */
  let candidates: readonly Head[] = [START]
  let past: readonly string[] = []

  function step(bytes: Buffer, ended: boolean): Follows | Breaks {
    const line = ended ? readLine(bytes) : undefined
    if (!line) return unreadable(bytes)
    const previous = candidates.find((head) => follows(head, line))
    if (!previous) return broken(line)
    past = [previous.hash, ...past].slice(0, NEARBY)
    candidates = [{ seq: line.seq, hash: line.hash }]
    return { kind: 'follows', line, previous }
  }

  function broken(line: Line): Breaks {
    const [head] = candidates as readonly [Head]
    const seq = head.seq + 1
    if (past.some((hash) => line.hash === chainHash(hash, line.body))) {
      return { kind: 'misplaced', seq: line.seq, message: `record ${line.seq} stands where record ${seq} belongs` }
    }
    const claimed = [seq, line.seq, seq + 1].map((number) => ({ seq: number, hash: line.hash }))
    maybe(...claimed, { seq, hash: chainHash(head.hash, line.body) })
    if (line.seq <= seq) return { kind: 'changed', seq, message: `record ${seq} was changed` }
    const which = line.seq === seq + 1 ? `record ${seq} is` : `records ${seq} to ${line.seq - 1} are`
    return { kind: 'missing', seq, message: `${which} missing, or changed: the line says record ${line.seq}` }
  }

  function unreadable(bytes: Buffer): Breaks {
    const [head] = candidates as readonly [Head]
    const seq = head.seq + 1
    const claimed = HASH_AT_END.exec(bytes.toString('latin1', Math.max(0, bytes.length - 128)))?.[1]
    if (claimed) maybe({ seq, hash: claimed }, { seq: seq + 1, hash: claimed })
    else maybe({ seq, hash: chainHash(head.hash, bodyOf(bytes)) })
    return { kind: 'unreadable', seq, message: `record ${seq} was changed: the line is not a record` }
  }

  /** The number after the next one too: with a changed newline two records look like one line. */
  function maybe(...heads: readonly Head[]): void {
    candidates = [...heads, ...candidates].slice(0, NEARBY)
  }

  return { head: () => candidates[0]!, step }
}

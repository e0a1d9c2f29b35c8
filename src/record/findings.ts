import type { Breaks } from './chain.ts'

/**
 * What does not verify. `changed`: a record's bytes; `missing`: records are gone (or the number in a line was changed);
 * `misplaced`: a good record in the wrong place; `unreadable`: a line that is no record; `checkpoint`: a signature does not
 * fit, so the chain was made anew without the key; `cut`: the log ends before a record that was vouched for; `segment`: a
 * file with a wrong name or beginning.
 */
export type Problem = {
  readonly kind: Breaks['kind'] | 'checkpoint' | 'cut' | 'segment'
  /** The record. */
  readonly seq: number
  /** Not there for a problem that lies in no file. */
  readonly segment?: string
  /** From 1, in the segment. */
  readonly line?: number
  readonly message: string
}

/** Problems in the order in which they are found. */
export type Findings = {
  readonly report: (problem: Problem) => void
  readonly isClean: () => boolean
  readonly result: () => { readonly problems: readonly Problem[]; readonly count: number }
}

const MAX_PROBLEMS = 100

/** Keeps the first 100 and counts the rest. */
export function collectFindings(): Findings {
  const problems: Problem[] = []
  let count = 0
  return {
    report: (problem) => {
      count += 1
      if (problems.length < MAX_PROBLEMS) problems.push(problem)
    },
    isClean: () => count === 0,
    result: () => ({ problems, count }),
  }
}

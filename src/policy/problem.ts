import type { PolicyText } from './split-policies.ts'

/** Something wrong in a policy file. `line` and `column` are 1-based; a column counts characters. */
export type PolicyProblem = {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly text: string
}

/** A policy file as read. */
export type PolicyFile = { readonly path: string; readonly source: string }

/** A problem at a UTF-16 offset of a file. */
export function problemAt(file: PolicyFile, offset: number, text: string): PolicyProblem {
  const before = file.source.slice(0, offset).split('\n')
  const column = Array.from(before.at(-1)!).length + 1
  return { file: file.path, line: before.length, column, text }
}

/** The offset in the file of a place that Cedar gives in UTF-8 bytes of one policy's text. */
export function offsetIn(policy: PolicyText, bytes: number): number {
  const before = Buffer.from(policy.text, 'utf8').subarray(0, bytes).toString('utf8')
  return policy.offset + before.length
}

/** `file:line:column: text`, one line. */
export function problemLine(problem: PolicyProblem): string {
  return `${problem.file}:${problem.line}:${problem.column}: ${problem.text.replace(/\s*\n\s*/g, ' ')}`
}

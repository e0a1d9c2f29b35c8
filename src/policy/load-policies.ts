import { createHash } from 'node:crypto'
import { Fault } from '../gateway/fault.ts'
import { startCedar } from './cedar.ts'
import type { Cedar } from './cedar.ts'
import { decider } from './decider.ts'
import { readPolicyFiles } from './policy-files.ts'
import type { Policy } from './policy.ts'
import { problemLine } from './problem.ts'
import { readRules } from './read-rules.ts'
import type { Findings } from './read-rules.ts'
import type { Rule } from './rule.ts'
import { schemaText } from './schema.ts'
import type { PolicyTarget } from './slices.ts'

export type LoadOptions = {
  readonly targets: readonly PolicyTarget[]
  /** Of the process; hand the same one to every load, or the memory of replaced policies is never used again. */
  readonly cedar?: Cedar
}

/** The engine that all loads of a process share. */
export function startPolicyEngine(): Cedar {
  return startCedar(schemaText())
}

/** What is right and wrong with every `*.cedar` file below `dir`. Throws Fault `policy` when it cannot be read. */
export function checkPolicies(dir: string): Findings {
  try {
    const { files, problems } = readPolicyFiles(dir)
    const findings = readRules(files, schemaText())
    return { ...findings, errors: [...problems, ...findings.errors] }
  } catch (error) {
    throw new Fault('policy', `The policies in ${dir} cannot be read: ${(error as Error).message}`, error)
  }
}

function hashOf(rules: readonly Rule[]): string {
  const texts = rules.map(({ id, text }) => [id, text]).sort(([a = ''], [b = '']) => (a < b ? -1 : 1))
  return createHash('sha256')
    .update(JSON.stringify([schemaText(), texts]))
    .digest('hex')
}

/**
 * Loads every `*.cedar` file below `dir`. No policies at all is a set that permits nothing. Throws Fault `policy` with
 * every error, one a line: `file:line:column: text`.
 */
export function loadPolicies(dir: string, options: LoadOptions): Policy {
  const { rules, errors } = checkPolicies(dir)
  if (errors.length > 0) throw new Fault('policy', errors.map(problemLine).join('\n'))
  const book = { hash: hashOf(rules), rules: new Map(rules.map((rule) => [rule.id, rule])) }
  return decider(book, options.targets, options.cedar ?? startPolicyEngine())
}

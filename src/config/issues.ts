import type * as z from 'zod'
import type { ConfigError, Path, Source } from './source.ts'
import { nearest } from './nearest.ts'

/** `targets[0].postgres.lease`. */
export function keyText(path: Path): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
    .join('')
    .replace(/^\./, '')
}

/** One line for each unknown key, in the order of `keys`: the message of zod's `unrecognized_keys`. */
export function unknownKeyTexts(keys: readonly string[], known: readonly string[]): string {
  return keys.map((key) => unknownText('unknown key', key, known)).join('\n')
}

/** `unknown key, did you mean "targets"?` */
export function unknownText(text: string, word: string, known: readonly string[]): string {
  const meant = nearest(word, known)
  return meant === undefined ? `${text} (known: ${known.join(', ')})` : `${text}, did you mean "${meant}"?`
}

const ARTICLE: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
  boolean: 'true or false',
}

/** Turns what zod found into lines of the file. Never repeats a value of the file: it may be a secret. */
export function configErrors(file: string, source: Source, issues: readonly z.core.$ZodIssue[]): ConfigError[] {
  return issues.flatMap((issue) => lines(file, source, issue)).sort((a, b) => a.line - b.line)
}

function lines(file: string, source: Source, issue: z.core.$ZodIssue): ConfigError[] {
  const at = (path: Path, text: string): ConfigError => {
    return { file, line: source.line(path), key: keyText(path), text }
  }
  if (issue.code === 'unrecognized_keys') {
    const texts = issue.message.split('\n')
    return issue.keys.map((key, index) => at([...issue.path, key], texts[index] ?? 'unknown key'))
  }
  if (issue.code === 'invalid_key') return [at(issue.path, issue.issues[0]?.message ?? 'is not a valid name')]
  return [at(issue.path, textOf(issue, source))]
}

function textOf(issue: z.core.$ZodIssue, source: Source): string {
  const own = !issue.message.startsWith('Invalid') && !issue.message.startsWith('Too ')
  if (own) return issue.message
  if (!source.has(issue.path)) return 'is required'
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${ARTICLE[issue.expected] ?? issue.expected}${quoteHint(issue)}`
    case 'invalid_value':
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.join(', ')}`
    case 'too_small':
      return 'must not be empty'
    default:
      return 'is not valid'
  }
}

function quoteHint(issue: z.core.$ZodIssueInvalidType): string {
  const scalar = issue.expected === 'string' && /received (number|boolean|null)$/.test(issue.message)
  return scalar ? ' (put it in quotes)' : ''
}

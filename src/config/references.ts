import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import * as z from 'zod'
import { Secret } from '../gateway/secret.ts'

/** Schemas for values that point out of the file. Relative paths are relative to the file. */
export type ReadContext = {
  /** `env:NAME` or `file:PATH` (one trailing line end is stripped), read at once. */
  readonly secret: z.ZodType<Secret>
  /** A path, to the text of that file. */
  readonly content: z.ZodType<string>
  /** A path, made absolute. */
  readonly path: z.ZodType<string>
}

type Environment = Readonly<Record<string, string | undefined>>
type Found = { readonly text: string } | { readonly problem: string }

const SIZE_LIMIT = 1024 * 1024

const LITERAL = 'must be a secret reference, env:NAME or file:PATH, never the secret itself'

/** The schemas for a config file in `directory`; `reading` is told the path of every file that a value points to. */
export function readContext(
  directory: string,
  environment: Environment,
  reading: (path: string) => void = () => undefined,
): ReadContext {
  const place = (path: string): string => {
    const absolute = resolve(directory, path)
    reading(absolute)
    return absolute
  }
  return {
    secret: found((reference) => lookUp(reference, place, environment)).transform((text) => new Secret(text)),
    content: found((path) => readContent(place(path))),
    path: z
      .string()
      .min(1, 'must not be empty')
      .transform((path) => resolve(directory, path)),
  }
}

function found(find: (value: string) => Found): z.ZodType<string> {
  return z.string().transform((value, context) => {
    const result = find(value)
    if ('text' in result) return result.text
    context.addIssue({ code: 'custom', message: result.problem })
    return z.NEVER
  })
}

function lookUp(reference: string, place: (path: string) => string, environment: Environment): Found {
  if (/^(vault|aws-sm):/.test(reference)) return { problem: 'this kind of secret reference is not built yet' }
  if (reference.startsWith('file:')) return readSecretFile(place(reference.slice('file:'.length)))
  const name = /^env:([A-Za-z_][A-Za-z0-9_]{0,127})$/.exec(reference)?.[1]
  if (name === undefined) return { problem: LITERAL }
  const text = environment[name]
  if (text === undefined) return { problem: `the environment variable ${name} is not set` }
  return text === '' ? { problem: `the environment variable ${name} is empty` } : { text }
}

function readSecretFile(path: string): Found {
  const content = readContent(path)
  if ('problem' in content) return content
  const text = content.text.replace(/\r?\n$/, '')
  return text === '' ? { problem: 'the file is empty' } : { text }
}

/** The path is not repeated: whoever took `file:` for a prefix of the secret would find it in a log. */
function readContent(path: string): Found {
  try {
    if (path.includes('\0')) return { problem: 'is not a path' }
    if (!statSync(path).isFile()) return { problem: 'is not a file' }
    const bytes = readFileSync(path)
    if (bytes.length > SIZE_LIMIT) return { problem: 'the file is larger than 1 MiB' }
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }
  } catch (error) {
    if (error instanceof TypeError) return { problem: 'the file is not UTF-8 text' }
    return { problem: `the file cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'})` }
  }
}

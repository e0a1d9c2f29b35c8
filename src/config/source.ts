import { open } from 'node:fs/promises'
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type Pair,
  visit,
  type YAMLError,
} from 'yaml'

/** One thing wrong with a config file. `line` is 1-based; `key` a path like `targets[0].name`, or empty. */
export type ConfigError = {
  readonly file: string
  readonly line: number
  readonly key: string
  readonly text: string
}

/** Keys and list indexes from the top of the file. */
export type Path = readonly PropertyKey[]

/** A YAML file as plain data, and where each part of it stands. */
export type Source = {
  readonly value: unknown
  readonly errors: readonly ConfigError[]
  /** True when the file itself says something at this path. */
  has(path: Path): boolean
  /** The line of the deepest part of `path` that the file has. */
  line(path: Path): number
}

const SIZE_LIMIT = 1024 * 1024
const ALIAS_LIMIT = 50
const DEPTH_LIMIT = 32
/** One mistake may make thousands of errors. */
const ERROR_LIMIT = 50

/** What is wrong, without the parser's own words: those repeat parts of the file, and a part may be a secret. */
const SYNTAX: Partial<Record<YAMLError['code'], string>> = {
  BAD_DIRECTIVE: 'directives (%) are not used here',
  BAD_INDENT: 'the indentation is wrong, or a bracket is not closed',
  BLOCK_AS_IMPLICIT_KEY: 'a nested mapping cannot stand on one line without braces',
  DUPLICATE_KEY: 'this key is here twice',
  MULTIPLE_DOCS: 'there is a second document (---) in the file',
  MISSING_CHAR: 'a character is missing (a quote, bracket or comma)',
  NON_STRING_KEY: 'a key must be plain text',
  RESOURCE_EXHAUSTION: 'the file is nested too deeply',
  TAB_AS_INDENT: 'tabs cannot be used as indentation',
  TAG_RESOLVE_FAILED: 'tags (!name) are not used here',
}

/** Text of the file, at most 1 MiB of UTF-8, or why not. */
async function readText(file: string): Promise<{ readonly text: string } | { readonly problem: string }> {
  try {
    await using handle = await open(file, 'r')
    const buffer = Buffer.alloc(SIZE_LIMIT + 1)
    let size = 0
    for (let read = -1; read !== 0 && size < buffer.length; size += read) {
      read = (await handle.read(buffer, size, buffer.length - size)).bytesRead
    }
    if (size > SIZE_LIMIT) return { problem: 'is larger than 1 MiB' }
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, size)) }
  } catch (error) {
    if (error instanceof TypeError) return { problem: 'is not UTF-8 text' }
    return { problem: `cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'})` }
  }
}

/** Reads a YAML or JSON file. Everything wrong with it as YAML is in `errors`; `value` is then undefined. */
export async function readSource(file: string): Promise<Source> {
  const read = await readText(file)
  if ('problem' in read) return broken([{ file, line: 1, key: '', text: `the file ${read.problem}` }])
  return parseSource(file, read.text)
}

function broken(errors: readonly ConfigError[]): Source {
  return { value: undefined, errors, has: () => false, line: () => 1 }
}

/** `readSource` for a text at hand. */
export function parseSource(file: string, text: string): Source {
  const lines = new LineCounter()
  const error = (offset: number, key: string, text: string): ConfigError => {
    return { file, line: Math.max(1, lines.linePos(offset).line), key, text }
  }
  try {
    const options = { lineCounter: lines, stringKeys: true, resolveKnownTags: false, prettyErrors: false } as const
    const document = parseDocument(text, { ...options, schema: 'core', logLevel: 'error' })
    const found = [...syntaxErrors(document, error), ...structureErrors(document, error)]
    if (found.length > 0) return broken(found.sort((a, b) => a.line - b.line).slice(0, ERROR_LIMIT))
    return located(document, lines)
  } catch (thrown) {
    // The parser recurses: a text nested deeply enough overflows its stack.
    if (thrown instanceof RangeError) return broken([error(0, '', 'the file is nested too deeply')])
    if (thrown instanceof ReferenceError) return broken([error(0, '', 'the file uses too many aliases')])
    throw thrown
  }
}

type MakeError = (offset: number, key: string, text: string) => ConfigError

function syntaxErrors(document: Document.Parsed, error: MakeError): ConfigError[] {
  const version = document.directives.yaml
  const found = [...document.errors, ...document.warnings].map((problem) => {
    const key = problem.code === 'DUPLICATE_KEY' ? keyAt(document, problem.pos[0]) : ''
    return error(problem.pos[0], key, SYNTAX[problem.code] ?? `this is not valid YAML (${problem.code})`)
  })
  if (version.explicit === true) found.push(error(0, '', SYNTAX.BAD_DIRECTIVE!))
  return found
}

function keyAt(document: Document.Parsed, offset: number): string {
  let name = ''
  visit(document, {
    Pair: (_, pair) => {
      if (isScalar(pair.key) && pair.key.range?.[0] === offset) name = String(pair.key.value)
    },
  })
  return name
}

/** Refuses what is YAML, but could hide something or exhaust the reader. */
function structureErrors(document: Document.Parsed, error: MakeError): ConfigError[] {
  const found: ConfigError[] = []
  const report = (node: unknown, key: string, text: string): void => {
    found.push(error(isNode(node) ? (node.range?.[0] ?? 0) : 0, key, text))
  }
  let aliases = 0
  visit(document, {
    Node: (_, node, path) => {
      if (path.length <= 2 * DEPTH_LIMIT) return undefined
      report(node, '', 'the file is nested too deeply')
      return visit.BREAK
    },
    Alias: (_, alias, path) => {
      const inside = path.some((parent) => isNode(parent) && 'anchor' in parent && parent.anchor === alias.source)
      if (alias.resolve(document) === undefined) report(alias, '', 'an alias (*name) has no anchor (&name) before it')
      if (inside) report(alias, '', 'an alias cannot stand inside its own anchor')
      if (++aliases === ALIAS_LIMIT + 1) report(alias, '', `the file uses more than ${ALIAS_LIMIT} aliases`)
    },
    Pair: (_, pair) => {
      if (isScalar(pair.key) && pair.key.value === '__proto__') report(pair.key, '__proto__', 'unknown key')
    },
  })
  return found
}

function located(document: Document.Parsed, lines: LineCounter): Source {
  const offsets = (path: Path): { readonly offset: number; readonly whole: boolean } => {
    let node = resolve(document.contents, document)
    let offset = node?.range?.[0] ?? 0
    for (const step of path) {
      const next = child(node, step)
      if (next === undefined) return { offset, whole: false }
      offset = next.offset
      node = resolve(next.node, document)
    }
    return { offset, whole: true }
  }
  return {
    value: document.toJS({ maxAliasCount: ALIAS_LIMIT }),
    errors: [],
    has: (path) => offsets(path).whole,
    line: (path) => Math.max(1, lines.linePos(offsets(path).offset).line),
  }
}

function resolve(node: unknown, document: Document.Parsed): Node | undefined {
  if (isAlias(node)) return node.resolve(document)
  return isNode(node) ? node : undefined
}

/** A member, and the offset to show for it: of the key in a mapping, of the item itself in a list. */
function child(
  node: Node | undefined,
  step: PropertyKey,
): { readonly node: unknown; readonly offset: number } | undefined {
  if (isSeq(node) && typeof step === 'number') {
    const item = node.items[step]
    return isNode(item) ? { node: item, offset: item.range?.[0] ?? 0 } : undefined
  }
  if (!isMap(node)) return undefined
  const pair: Pair | undefined = node.items.find(({ key }) => isScalar(key) && String(key.value) === step)
  return pair && isScalar(pair.key) ? { node: pair.value, offset: pair.key.range?.[0] ?? 0 } : undefined
}

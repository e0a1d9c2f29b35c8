import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Fault } from '../../src/gateway/fault.ts'
import { endToEnd, fieldsOf } from '../../src/http/fields.ts'
import { decodeHead, encodeHead } from '../../src/http/head.ts'
import { parseJsonPath } from '../../src/http/json-path.ts'
import { bodyKind, isSearchable } from '../../src/http/media-type.ts'
import { readPath } from '../../src/http/path.ts'
import { readQuery } from '../../src/http/query.ts'
import { rewriteJson } from '../../src/http/rewrite-json.ts'
import { random, seedOf, type Random } from './random.ts'
import { readRun } from './run.ts'

const { seed, frames: wanted } = readRun(20_000)

const PIECES = [
  '/',
  '//',
  '.',
  '..',
  '%2e',
  '%2F',
  '%00',
  '%',
  '%e2%80%a5',
  'a',
  'é',
  '\\',
  ';',
  '?',
  '&',
  '=',
  '[]',
  '+',
]
const PATHS = ['/', '/a/b', '/a/../b', '/a/%41', '/caf%C3%A9/', '/a/./b/..', '/%e2%82%ac']
const QUERIES = ['', 'a=1&b=2', 'a[]=1&a[]=2', 'a=%41+b', 'q=%C3%A9', '__proto__=1', 'a&b&']
const TOKENS = ['{', '}', '[', ']', ',', ':', '"', '\\', '\\u0000', 'null', '1e9', '-0', ' ', '\n', '\ud800', '"a"']
const JSONS = [
  '{"email":"ada@example.com","n":[1,2.50,{"a":null}],"a":"x","a":"y"}',
  '[[],{},"\\"\\\\",true,false,-1.5e-3]',
  '"\\u00e9\\ud83d\\ude00"',
  '{"__proto__":{"email":"x"},"":{"":[null]}}',
  `${'['.repeat(200)}1${']'.repeat(200)}`,
]

/** A text with pieces taken out, put in, or doubled. */
function mutated(chance: Random, texts: readonly string[], pieces: readonly string[]): string {
  let text = chance.pick(texts)
  for (let times = chance.below(5); times > 0; times--) {
    const at = chance.below(text.length + 1)
    const end = chance.once(2) ? at : at + chance.below(4)
    const character = String.fromCharCode(chance.below(chance.once(8) ? 0x10000 : 0x80))
    text = text.slice(0, at) + (chance.once(3) ? character : chance.pick(pieces)) + text.slice(end)
  }
  return text
}

function each(count: number, check: (chance: Random) => void): void {
  const chance = random(seedOf(seed, count))
  for (let left = count; left > 0; left--) check(chance)
}

describe('readers of HTTP, fuzzed', () => {
  it('read a path as one that is read as itself, with no way up left in it', () => {
    each(wanted, (chance) => {
      const found = readPath(mutated(chance, PATHS, PIECES))
      if ('problem' in found) return
      assert.deepEqual(readPath(found.path), found)
      assert.match(found.path, /^\/(?!.*(?:\/\/|\/\.\.?(?:\/|$)))/)
      assert.equal(new URL(found.path, 'http://host').pathname, found.path)
    })
  })

  it('read a query as one that is read as itself, and as a URL reads it', () => {
    each(wanted, (chance) => {
      const found = readQuery(mutated(chance, QUERIES, PIECES))
      if ('problem' in found) return
      assert.deepEqual(readQuery(found.text), found)
      for (const [name, value] of new URLSearchParams(`?${found.text}`))
        if (!name.endsWith('[]')) assert.equal(found.parameters[name], value)
    })
  })

  it('rewrite every JSON text, refuse every other, and change nothing but what is hidden', () => {
    const keeps = { hides: () => false, scalar: () => undefined }
    const hides = { hides: (place: readonly (string | number)[]) => place.at(-1) === 'email', scalar: () => undefined }
    each(wanted, (chance) => {
      const text = mutated(chance, JSONS, TOKENS)
      const json = parsed(text)
      if (!json) return assert.throws(() => rewriteJson(text, keeps), isProtocolFault)
      assert.equal(rewriteJson(text, keeps), text)
      const hidden = JSON.parse(rewriteJson(text, hides)) as unknown
      assert.deepEqual(
        hidden,
        JSON.parse(text, (name, value: unknown) => (name === 'email' && value !== null ? '***' : value)),
      )
    })
  })

  it('read the head of an answer, or throw a protocol fault', () => {
    const heads = [
      encodeHead({
        status: 200,
        fields: [
          ['content-type', 'text/html'],
          ['connection', 'close, x'],
        ],
      }).toString('latin1'),
    ]
    each(wanted, (chance) => {
      const bytes = Buffer.from(mutated(chance, heads, ['\r\n', ': ', ':', ' ', '\r\n\r\n', 'HTTP/1.1 ']), 'latin1')
      const found = head(bytes)
      if (found) assert.ok(endToEnd(found.fields).every(([name]) => name !== 'connection'))
    })
  })

  it('read media types, fields and paths into JSON without throwing', () => {
    const texts = ['text/html; charset=utf-8', '$.a[0].b', "$['a'][*]", 'application/problem+json; charset="x']
    each(wanted, (chance) => {
      const text = mutated(chance, texts, [';', '"', '=', '$', '.', '[', ']', "'", '*', '/', '+json'])
      for (const read of [bodyKind, isSearchable, parseJsonPath]) read(text)
      endToEnd(fieldsOf([text, text, 'Connection', text]))
    })
  })
})

const isProtocolFault = (error: unknown): boolean => error instanceof Fault && error.code === 'protocol'

function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown }
  } catch {
    return undefined
  }
}

function head(bytes: Buffer): ReturnType<typeof decodeHead> | undefined {
  try {
    return decodeHead(bytes)
  } catch (error) {
    if (isProtocolFault(error)) return undefined
    throw error
  }
}

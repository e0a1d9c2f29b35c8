import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { loadModule, scanSync } from 'libpg-query'
import { templateOf } from './lexer.ts'

await loadModule()

/** What PostgreSQL's scanner says of a text's constants: `ICONST 7 8`, in bytes; undefined when it refuses the text. */
function scanned(text: string): readonly string[] | undefined {
  try {
    const constants = scanSync(text).tokens.filter(({ tokenName }) => /^([IFSBX]|XB|US)CONST$/.test(tokenName))
    return constants.map(({ tokenName, start, end }) => `${tokenName} ${start} ${end}`)
  } catch {
    return undefined // what it answers is no JSON then
  }
}

const TOKENS = { i: 'ICONST', l: 'FCONST', n: 'FCONST', s: 'SCONST' } as const

/** The same of the lexer; undefined where it is not sure. */
function lexed(text: string): readonly string[] | undefined {
  const bytes = (end: number): number => Buffer.byteLength(text.slice(0, end))
  return templateOf(text)?.literals.map(({ kind, start, end }) => `${TOKENS[kind]} ${bytes(start)} ${bytes(end)}`)
}

/** The scanner's own answer cannot be read when it quotes these. */
const CONTROL = /[^\P{Cc}\t\n\r]/u

function assertAgree(text: string): void {
  fc.pre(!CONTROL.test(text))
  const own = lexed(text)
  if (own !== undefined) assert.deepEqual(own, scanned(text), text)
}

const literalsOf = (text: string): readonly string[] | undefined =>
  templateOf(text)?.literals.map(({ kind, start, end }) => `${kind} ${text.slice(start, end)}`)

describe('the lexer', () => {
  it('finds plain numbers and strings, each with its kind', () => {
    const text = `SELECT 'a''b', '', 0, 2147483647, 2147483648, 9223372036854775807, 9223372036854775808, 1.50, 12345678.9`
    const kinds = ['s', 's', 'i', 'i', 'l', 'l', 'n', 'n', 'n']
    assert.deepEqual(
      literalsOf(text)?.map((each) => each[0]),
      kinds,
    )
    assert.deepEqual(literalsOf("SELECT 'é😀', 5"), ["s 'é😀'", 'i 5'])
  })

  it('leaves comments, names, parameters and signs where they are', () => {
    const text = `SELECT a1, "b 2 ' x", $3, -4, x-5, t.c6 /* 7 ' " */ FROM ü8 -- 9 '\nWHERE a$10 >=-11 AND b[12:13]::int4 = 14`
    assert.deepEqual(literalsOf(text), ['i 4', 'i 5', 'i 11', 'i 12', 'i 13', 'i 14'])
  })

  it('gives texts the same template only when nothing but literals of one kind differs', () => {
    const key = (text: string): string | undefined => templateOf(text)?.key
    assert.equal(key("SELECT 1, 'a'"), key("SELECT 22, 'it''s -- /* $$'"))
    for (const other of ["SELECT 1, 'a' ", "SELECT 1,'a'", "SELECT -1, 'a'", "select 1, 'a'", "SELECT 'a', 1"])
      assert.notEqual(key(other), key("SELECT 1, 'a'"), other)
    for (const other of ['2147483648', '1.0', "'1'", '9223372036854775808', '$1', 'a'])
      assert.notEqual(key(`SELECT 1, ${other}`), key('SELECT 1, 1'), other)
  })

  it('is not sure of anything else', () => {
    const strings = [
      "E'a'",
      "b'1'",
      "x'f'",
      "n'a'",
      "U&'a'",
      'u&"a"',
      '$$a$$',
      '$x$a$x$',
      "foo'a'",
      "'a\\b'",
      "'a",
      "''''a'",
    ]
    const numbers = ['1e5', '0x1f', '0b1', '1_000', '007', '1a', '1.', '.5', '1..2', '$1a', '$1.5', '$9999999999']
    const others = ['"b', '""', '/* /* */ */', '/* a', '\\', '{']
    const doubtful = [...strings, ...numbers, ...others]
    for (const each of doubtful) assert.equal(templateOf(`SELECT 1, ${each}`), undefined, each)
    const pieces = ["'a'\n'b'", "'a' -- x\n 'b'", "'a' 'b'", "'a' /* */ \n -- \r 'b'", "'a\0b'", '"a\0"', '-- \0']
    for (const each of pieces) assert.equal(templateOf(`SELECT 1, ${each}`), undefined, each)
    assert.equal(templateOf('SELECT a'), undefined)
    assert.equal(templateOf(`SELECT 1${' '.repeat(40_000)}`), undefined)
    assert.equal(templateOf(`SELECT 1${', 1'.repeat(1000)}`), undefined)
    assert.equal(templateOf(''), undefined)
  })

  it('tries no text in very many ways: this ends', () => {
    for (const each of [' ', '--', "'", '"', '""', "''", '/*', '*/', '$1', 'a&', '- ', "'a' -- \n", '-- \n-', "'a',"]) {
      const template = templateOf(`SELECT 'a'${each.repeat(32_000 / each.length)}`)
      assert.ok(template === undefined || template.literals.length === 1, each)
    }
  })
})

const PIECES =
  `SELECT select e E b x n N u U & U& uescape id "a b" "" ' '' "'" 'a' 'it''s' '\\' E'\\'' 'é' é 😀 $ $1 $12 $$ $a$ 0 1 7
  007 42 2147483647 2147483648 9223372036854775808 1.5 1. .5 . .. 1e5 e5 0x1f _ 1_0 - -- + * / /* */ // < > = <= :: : , ; ( ) [ ] { } ! ~ @ # %
  ^ | || -> ->> ? \` \\`.split(/\s+/)
const BLANKS = [' ', '\n', '\t', '\r', '\r\n', '']
const soup = fc
  .array(fc.tuple(fc.constantFrom(...PIECES), fc.constantFrom('', '', ...BLANKS)), { maxLength: 12 })
  .map((pieces) => pieces.flat().join(''))

describe('any text', () => {
  it('has the literals that the scanner of PostgreSQL finds, or no template', () => {
    const text = fc.oneof(
      soup,
      soup.map((each) => `SELECT 1 ${each}`),
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit: fc.constantFrom(...`'"-/*$1a0.e_ \n&\\u,+`.split('')) }),
    )
    fc.assert(fc.property(text, assertAgree), { numRuns: 20_000 })
  })

  it('that is ordinary has a template', () => {
    const piece = fc.constantFrom(
      'SELECT',
      'a.b',
      '"x y"',
      ',',
      '= 5',
      "= 'x'",
      '- 7',
      '(1.5)',
      '-- c\n',
      '/* c */',
      '$1',
      "IN ('a', 'b')",
    )
    const ordinary = fc.array(piece, { maxLength: 15 }).map((pieces) => `SELECT 1 ${pieces.join(' ')}`)
    fc.assert(fc.property(ordinary, (text) => assert.notEqual(templateOf(text), undefined, text)))
  })
})

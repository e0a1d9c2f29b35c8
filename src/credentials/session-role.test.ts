import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import * as fc from 'fast-check'
import { startPostgres } from '../../test/postgres.ts'
import type { TestPostgres } from '../../test/postgres.ts'
import type { Identity } from '../gateway/domain.ts'
import { Fault } from '../gateway/fault.ts'
import type { LeaseRequest } from '../grants/lease.ts'
import { createRole, quoteName, quoteText, readComment, roleName, writeComment } from './session-role.ts'

const SESSION = 'ses_0190f6a2-0000-7000-8000-000000000001'
const HOSTILE = [
  `'; DROP ROLE postgres; --`,
  `\\'; DROP ROLE postgres; --`,
  '\\',
  `"`,
  '$$; SELECT 1; $$',
  'null\0byte',
  'half a pair \ud83d',
  '\u001b[2J \u009b31m \u202e right to left',
  'é漢字🙂',
  '%I %L %s %1$I',
  '-- \n /* */ ;',
]

function requestOf(subject: string): LeaseRequest {
  const person: Identity = { kind: 'User', provider: 'corp', subject: 'ann', groups: [], expiresAt: 0 }
  const agent: Identity = { kind: 'Agent', provider: 'agents', subject, groups: [], expiresAt: 0, onBehalfOf: person }
  return { session: SESSION, identity: agent, target: 'orders', expiresAt: 1_800_000_000_000, hidden: [] }
}

describe('the role of a session', () => {
  it('is named after installation and session, and for people to read after agent and person, within 63 bytes', () => {
    const session = 'sp_1a2b3c4d_0190f6a2000070008000000000000001'
    const named = (identity: Partial<Identity>): string => {
      const request = requestOf('bot')
      const name = roleName('1a2b3c4d', { ...request, identity: { ...request.identity, ...identity } })
      assert.ok(name.startsWith(session) && name.length <= 63, name)
      return name.slice(session.length)
    }
    const alone = { onBehalfOf: undefined }
    const long = 'x'.repeat(255)
    assert.equal(named({}), '_bot_ann')
    assert.equal(named({ subject: 'Report Bot/7', ...alone }), '_reportbot7')
    assert.equal(named({ subject: long, ...alone }), `_${long.slice(0, 18)}`)
    assert.equal(named({ subject: long, person: `${long}@x.example`, ...alone }), `_${'x'.repeat(9)}_${'x'.repeat(8)}`)
    assert.equal(named({ kind: 'User', subject: 'u-42', person: 'ada@x.example', ...alone }), '_ada')
    assert.equal(named({ kind: 'User', subject: 'ann@x.example', ...alone }), '_ann')
    for (const subject of ['漢字', '--', '"', "'", '\u202e', '%']) assert.equal(named({ subject, ...alone }), '')
    assert.equal(named({ subject: `a'; DROP ROLE "x" --`, ...alone }), '_adroprolex')
  })

  it('is refused for an id of another form', () => {
    const isFault = (error: unknown): boolean => error instanceof Fault
    assert.throws(() => roleName('1a2b3c4d', { ...requestOf('bot'), session: `ses_x"; DROP ROLE postgres` }), isFault)
    assert.throws(() => roleName('%', requestOf('bot')), isFault)
  })

  it('says in its comment for whom and on whose behalf it was made', () => {
    assert.equal(
      writeComment('1a2b3c4d', requestOf('bot')),
      `sallyport {"installation":"1a2b3c4d","session":"${SESSION}","target":"orders",` +
        '"who":["Agent agents/bot","User corp/ann"]}',
    )
  })

  it('is known again by its comment, by its own installation only', () => {
    const comment = writeComment('1a2b3c4d', requestOf('bot'))
    assert.equal(readComment(comment, '1a2b3c4d'), SESSION)
    assert.equal(readComment(comment, '00000000'), undefined)
    for (const other of [
      null,
      '',
      'sallyport',
      'sallyport {',
      'sallyport null',
      'sallyport {"session":1}',
      'a comment',
    ]) {
      assert.equal(readComment(other, '1a2b3c4d'), undefined)
    }
  })

  it('has a comment of printable ASCII, whatever the identity is called', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...HOSTILE)), (subject) => {
        const comment = writeComment('1a2b3c4d', requestOf(subject))
        assert.match(comment, /^[\x20-\x7e]+$/)
        assert.equal(readComment(comment, '1a2b3c4d'), SESSION)
        assert.equal(JSON.parse(comment.slice('sallyport '.length)).who[0], `Agent agents/${subject}`)
      }),
    )
  })

  it('keeps two names of 10 kB apart without writing them out', () => {
    const [one, two] = ['a', 'b'].map((end) => writeComment('1a2b3c4d', requestOf('x'.repeat(10_000) + end)))
    assert.ok(one!.length < 600)
    assert.notEqual(one, two)
  })

  it('never gets SET on its groups where the server knows of it', () => {
    const statement = {
      role: 'r',
      verifier: 'v',
      memberOf: ['b', 'a"'],
      installation: '1a2b3c4d',
      request: requestOf('bot'),
    }
    assert.match(
      createRole({ ...statement, version: 160_000 }),
      /GRANT "a""" TO "r" WITH INHERIT TRUE, SET FALSE;\nGRANT "b"/,
    )
    assert.match(createRole({ ...statement, version: 150_004 }), /GRANT "a""" TO "r";\nGRANT "b" TO "r";/)
  })
})

describe('quoting', () => {
  let postgres: TestPostgres
  before(async () => (postgres = await startPostgres()))
  after(() => postgres[Symbol.asyncDispose]())

  it('gives the server back exactly the text, with both ways of reading backslashes', async () => {
    const texts = [
      ...HOSTILE.filter((text) => !text.includes('\0') && text.isWellFormed()),
      ...fc.sample(WIRE_TEXT, 300),
    ]
    const list = texts.map(quoteText).join(', ')
    for (const conforming of ['on', 'off']) {
      const url = `${postgres.admin}?options=-c%20standard_conforming_strings%3D${conforming}`
      const [row] = await postgres.query(
        `SELECT current_setting('standard_conforming_strings') AS conforming, ARRAY[${list}]::text[] AS texts`,
        [],
        url,
      )
      assert.deepEqual(row, { conforming, texts })
    }
  })

  it('gives the server back exactly the name, up to the 63 bytes it keeps', async () => {
    const names = ['"', '";DROP', "'", '\\', 'Ünï', 'a.b', 'select', ...fc.sample(NAME, 100)]
    const [row] = await postgres.query(`SELECT row_to_json(t) AS row FROM (SELECT ${columns(names)}) AS t`)
    assert.deepEqual(Object.keys(row?.['row'] as object).toSorted(), names.map((name, at) => at + name).toSorted())
  })
})

const WIRE_TEXT = fc.string({ unit: 'binary', maxLength: 40 }).filter((text) => !text.includes('\0'))
const NAME = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 50 })

function columns(names: readonly string[]): string {
  return names.map((name, at) => `${at} AS ${quoteName(at + name)}`).join(', ')
}

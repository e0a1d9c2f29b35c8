import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readOne, touchesOf } from './fixtures.ts'

const OPEN = { open: true, hidden: [] }

/** What a wall stands before, and what it is called where policy decides. */
const WALLS: Readonly<Record<string, string>> = {
  'DO $$ BEGIN END $$': 'code',
  "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'": 'code',
  'CREATE RULE r AS ON DELETE TO visits DO INSTEAD NOTHING': 'code',
  'SELECT * FROM pg_authid': 'catalog',
  'UPDATE pg_class SET relname = relname': 'catalog',
  'SET ROLE dba': 'setting',
  'SET row_security = off': 'setting',
  "SELECT set_config('ro' || 'le', 'dba', false)": 'setting',
  "ALTER ROLE dba PASSWORD 'x'": 'role',
  "COPY visits TO '/tmp/visits'": 'file',
  "COPY visits FROM PROGRAM 'cat'": 'program',
  'COPY visits TO STDOUT (FORMAT parquet)': 'encoding',
  "COPY visits TO STDOUT (ENCODING 'LATIN1')": 'encoding',
  "PREPARE TRANSACTION 'later'": 'two-phase',
}

describe('walls', () => {
  for (const [text, kind] of Object.entries(WALLS)) {
    it(`stand before ${text}, and are an action of their own at an open target`, () => {
      assert.equal(readOne(text, { hidden: [] }).objection?.code, 'denied')
      assert.equal(
        touchesOf(text, { hidden: [] }).some((touch) => touch.includes('privileged')),
        false,
      )
      assert.equal(readOne(text, OPEN).objection, undefined)
      const touches = touchesOf(text, OPEN)
      assert.ok(touches.includes(`sql.privileged clinic /kind=${kind}`), touches.join('\n'))
      assert.ok(touches.length > 1, 'besides its own actions')
    })
  }

  it('stand before a name that has been changed by an earlier statement', () => {
    const changed = [{ name: 'visits', now: 'moved' }] as const
    assert.equal(readOne('DELETE FROM visits', { hidden: [], changed }).objection?.code, 'denied')
    assert.deepEqual(touchesOf('DELETE FROM visits WHERE id = 1', { ...OPEN, changed }), [
      'sql.privileged clinic /kind=names',
      'sql.delete clinic/public.visits',
      'sql.delete clinic/archive.visits',
    ])
  })

  it('are a matter of policy after a change of any name, too', () => {
    const changed = [{ name: '*', now: 'moved' }] as const
    assert.ok(touchesOf('SELECT id FROM visits', { ...OPEN, changed }).includes('sql.privileged clinic /kind=names'))
  })
})

describe('at an open target', () => {
  for (const text of [
    'SET standard_conforming_strings = off',
    'RESET standard_conforming_strings',
    'SET backslash_quote = on',
    "SET NAMES 'latin1'",
    "SELECT set_config('client_encoding', 'SJIS', true)",
  ])
    it(`nothing permits ${text}`, () => assert.equal(readOne(text, OPEN).objection?.code, 'denied'))

  it('a COPY with a file has no rows on the wire', () => {
    assert.equal(readOne("COPY visits FROM '/tmp/visits'", OPEN).copy, undefined)
    assert.equal(readOne('COPY visits FROM STDIN', OPEN).copy?.direction, 'in')
  })

  it('PREPARE TRANSACTION ends the transaction, and COMMIT PREPARED takes effect at once', () => {
    assert.equal(readOne("PREPARE TRANSACTION 'x'", OPEN).transaction, 'commit')
    assert.deepEqual(
      [readOne("COMMIT PREPARED 'x'", OPEN).effect, readOne("COMMIT PREPARED 'x'", OPEN).transaction],
      ['final', undefined],
    )
  })

  it('use of a masked column is refused all the same', () => {
    assert.equal(readOne('SELECT lower(mail) FROM patients', { open: true }).objection?.code, 'denied')
  })
})

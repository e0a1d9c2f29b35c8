import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readOne, touchesOf } from './fixtures.ts'

const SEEN = { hidden: [] }

/** What a definition or a lock does to relations that it does not seem to be about. */
const REACHED: readonly (readonly [text: string, ...touches: string[]])[] = [
  ['ALTER TABLE bills ATTACH PARTITION visits FOR VALUES IN (1)', 'sql.alter clinic/public.visits /kind=table'],
  ['ALTER TABLE bills DETACH PARTITION visits', 'sql.alter clinic/public.visits /kind=table'],
  ['ALTER TABLE bills DETACH PARTITION visits FINALIZE', 'sql.alter clinic/public.visits /kind=table'],
  ['ALTER TABLE bills INHERIT visits', 'sql.alter clinic/public.visits /kind=table'],
  ['ALTER TABLE bills NO INHERIT visits', 'sql.alter clinic/public.visits /kind=table'],
  ['CREATE TABLE t () INHERITS (visits)', 'sql.alter clinic/public.visits /kind=table'],
  ['CREATE TABLE t PARTITION OF visits FOR VALUES IN (1)', 'sql.alter clinic/public.visits /kind=table'],
  [
    'GRANT ALL ON ALL TABLES IN SCHEMA archive TO bot',
    'sql.grant clinic/archive /kind=table',
    'sql.grant clinic/archive.visits /kind=table',
    'sql.grant clinic/archive.payments /kind=table',
  ],
  ['REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM bot', 'sql.grant clinic/public.ticket /kind=sequence'],
  ['CREATE OR REPLACE VIEW busy_days AS SELECT 1 AS day', 'sql.alter clinic/public.busy_days /kind=view'],
  ['DROP POLICY p ON visits', 'sql.grant clinic/public.visits /kind=policy'],
  ['LOCK busy_days', 'sql.lock clinic/public.busy_days', 'sql.lock clinic/public.visits'],
  ['LOCK people', 'sql.lock clinic/public.people', 'sql.lock clinic/public.staff'],
  ['SELECT * FROM (SELECT id FROM visits) q FOR UPDATE', 'sql.select clinic/public.visits /lock=update'],
  [
    'SELECT * FROM (SELECT id FROM (SELECT id FROM visits) r, bills) q FOR SHARE',
    'sql.select clinic/public.visits /lock=share',
    'sql.select clinic/public.bills /lock=share',
  ],
]

/** What could reach any relation. */
const WALLED = [
  'REASSIGN OWNED BY dba TO bot',
  'DROP TYPE mood CASCADE',
  'DROP DOMAIN d CASCADE',
  'DROP FUNCTION purge() CASCADE',
  'DROP EXTENSION x CASCADE',
  'DROP OPERATOR <-> (int, int) CASCADE',
  'CREATE ROLE x LOGIN PASSWORD $$x$$',
  'CREATE USER x IN ROLE dba ENCRYPTED PASSWORD $$x$$',
  'ALTER TEXT SEARCH DICTIONARY d (StopWords = passwd)',
]

describe('a rule about a relation also meets', () => {
  for (const [text, ...touches] of REACHED)
    it(text, () => assert.deepEqual(new Set(touches).difference(new Set(touchesOf(text, SEEN))), new Set()))
})

describe('a wall stands, whatever is hidden, before', () => {
  for (const text of WALLED)
    it(text, () => {
      assert.equal(readOne(text, SEEN).objection?.code, 'denied')
      assert.ok(touchesOf(text, { ...SEEN, open: true }).some((touch) => touch.startsWith('sql.privileged')))
    })
})

describe('what reaches no further', () => {
  it('is touched as before', () => {
    assert.deepEqual(touchesOf('LOCK ONLY people', SEEN), ['sql.lock clinic/public.people'])
    assert.deepEqual(touchesOf('WITH q AS (SELECT id FROM visits) SELECT * FROM q FOR UPDATE', SEEN), [
      'sql.select clinic/public.visits',
    ])
    assert.deepEqual(
      touchesOf('SELECT * FROM bills WHERE id IN (SELECT id FROM (SELECT id FROM visits) v) FOR UPDATE', SEEN),
      ['sql.select clinic/public.bills /lock=update', 'sql.select clinic/public.visits'],
    )
    assert.deepEqual(touchesOf('CREATE ROLE x', SEEN), ['sql.grant clinic /kind=role'])
    assert.deepEqual(touchesOf('CREATE OR REPLACE VIEW fresh AS SELECT 1 AS day', SEEN), [
      'sql.create clinic/public /kind=view /name=fresh',
    ])
  })
})

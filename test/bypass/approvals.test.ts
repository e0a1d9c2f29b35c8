import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Refusal } from '../../src/gateway/domain.ts'
import { bind, close, execute, flush, parse, query, run, sync } from '../client-messages.ts'
import { frame, str, u16, u32, val } from '../frames-builder.ts'
import { approve } from '../holding.ts'
import { fields, show, type Message } from '../raw-client.ts'
import type { Scene } from '../scene.ts'
import { assertAlive, intrude, startRange, take, type Step } from './attack.ts'

let scene: Scene
let dba: string
before(async () => {
  scene = await startRange()
  dba = await scene.token({ kind: 'User', name: 'dora', groups: ['dba'] })
})
after(() => scene?.[Symbol.asyncDispose]())

/** Nobody has approved a total of 666 in the ledger: whatever else an approval did, it did not do that. */
async function assertNotDone(told: string): Promise<void> {
  const [row] = await scene.truth(
    'SELECT (SELECT count(*)::int FROM ledger WHERE total = 666) + (SELECT 3000 - count(*)::int FROM ledger) AS evil',
  )
  await scene.truth('UPDATE ledger SET total = 0 WHERE total <> 0')
  assert.deepEqual(row, { evil: 0 }, told)
}

/** The tickets among these. */
const tickets = (messages: readonly Message[]): readonly string[] =>
  messages
    .filter(({ type, body }) => type === 'E' && fields(body).get('C') === 'SP001')
    .map(({ body }) => (JSON.parse(fields(body).get('D') ?? '{}') as Refusal).approval!.id)

const GOOD = 'UPDATE ledger SET total = 1 WHERE id = 1'
const EVIL = 'UPDATE ledger SET total = 666 WHERE id < 9'
const bound = [parse(GOOD, 's'), bind({ portal: 'p', statement: 's' })]
const other = [close('S', 's'), parse(EVIL, 's')]
/** Approves what was asked for by the harmless text; what the other text asked for nobody approves. */
async function approveGood(ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const { body } = await scene.api(dba, `/api/v1/approvals/${id}`)
    if (!JSON.stringify(body).includes('666')) await approve(scene, id, dba)
  }
}

const again = bind({ portal: 'p', statement: 's' })

describe('an approval runs the text that was approved, or nothing', () => {
  const rows: readonly { readonly title: string; readonly steps: readonly Step[] }[] = [
    { title: 'the statement of a bound portal is closed and parsed anew', steps: [[...bound, flush, ...other, flush, execute('p'), sync]] },
    { title: 'the same in one write without Flush', steps: [[...bound, ...other, execute('p'), sync]] },
    { title: 'the portal is bound anew', steps: [[...bound, close('P', 'p'), ...other, again, execute('p'), sync]] },
    { title: 'another statement comes behind the Execute', steps: [[...bound, execute('p'), ...other, again, execute('p'), sync]] },
    { title: 'another statement comes behind the Sync', steps: [[...bound, execute('p'), sync, ...other, sync]] },
    { title: 'the unnamed one is replaced', steps: [[parse(GOOD), bind(), parse(EVIL), execute(), sync]] },
    { title: 'SQL replaces what the wire prepared', steps: [[parse(GOOD, 's'), sync, query('DEALLOCATE s'), parse(EVIL, 's'), sync], 'EXECUTE s'] },
    { title: 'EXECUTE of one that is replaced', steps: [[parse(GOOD, 's'), sync], 'EXECUTE s', 'DEALLOCATE s', [parse(EVIL, 's'), sync], 'EXECUTE s'] },
    { title: 'a statement comes behind a long comment', steps: [`${GOOD} /*${'x'.repeat(9000)}*/`, `${GOOD} /*${'x'.repeat(9000)}*/; ${EVIL}`] },
  ] // prettier-ignore
  for (const { title, steps } of rows) {
    it(title, async () => {
      await using client = await intrude(scene, ['asked'], title)
      const first = await take(client, steps)
      const told = show(first).join(' | ').slice(0, 500)
      assert.ok(tickets(first).length > 0, told)
      await assertNotDone(told)
      await approveGood(tickets(first))
      await take(client, steps)
      await take(client, [[bind({ portal: 'p', statement: 's' }), execute('p'), sync], 'ROLLBACK', EVIL])
      await assertNotDone(told)
      await assertAlive(client)
    })
  }
})

/** Bind of one parameter in a format. */
const bindAs = (value: string, format: number): Buffer =>
  frame('B', str(''), str(''), u16(1), u16(format), u16(1), val(Buffer.from(value)), u16(0))
const parseAs = (text: string, type: number): Buffer => frame('P', str(''), str(text), u16(1), u32(type))

const U = 'UPDATE ledger SET total = 666 WHERE id = 1'
const BY_TEXT = 'UPDATE ledger SET total = 666 WHERE body = $1 AND id < 9'
const BY_TYPE = "UPDATE ledger SET total = 666 WHERE id < 9 AND '10' < $1"
const BY_DATE = `${U} AND timestamptz '02/01/2026 23:00' > '2026-01-15'`
const BY_ZONE = `${U} AND timestamptz '2026-01-10 00:00' > '2026-01-10 05:00+00'`

describe('an approval is of one meaning', () => {
  type Row = {
    readonly title: string
    readonly before?: readonly Step[]
    readonly first?: Step
    readonly between: readonly Step[]
    readonly second?: Step
    readonly elsewhere?: true
    readonly undo?: string
  }
  const rows: readonly Row[] = [
    { title: 'binary for text', first: [parse(BY_TEXT), bindAs('\\x726f77', 0), execute(), sync], between: [], second: [parse(BY_TEXT), bindAs('row', 1), execute(), sync] },
    { title: 'text for integer', first: [parseAs(BY_TYPE, 23), bindAs('9', 0), execute(), sync], between: [], second: [parseAs(BY_TYPE, 25), bindAs('9', 0), execute(), sync] },
    { title: 'another value', first: [parse(BY_TEXT), bindAs('none', 0), execute(), sync], between: [], second: [parse(BY_TEXT), bindAs('row', 0), execute(), sync] },
    { title: 'another DateStyle', before: ["SET DateStyle TO 'DMY'"], first: BY_DATE, between: ["SET DateStyle TO 'MDY'"] },
    { title: 'another DateStyle on its way', before: ["SET DateStyle TO 'DMY'"], first: BY_DATE, between: [], second: [query("SET DateStyle TO 'MDY'"), query(BY_DATE)] },
    { title: 'another TimeZone', before: ["SET TimeZone TO 'Pacific/Kiritimati'"], first: BY_ZONE, between: ["SET TimeZone TO 'Pacific/Pago_Pago'"] },
    { title: 'another TimeZone in the same batch', before: ["SET TimeZone TO 'Pacific/Kiritimati'"], first: BY_ZONE, between: [], second: [run("SET TimeZone TO 'Pacific/Pago_Pago'"), run(BY_ZONE), sync] },
    { title: 'another search_path', before: ['SET search_path TO attic'], first: U, between: ['SET search_path TO public'] },
    { title: 'another search_path, which then goes back', before: ['SET search_path TO attic'], first: U, between: ['BEGIN', 'SET LOCAL search_path TO public'] },
    { title: 'the search_path of another session', before: ['SET search_path TO attic'], first: U, between: [], elsewhere: true },
    { title: 'a temporary table that is dropped', before: ['CREATE TEMP TABLE ledger (id int, total int, body text)'], first: U, between: ['DROP TABLE pg_temp.ledger'] },
    { title: 'a temporary table of another session', before: ['CREATE TEMP TABLE ledger (id int, total int, body text)'], first: U, between: [], elsewhere: true },
    { title: 'a table renamed to the name of a dropped one', before: ['CREATE TABLE junk (id int, total int)'], first: U.replace('ledger', 'junk'), between: ['DROP TABLE junk', 'ALTER TABLE ledger RENAME TO junk'], undo: 'ALTER TABLE junk RENAME TO ledger' },
    { title: 'a table renamed in a transaction', before: ['CREATE TABLE junk2 (id int, total int)'], first: U.replace('ledger', 'junk2'), between: ['BEGIN', 'DROP TABLE junk2', 'ALTER TABLE ledger RENAME TO junk2'] },
    { title: 'a table moved to the schema that is searched', before: ['CREATE SCHEMA first', 'CREATE TABLE first.ledger (id int, total int)'], first: U.replace('ledger', 'first.ledger'), between: ['DROP TABLE first.ledger', 'ALTER TABLE ledger SET SCHEMA first'], undo: 'ALTER TABLE first.ledger SET SCHEMA public' },
    { title: 'a view that shows another table', before: ['CREATE VIEW shown AS SELECT * FROM decoy'], first: U.replace('ledger', 'shown'), between: ['CREATE OR REPLACE VIEW shown AS SELECT id, total FROM ledger'] },
    { title: 'a view that is dropped and made again', before: ['CREATE VIEW seen AS SELECT * FROM decoy'], first: U.replace('ledger', 'seen'), between: ['DROP VIEW seen', 'CREATE VIEW seen AS SELECT id, total FROM ledger'] },
  ] // prettier-ignore
  for (const { title, before: made = [], first = U, between, second = first, elsewhere, undo } of rows) {
    it(title, async () => {
      await using client = await intrude(scene, ['asked'], title)
      const asked = await take(client, [...made, first])
      assert.equal(tickets(asked).length, 1, show(asked).join(' | '))
      await approve(scene, tickets(asked)[0]!, dba)
      await using stranger = await intrude(scene, ['asked'], title)
      const answers = await take(elsewhere ? stranger : client, [...between, second])
      await take(elsewhere ? stranger : client, ['COMMIT'])
      if (undo) await scene.truth(undo).catch(() => undefined)
      await assertNotDone(show(answers).join(' | ').slice(0, 500))
    })
  }
})

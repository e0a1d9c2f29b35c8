import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { bind, close, describePortal, execute, parse, query, run, sync } from '../client-messages.ts'
import { brief, show } from '../raw-client.ts'
import type { Scene } from '../scene.ts'
import { assertAlive, assertNothingSecret, attacks, intrude, startRange, take, type Attack } from './attack.ts'

let scene: Scene
before(async () => {
  scene = await startRange()
})
after(() => scene?.[Symbol.asyncDispose]())

describe('a new name does not show what the old one kept', () => {
  const ways: readonly (readonly [change: string, read: string])[] = [
    ['ALTER SCHEMA public RENAME TO p2', "SELECT secret || '', * FROM p2.people"],
    ['ALTER SCHEMA public RENAME TO p2', 'SELECT contact FROM p2.reach'],
    ['ALTER SCHEMA public RENAME TO p2', 'SELECT * FROM p2.vault'],
    ['ALTER TABLE people RENAME TO p2', "SELECT secret || '' FROM p2"],
    ['ALTER TABLE people SET SCHEMA attic', "SELECT secret || '' FROM attic.people"],
    ['ALTER TABLE people RENAME COLUMN secret TO notes2', "SELECT notes2 || '' FROM people"],
    ['ALTER TABLE people RENAME pin TO n', 'SELECT n + 0 FROM people'],
    ['ALTER TABLE vault RENAME TO v2', 'SELECT code FROM v2'],
    ['ALTER TABLE vault SET SCHEMA attic', 'SELECT code FROM attic.vault'],
    ['ALTER VIEW vault_view RENAME TO v2', 'SELECT code FROM v2'],
    ['ALTER VIEW vault_view SET SCHEMA attic', 'SELECT code FROM attic.vault_view'],
    ['ALTER TABLE vault_view RENAME TO v2', 'TABLE v2'],
    ['ALTER VIEW reach RENAME TO r2', 'SELECT contact FROM r2'],
    ['ALTER VIEW reach RENAME contact TO id2', 'SELECT id2 FROM reach'],
    ['ALTER MATERIALIZED VIEW reach_kept RENAME TO r2', 'SELECT contact FROM r2'],
    ['ALTER INDEX people RENAME TO p2', "SELECT secret || '' FROM p2"],
    ['ALTER SEQUENCE vault RENAME TO v2', 'SELECT code FROM v2'],
    ['ALTER FUNCTION secret_of(int) RENAME TO initcap', 'SELECT initcap(1)'],
    ['ALTER ROUTINE secret_of RENAME TO upper', 'SELECT upper(1)'],
    ['ALTER FUNCTION secret_of SET SCHEMA attic', 'SELECT attic.secret_of(1)'],
    ['ALTER TYPE people RENAME TO p2', "SELECT secret || '' FROM p2"],
    ['ALTER TYPE people RENAME ATTRIBUTE secret TO s2', "SELECT s2 || '' FROM people"],
    ['DROP VIEW reach; CREATE VIEW decoy2 AS SELECT * FROM vault', 'SELECT code FROM decoy2'],
    ['ALTER TABLE decoy RENAME TO d2; ALTER TABLE vault RENAME TO decoy', 'SELECT * FROM decoy'],
    ['CREATE TABLE par (LIKE vault); ALTER TABLE vault INHERIT par', 'SELECT code FROM par'],
    [
      'CREATE TABLE par (LIKE vault) PARTITION BY LIST (id); ALTER TABLE par ATTACH PARTITION vault DEFAULT',
      'TABLE par',
    ],
    ['CREATE RULE "_RETURN" AS ON SELECT TO decoy DO INSTEAD SELECT id, id FROM vault', 'TABLE decoy'],
    ['CREATE OR REPLACE VIEW vault_view AS SELECT id, code FROM vault', 'SELECT code FROM vault_view'],
    ['SET search_path TO attic', 'ALTER TABLE public.vault SET SCHEMA attic; TABLE vault'],
  ]
  const rows = ways.flatMap(([change, read], turn): Attack[] => {
    const title = `${change}; ${read}`
    const forms: readonly Attack[] = [
      { title: `in one text: ${title}`, steps: [`BEGIN; ${change}; ${read}; ROLLBACK`], code: '*' },
      { title: `pipelined: ${title}`, steps: [['BEGIN', change, read, 'ROLLBACK'].map(query)], code: '*' },
      {
        title: `in a batch: ${title}`,
        steps: ['BEGIN', [...`${change};${read}`.split(';').map((text) => run(text)), sync]],
      },
    ]
    return [{ title: `in a transaction: ${title}`, steps: ['BEGIN', change, read], code: '*' }, forms[turn % 3]!]
  })
  attacks(() => scene, rows)
})

describe('a name stands for what the target has under it', () => {
  const secret = 'SELECT name, secret FROM people'
  const other = 'SELECT id, name FROM people'
  const long = 'x'.repeat(63)
  attacks(
    () => scene,
    [
      {
        title: 'when a longer name is cut to it',
        steps: [
          [parse(other, `${long}A`), bind({ statement: `${long}A` }), describePortal(), sync],
          [close('S', `${long}B`), sync],
          [parse(secret, `${long}B`), sync],
          [bind({ statement: `${long}A` }), execute(), sync],
        ],
      },
      {
        title: 'when a longer portal is cut to it',
        steps: [
          'BEGIN',
          [
            parse(other, 'a'),
            parse(secret, 'b'),
            bind({ portal: `${long}A`, statement: 'a' }),
            describePortal(`${long}A`),
            close('P', `${long}B`),
            bind({ portal: `${long}B`, statement: 'b' }),
            execute(`${long}A`),
            sync,
          ],
        ],
      },
      {
        title: 'when SQL prepares what the wire closes',
        steps: [
          `PREPARE ${long} AS ${other}`,
          [close('S', `${long}Z`), sync],
          [parse(secret, `${long}Z`), sync],
          `EXECUTE ${long}`,
        ],
      },
      {
        title: 'when PREPARE and DEALLOCATE stand in a text that fails',
        steps: [`PREPARE p AS ${secret}; SELECT 1 / 0; DEALLOCATE p; PREPARE p AS ${other}`, 'EXECUTE p'],
      },
      {
        title: 'when a cursor is declared again',
        steps: [
          'BEGIN',
          `DECLARE c CURSOR FOR ${other}`,
          [describePortal('c'), execute('c', 1), sync],
          'CLOSE c',
          `DECLARE c CURSOR FOR ${secret}`,
          [execute('c', 1), sync],
          'FETCH ALL c',
        ],
        code: 'none',
      },
      {
        title: 'when a batch replaces a cursor',
        steps: [
          'BEGIN',
          `DECLARE c CURSOR FOR ${other}`,
          [describePortal('c'), execute('c', 1), sync],
          [run('CLOSE c'), run(`DECLARE c CURSOR FOR ${secret}`), execute('c', 2), sync],
        ],
        code: 'none',
      },
      {
        title: 'when a portal is fetched as a cursor',
        steps: [
          'BEGIN',
          [parse(secret, 's'), bind({ portal: 'p', statement: 's', formats: [1] }), sync],
          'FETCH ALL p',
          'MOVE BACKWARD ALL p',
          'FETCH 1 FROM p',
        ],
      },
      {
        title: 'when a cursor becomes a portal',
        steps: [
          'BEGIN',
          `DECLARE x CURSOR FOR ${other}`,
          [describePortal('x'), sync],
          'CLOSE x',
          [parse(secret, 'b'), bind({ portal: 'x', statement: 'b' }), execute('x'), sync],
        ],
      },
      {
        title: 'when it is declared twice in a text',
        steps: ['BEGIN', `DECLARE c CURSOR FOR ${other}; DECLARE c CURSOR FOR ${secret}; FETCH ALL c`],
        code: '*',
      },
      {
        title: 'when a cursor comes back by a savepoint',
        steps: [
          'BEGIN',
          `DECLARE c CURSOR FOR ${secret}`,
          'SAVEPOINT a',
          'CLOSE c',
          `DECLARE c CURSOR FOR ${other}`,
          'ROLLBACK TO a',
          'FETCH ALL c',
        ],
        code: '*',
      },
      {
        title: 'when EXECUTE runs an EXECUTE',
        steps: [`PREPARE a AS ${secret}`, [parse('EXECUTE a', 'w'), bind({ statement: 'w' }), sync], 'EXECUTE w'],
      },
      { title: 'when EXECUTE runs itself', steps: [[parse('EXECUTE a', 'a'), sync], 'EXECUTE a'], code: '*' },
      {
        title: 'when EXPLAIN runs it',
        steps: ['PREPARE a AS SELECT secret::int FROM people', 'EXPLAIN ANALYZE EXECUTE a'],
        code: '42501',
      },
      {
        title: 'when a hidden one is re-prepared behind a refusal',
        steps: [
          [parse(other, 'a'), sync],
          [parse("SELECT secret || '' FROM people", 'a'), close('S', 'a'), parse(secret, 'a'), sync],
          [bind({ statement: 'a' }), execute(), sync],
        ],
      },
      {
        title: 'when nobody made it',
        steps: ['EXECUTE nobody', 'FETCH nobody', 'MOVE nobody', 'CLOSE nobody', 'DEALLOCATE nobody'],
        code: '*',
      },
    ],
  )

  it('when there are as many of them as a session may keep, and one more', async () => {
    await using client = await intrude(scene)
    const many = Array.from({ length: 10_001 }, (_, i) => parse('SELECT 1', `s${i}`))
    const evil = [parse(secret, 'evil'), bind({ statement: 's0' }), bind({ statement: 'evil' }), execute(), sync]
    client.send(Buffer.concat([...many, sync, ...evil]))
    assert.ok(
      show(await client.closed())
        .at(-1)
        ?.startsWith('E SP007'),
    )
    assertNothingSecret(client)
  })
})

describe('statements about names keep the session alive in a batch', () => {
  const texts = [
    'DEALLOCATE ALL', 'DEALLOCATE s', 'CLOSE ALL', 'CLOSE c', 'DISCARD ALL', 'DISCARD PLANS', 'DISCARD TEMP', 'EXECUTE s', 'FETCH ALL c',
    'MOVE 1 IN c', 'PREPARE s AS SELECT 1', 'DECLARE c CURSOR FOR SELECT 1', 'RESET ALL', 'UNLISTEN *',
  ] // prettier-ignore
  for (const text of texts) {
    it(text, async () => {
      await using client = await intrude(scene)
      await take(client, [
        [parse('SELECT secret FROM people', 's'), sync],
        'BEGIN',
        'DECLARE c CURSOR FOR SELECT secret FROM people',
      ])
      await take(client, [[run(text), sync], [run(text), run('SELECT 1'), sync], 'ROLLBACK', [run(text), sync]])
      assertNothingSecret(client)
      await assertAlive(client)
      assert.equal(brief(client.messages).at(-1), 'Z I')
    })
  }
})

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Client, QueryConfig } from 'pg'
import { frame, str, u16, u32 } from './frames-builder.ts'
import { approve, connected, refused } from './holding.ts'
import { brief, rawConnect, type RawClient } from './raw-client.ts'
import { startScene, type Scene } from './scene.ts'

const POLICIES = `
@id("connect") permit (principal in Group::"data-agents", action == Action::"connect", resource);
@id("read") permit (principal in Group::"data-agents", action in [Action::"read", Action::"session"], resource in Target::"orders");
@id("create") permit (principal in Group::"data-agents", action == Action::"sql.create", resource in Target::"orders");
@id("updates-by-ticket") @hold("group:dba") @wait("0s")
permit (principal in Group::"data-agents", action == Action::"sql.update", resource in Target::"orders");
`

describe('an approval is for what the text means, not for the text alone', () => {
  let scene: Scene
  let dba: string

  before(async () => {
    scene = await startScene({ policies: POLICIES })
    dba = await scene.token({ kind: 'User', name: 'dora', groups: ['dba'] })
    await scene.truth('INSERT INTO orders SELECT n, 1, 0 FROM generate_series(100, 120) n')
    await scene.truth('CREATE SCHEMA archive; GRANT USAGE ON SCHEMA archive TO orders_writer')
    await scene.truth(
      'CREATE TABLE archive.orders AS SELECT * FROM orders; GRANT ALL ON archive.orders TO orders_writer',
    )
  })
  after(() => scene?.[Symbol.asyncDispose]())

  const total = async (id: number): Promise<unknown> =>
    (await scene.truth(`SELECT total::int FROM orders WHERE id = ${id}`))[0]!['total']
  const ticketFor = async (client: Client, query: QueryConfig | string): Promise<string> => {
    const { code, refusal } = await refused(client.query(query))
    assert.equal(code, 'SP001')
    await approve(scene, refusal.approval!.id, dba)
    return refusal.approval!.id
  }
  const assertHeldAnew = async (client: Client, query: QueryConfig | string, approved: string): Promise<void> => {
    const { code, refusal } = await refused(client.query(query))
    assert.equal(code, 'SP001')
    assert.notEqual(refusal.approval!.id, approved)
  }

  it('a table that hides another under its name is not that other', async () => {
    const update = 'UPDATE orders SET total = 666 WHERE id = 100'
    let id: string
    {
      await using decoy = await connected(scene)
      await decoy.query('CREATE TEMPORARY TABLE orders (id int, total numeric)')
      id = await ticketFor(decoy, update)
    }
    await using client = await connected(scene)
    await assertHeldAnew(client, update, id)
    assert.equal(await total(100), 0)
  })

  it('another search_path finds another table', async () => {
    const update = 'UPDATE orders SET total = 667 WHERE id = 101'
    let id: string
    {
      await using elsewhere = await connected(scene)
      await elsewhere.query('SET search_path TO archive')
      id = await ticketFor(elsewhere, update)
    }
    await using client = await connected(scene)
    await assertHeldAnew(client, update, id)
    assert.equal(await total(101), 0)
  })

  it('a search_path that was rolled back is not one that stands', async () => {
    const update = 'UPDATE orders SET total = 671 WHERE id = 108'
    await using client = await connected(scene)
    for (const text of ['BEGIN', 'SET search_path TO archive', 'ROLLBACK']) await client.query(text)
    const id = await ticketFor(client, update)
    await using elsewhere = await connected(scene)
    await elsewhere.query('SET search_path TO archive')
    await assertHeldAnew(elsewhere, update, id)
    assert.deepEqual(await scene.truth('SELECT total::int FROM archive.orders WHERE id = 108'), [{ total: 0 }])
  })

  describe('a setting counts while it is still on its way', () => {
    const update = (id: number): string =>
      `UPDATE orders SET total = 672 WHERE id = ${id} AND timestamptz '02/01/2026 23:00' < '2026-01-15'`
    const approved = async (text: string): Promise<void> => {
      await using client = await connected(scene)
      await ticketFor(client, text)
    }
    const raw = async (): Promise<RawClient> =>
      rawConnect({ port: scene.gateway.postgres.port, password: await scene.token() })
    const run = (text: string): Buffer[] => [
      frame('P', str(''), str(text), u16(0)),
      frame('B', str(''), str(''), u16(0), u16(0), u16(0)),
      frame('E', str(''), u32(0)),
    ]

    it('in a Query sent before its answer came', async () => {
      await approved(update(109))
      await using client = await raw()
      client.send(frame('Q', str("SET DateStyle TO 'DMY'")), frame('Q', str(update(109))))
      assert.deepEqual(brief(await client.ready(2)).slice(-2), ['E SP001', 'Z I'])
      assert.equal(await total(109), 0)
    })

    it('in a batch, where the target reports it only at its end', async () => {
      await approved(update(110))
      await using client = await raw()
      client.send(...run("SET DateStyle TO 'DMY'"), frame('H'))
      await client.until('C')
      client.send(...run(update(110)), frame('S'))
      assert.deepEqual(brief(await client.ready()).slice(-2), ['E SP001', 'Z I'])
      assert.equal(await total(110), 0)
    })
  })

  it('a prepared statement of the same name can be another one', async () => {
    await using client = await connected(scene)
    const prepare = async (text: string): Promise<void> => {
      await ticketFor(client, text)
      await client.query(text)
    }
    await prepare('PREPARE p AS UPDATE orders SET total = 1 WHERE id = 102')
    const id = await ticketFor(client, 'EXECUTE p')
    await client.query('DEALLOCATE p')
    await prepare('PREPARE p AS UPDATE orders SET total = 668 WHERE id > 102')
    await assertHeldAnew(client, 'EXECUTE p', id)
    assert.equal(await total(103), 0)
  })

  for (const [setting, one, other] of [
    ['DateStyle', 'MDY', 'DMY'],
    ['TimeZone', 'UTC', 'Pacific/Kiritimati'],
  ] as const) {
    it(`another ${setting} makes another moment of the same literal`, async () => {
      const update = `UPDATE orders SET total = 669 WHERE id = 104 AND timestamptz '02/01/2026 23:00' < '2026-01-15'`
      await using client = await connected(scene)
      await client.query(`SET ${setting} TO '${one}'`)
      const id = await ticketFor(client, update)
      await client.query(`SET ${setting} TO '${other}'`)
      await assertHeldAnew(client, update, id)
      assert.equal(await total(104), 0)
    })
  }

  it('a parameter in binary is not the text that shows it', async () => {
    const text = 'UPDATE customers SET balance = 0 WHERE name = $1'
    await using client = await connected(scene)
    const id = await ticketFor(client, { text, values: ['\\x416461'] })
    await assertHeldAnew(client, { text, values: [Buffer.from('Ada')] }, id)
    assert.deepEqual(await scene.truth('SELECT balance::int FROM customers WHERE id = 1'), [{ balance: 10 }])
  })

  it('a parameter of another type compares otherwise', async () => {
    const [int4, text] = [23, 25].map((oid) => Object.assign([oid], { getTypeParser: () => String }))
    const query = {
      text: "UPDATE orders SET total = 670 WHERE id = 107 AND '10' < $1",
      values: ['9'],
    }
    await using client = await connected(scene)
    const id = await ticketFor(client, { ...query, types: int4 })
    await assertHeldAnew(client, { ...query, types: text }, id)
    assert.equal(await total(107), 0)
  })

  it('every statement of a text counts', async () => {
    await using client = await connected(scene)
    const both = 'UPDATE orders SET total = 1 WHERE id = 105; UPDATE orders SET total = 1 WHERE id = 106'
    await ticketFor(client, both)
    await assertHeldAnew(client, both.split(';')[0]!, 'none')
    assert.equal(await total(105), 0)
    await client.query(both)
    assert.deepEqual([await total(105), await total(106)], [1, 1])
  })
})

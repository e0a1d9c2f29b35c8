import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import type { Client } from 'pg'
import { connectTo, createToken } from '../command.ts'
import { eventually, LINUX, startSiege, type Siege } from './siege.ts'

/** Sessions of one wave, waves, and sessions that stay open at once. */
const WAVE = 25
const WAVES = 4
const IDLE = 200

/** `auditor`: the token of somebody who may see the list of sessions. */
type Watched = Siege & { readonly auditor: string }

describe('sessions that have come and gone leave nothing', LINUX, () => {
  let siege: Watched
  before(async () => {
    const started = await startSiege({ settings: ['max_connections=300'] })
    siege = { ...started, auditor: await createToken(started.shop.config, '--user', 'sam', '--group', 'security') }
  })
  after(() => siege?.[Symbol.asyncDispose]())

  it('after waves of them: no role, no connection, no descriptor, no live session', async () => {
    await wave(siege, WAVE)
    await onlyTheSecond(siege)
    const before = descriptors(siege)
    const memory = siege.memory()
    for (let turn = 0; turn < WAVES; turn++) await wave(siege, WAVE)
    await onlyTheSecond(siege)
    await eventually('as many descriptors as before', () => descriptors(siege) <= before)
    assert.ok(siege.memory() < memory + 32, `${memory} MB became ${siege.memory()} MB`)
  })

  it('200 idle ones are all served, and all gone when they leave', async () => {
    const before = { memory: siege.memory(), descriptors: descriptors(siege) }
    const clients = await openSessions(siege, IDLE)
    assert.equal(clients.length, IDLE)
    assert.equal((await siege.shop.roles()).length, IDLE + 1)
    assert.equal(await liveSessions(siege), IDLE + 1)
    const each = ((siege.memory() - before.memory) * 1024) / IDLE
    assert.ok(each < 500, `a session takes ${each.toFixed()} KB`)
    for (const { rows } of await Promise.all(clients.map((client) => client.query('SELECT 7 AS n'))))
      assert.deepEqual(rows, [{ n: 7 }])
    await Promise.all(clients.map((client) => client.end()))
    await onlyTheSecond(siege)
    await eventually('as many descriptors as before', () => descriptors(siege) <= before.descriptors + 2)
  })
})

async function wave(siege: Siege, count: number): Promise<void> {
  const clients = await openSessions(siege, count)
  await Promise.all(clients.map((client) => client.query('SELECT 7')))
  await Promise.all(clients.map((client) => client.end()))
}

async function openSessions({ gateway, token }: Siege, count: number): Promise<readonly Client[]> {
  const clients: Client[] = []
  let left = count
  const opener = async (): Promise<void> => {
    while (left-- > 0) clients.push(await connectTo(gateway.postgres, token))
  }
  await Promise.all([opener(), opener(), opener(), opener()])
  return clients
}

/** At the target, in the gateway and in its list. */
async function onlyTheSecond(siege: Watched): Promise<void> {
  const { shop } = siege
  await eventually('one session role', async () => (await shop.roles()).length === 1, 20_000)
  const backends = `SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename LIKE 'sp\\_%'`
  await eventually('one connection of a session', async () => (await shop.truth(backends))[0]!.count === 1)
  await eventually('one live session', async () => (await liveSessions(siege)) === 1)
}

async function liveSessions({ gateway, auditor }: Watched): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${gateway.admin}/api/v1/sessions?live=true&limit=1000`, {
    headers: { authorization: `Bearer ${auditor}` },
  })
  const { sessions } = (await response.json()) as { sessions: readonly unknown[] }
  return sessions.length
}

function descriptors({ gateway }: Siege): number {
  return readdirSync(`/proc/${gateway.pid}/fd`).length
}

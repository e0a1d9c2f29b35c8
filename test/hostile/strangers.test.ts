import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { readdirSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { query } from '../client-messages.ts'
import { rawConnect, show } from '../raw-client.ts'
import { knock } from './hostile-client.ts'
import { eventually, LINUX, startSiege, withstand, type Siege } from './siege.ts'

/** Of one address, and in all: as the listener has them. */
const ADDRESS = 200
const ALL = 1_000
/** Descriptors that the gateway's own connections to the target come and go with. */
const FEW = 10

describe('connections that have not signed in', LINUX, () => {
  let siege: Siege
  before(async () => {
    siege = await startSiege()
  })
  after(() => siege?.[Symbol.asyncDispose]())
  const descriptors = (): number => readdirSync(`/proc/${siege.gateway.pid}/fd`).length

  it('of one address are 200 at most: another address signs in all the same', async () => {
    const before = descriptors()
    const sockets = await knockOften(siege.gateway.postgres, '127.0.0.9', 500)
    await eventually('300 closed', () => open(sockets) === ADDRESS)
    assert.ok(descriptors() <= before + ADDRESS)
    const { postgres: port } = siege.gateway
    await using other = await rawConnect({ port, password: siege.token, from: '127.0.0.2' })
    other.send(query('SELECT 7'))
    assert.deepEqual(show(await other.ready()).slice(1), ['D 7', 'C SELECT 1', 'Z I'])
    for (const socket of sockets) socket.destroy()
    await eventually('the door free again', () => descriptors() <= before + FEW)
  })

  it('are 1,000 at most, of 10,000: who has signed in before works on', async () => {
    const before = descriptors()
    const { outcome } = await withstand(siege, 'silence from 200 addresses')
    assert.equal(outcome.times, 10_000)
    assert.ok(descriptors() <= before + ALL + 10, `${descriptors()} descriptors`)
    await eventually('the door free again', () => descriptors() <= before + FEW)
    await using again = await rawConnect({ port: siege.gateway.postgres, password: siege.token })
    again.send(query('SELECT 7'))
    assert.equal(show(await again.ready()).at(-1), 'Z I')
  })
})

async function knockOften(port: number, from: string, count: number): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: count }, () => knock(port, from))
  await eventually('all tried', () => sockets.every(({ connecting }) => !connecting))
  return sockets
}

function open(sockets: readonly Socket[]): number {
  return sockets.filter(({ destroyed }) => !destroyed).length
}

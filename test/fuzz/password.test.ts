import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { duplexPair, type Duplex } from 'node:stream'
import { describe, it } from 'node:test'
import type { Core } from '../../src/gateway/gateway.ts'
import { Fault } from '../../src/gateway/fault.ts'
import { Secret } from '../../src/gateway/secret.ts'
import type { AskedGrant } from '../../src/grants/grants.ts'
import { readVerifier, scramVerifier } from '../../src/grants/scram-verifier.ts'
import { askPassword } from '../../src/protocols/postgres/password.ts'
import { createScramClient } from '../../src/protocols/postgres/scram.ts'
import { str, val } from '../frames-builder.ts'
import { NO_GRANTS } from '../no-grants.ts'
import { chunks, mutate, whole } from './mutate.ts'
import { random, type Random } from './random.ts'
import { readRun } from './run.ts'

const PASSWORD = 'pencil'
const GRANT = { id: 'grt_1', target: 'orders', expiresAt: 1, who: {} } as unknown as AskedGrant
const VERIFIER = readVerifier(await scramVerifier(PASSWORD))
const CORE = {
  clock: { now: () => 0 },
  grants: { ...NO_GRANTS, verifier: async () => VERIFIER, find: async () => GRANT },
} as unknown as Core

const initial = (said: string | null, mechanism = 'SCRAM-SHA-256'): Buffer => whole('p', str(mechanism), val(said))
const SAID: readonly Buffer[] = [
  initial('n,,n=,r=abc'),
  initial('y,,n=*,r=abc'),
  initial('p=tls-server-end-point,,n=,r=abc', 'SCRAM-SHA-256-PLUS'),
  initial('n,a=root,n=,r=abc'),
  initial(null),
  initial(`n,,n=,r=${'x'.repeat(9_000)}`),
  whole('p', Buffer.from(`c=biws,r=abc,p=${'A'.repeat(43)}=`)),
  whole('p'),
  whole('Q', str('SELECT 1')),
]
const { seed, frames: wanted } = readRun(2_000)

/** The payload of the gateway's next message; undefined when it is over before there is one. */
async function heard(client: Duplex, over: Promise<unknown>): Promise<Buffer | undefined> {
  const header = await read(client, 9, over)
  return header && read(client, header.readInt32BE(1) - 8, over)
}

async function read(client: Duplex, size: number, over: Promise<unknown>): Promise<Buffer | undefined> {
  for (let more = true; ;) {
    const bytes = client.read(size) as Buffer | null
    if (bytes || !more) return bytes?.length === size ? bytes : undefined
    more = await Promise.race([once(client, 'readable').then(() => true), over.then(() => false)])
  }
}

type Life = { readonly outcome: 'in' | 'refused' | Fault; readonly proven: boolean }

/** A client that knows the password or not, and now and then says something else than it should. */
async function live(chance: Random): Promise<Life> {
  const [client, server] = duplexPair()
  client.on('error', () => undefined)
  const sent: Buffer[] = []
  /** Whether it said what it should: else the gateway may wait for more of it. */
  const send = (message: Buffer): boolean => {
    const said = chance.once(4) ? (chance.once(2) ? mutate(message, chance, SAID) : chance.pick(SAID)) : message
    sent.push(said)
    for (const piece of chunks(said, chance)) client.write(piece)
    return said === message
  }
  const knows = !chance.once(3)
  const outcome = askPassword(server as unknown as Socket, 'grt_1', CORE, AbortSignal.timeout(10_000)).then(
    (who) => ('identity' in who ? 'in' : 'refused'),
    (error: unknown) => (error instanceof Fault ? error : Promise.reject(error)),
  )
  const over = outcome.catch(() => undefined).finally(() => server.destroy())
  const scram = createScramClient(new Secret(knows ? PASSWORD : 'pencils'), { kind: 'none' })
  await heard(client, over)
  const begun = send(whole('p', str(scram.mechanism), val(scram.clientFirst.toString())))
  const challenge = begun ? await heard(client, over) : undefined
  const final = challenge && (await scram.clientFinal(challenge).catch(() => undefined))
  if (final) send(whole('p', final))
  client.end()
  return { outcome: await outcome, proven: knows && final !== undefined && Buffer.concat(sent).includes(final) }
}

describe('the password of a grant, fuzzed', () => {
  it('lets in nobody without it, ends every exchange, and throws nothing but faults', async (context) => {
    const chance = random(seed)
    const counts = { in: 0, refused: 0, fault: 0 }
    for (let left = wanted; left > 0; left--) {
      const { outcome, proven } = await live(chance)
      if (outcome === 'in') assert.ok(proven)
      if (outcome instanceof Fault) assert.ok(['protocol', 'closed'].includes(outcome.code), outcome.message)
      counts[outcome instanceof Fault ? 'fault' : outcome]++
    }
    context.diagnostic(`seed ${seed}: ${JSON.stringify(counts)}`)
    assert.ok(
      Object.values(counts).every((count) => count > wanted / 50),
      JSON.stringify(counts),
    )
  })
})

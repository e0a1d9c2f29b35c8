import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import { describe, it } from 'node:test'
import type { Identity } from '../../src/gateway/domain.ts'
import { Fault } from '../../src/gateway/fault.ts'
import { refuse } from '../../src/gateway/refusals.ts'
import { askBearer } from '../../src/protocols/postgres/oauth.ts'
import { str, val } from '../frames-builder.ts'
import { chunks, mutate, whole } from './mutate.ts'
import { random, type Random } from './random.ts'
import { readRun } from './run.ts'

const TOKEN = 'eyJ.a-token.x_y'
const IDENTITY: Identity = { kind: 'Agent', provider: 'test', subject: 'a', groups: [], expiresAt: 0 }
const ISSUER = { provider: 'test', url: 'https://issuer.example' }
const response = (auth: string, more = ''): string => `n,,\u0001auth=${auth}\u0001${more}\u0001`
const initial = (said: string | null, mechanism = 'OAUTHBEARER'): Buffer => whole('p', str(mechanism), val(said))
/** All that may follow a failure. */
const DUMMY = whole('p', Buffer.from('\u0001'))
const SAID: readonly Buffer[] = [
  initial(response(`Bearer ${TOKEN}`)),
  initial(response(`bearer  ${TOKEN}`, 'host=x\u0001')),
  initial(response('Bearer other')),
  initial(response('')),
  initial(null),
  initial(''),
  initial(response(`Bearer ${TOKEN}`), 'SCRAM-SHA-256'),
  whole('p', Buffer.from(response(`Bearer ${TOKEN}`))),
  whole('p', Buffer.from(response(`Bearer ${'x'.repeat(9_000)}`))),
  DUMMY,
  whole('p'),
  whole('Q', str('SELECT 1')),
]
const { seed, frames: wanted } = readRun(4_000)

/** What comes of a client that says these; a Fault, or what authenticate said. */
async function exchange(said: readonly Buffer[], chance: Random): Promise<'in' | 'refused' | Fault> {
  const [client, server] = duplexPair()
  client.on('error', () => undefined).resume()
  const authenticate = async (token: string) =>
    token === TOKEN ? { identity: IDENTITY } : { refusal: refuse('identity', 'No.') }
  for (const piece of said.flatMap((one) => chunks(one, chance))) client.write(piece)
  client.end()
  try {
    const found = await askBearer(server as unknown as Socket, ISSUER, authenticate, AbortSignal.timeout(10_000))
    return 'identity' in found ? 'in' : 'refused'
  } catch (error) {
    if (error instanceof Fault) return error
    throw error
  } finally {
    server.destroy()
  }
}

describe('OAUTHBEARER, fuzzed', () => {
  it('lets in nobody without the token, ends every exchange, and throws nothing but faults', async (context) => {
    const chance = random(seed)
    const counts = { in: 0, refused: 0, fault: 0 }
    for (let left = wanted; left > 0; left--) {
      const said = Array.from({ length: 1 + chance.below(4) }, () => chance.pick(SAID))
      if (chance.once(2)) said.splice(1, said.length, DUMMY)
      const broken = said.map((one) => (chance.once(3) ? mutate(one, chance, SAID) : one))
      const found = await exchange(broken, chance)
      if (found === 'in') assert.ok(Buffer.concat(broken).includes(TOKEN), Buffer.concat(broken).toString('latin1'))
      if (found instanceof Fault) assert.ok(['protocol', 'closed'].includes(found.code), found.message)
      counts[found instanceof Fault ? 'fault' : found]++
    }
    context.diagnostic(`seed ${seed}: ${JSON.stringify(counts)}`)
    assert.ok(
      Object.values(counts).every((count) => count > wanted / 200),
      JSON.stringify(counts),
    )
  })
})

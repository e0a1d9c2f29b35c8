import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { freePort } from '../postgres.ts'
import { signingKey, startIdp, type Account, type Idp } from '../idp.ts'
import { startScene, told, type Scene, within } from './scene.ts'
import { startSaboteur, type Saboteur } from './saboteur.ts'

const MINUTE = 60_000
const ACCOUNTS: readonly Account[] = ['one', 'two', 'three'].map((id) => ({
  id,
  email: 'ada@shop.example',
  groups: ['data-agents'],
  type: 'agent',
}))

describe('clocks that jump, and an identity provider that fails', () => {
  let scene: Scene
  let saboteur: Saboteur
  let idp: Idp
  let port: number
  /** How much more time than the test took has passed for the gateway: it only grows. */
  let elapsedMs = 0
  const keys = Promise.all([signingKey(), signingKey()])

  before(async () => {
    ;[saboteur, port] = [await startSaboteur(), await freePort()]
    idp = await startIdp(ACCOUNTS, { port, keys: (await keys).slice(0, 1) })
    const provider = {
      name: 'corp',
      kind: [{ agent: { client_type: 'agent' } }, 'user'],
      oidc: { issuer: idp.issuer, audience: 'sallyport', groups: 'groups' },
      may_assert: ['data-*'],
    }
    scene = await startScene({ environment: saboteur.environment, config: { identity: [provider] } })
  })
  after(async () => {
    await scene?.[Symbol.asyncDispose]()
    await idp?.[Symbol.asyncDispose]()
    await saboteur?.[Symbol.asyncDispose]()
  })
  afterEach(async () => {
    saboteur.set({ elapsedMs })
    await scene.settled()
  })

  const pass = (ms: number): void => saboteur.set({ elapsedMs: (elapsedMs += ms) })
  const comesIn = async (token?: string): Promise<void> => {
    const client = await scene.connect(token)
    assert.equal((await client.query('SELECT * FROM orders')).rowCount, 3)
    await client.end()
  }
  const lasting = (forMs: number): Promise<string> =>
    scene.mint({ kind: 'Agent', name: 'report-bot', groups: ['data-agents'], forMs })

  it('a jump ahead ends what has ended by then: statements, sessions, tokens', async () => {
    const [idle, busy, token] = [await scene.connect(), await scene.connect(), await lasting(10 * MINUTE)]
    const ended = new Promise<{ readonly code?: string }>((resolve) => idle.once('error', resolve))
    const running = told(busy.query('SELECT pg_sleep(62)'))
    await within('it runs', async () => scene.ran().at(-1)?.text === 'SELECT pg_sleep(62)')
    saboteur.set({ wallMs: 16 * MINUTE })
    const { code, refusal } = await told(idle.query('SELECT 1'))
    assert.deepEqual([code, refusal], ['28000', 'grant'])
    await within('both have ended', async () => (await scene.shop.roles()).length === 0)
    assert.equal((await ended).code, '28000')
    assert.deepEqual(await running, {
      severity: 'FATAL',
      code: '28000',
      refusal: 'grant',
      message: 'The grant of this session has ended.',
    })
    assert.equal((await told(scene.connect(token))).refusal, 'identity')
    assert.ok(!scene.ran().some(({ text }) => text === 'SELECT 1'))
  })

  it('a jump back gives nothing more time, and stops nobody: records go on in order', async () => {
    const token = await lasting(1_000)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    const client = await scene.connect()
    const { length } = await scene.records()
    saboteur.set({ wallMs: -60 * MINUTE })
    assert.equal((await client.query(`SELECT 'back'`)).rowCount, 1)
    assert.equal((await told(scene.connect(token))).refusal, 'identity')
    await comesIn()
    const records = await scene.records()
    const times = records.slice(length - 1).map(({ at }) => at)
    assert.deepEqual(times, times.toSorted())
    assert.deepEqual(
      records.map(({ seq }) => seq),
      records.map((_, index) => index + 1),
    )
  })

  it('a start with a clock that is behind lets nobody in, until it has caught up', async () => {
    saboteur.set({ wallMs: 30 * MINUTE })
    await comesIn()
    scene.gateway.kill('SIGTERM')
    await scene.gateway.ended
    saboteur.set({})
    await scene.again()
    const { code, refusal, message } = await told(scene.connect())
    assert.deepEqual([code, refusal], ['SP004', 'unavailable'])
    assert.match(message, /clock went back/)
    pass(30 * MINUTE)
    await comesIn()
  })

  it('an issuer that is down: keys that are known go on for 10 minutes, then nobody comes in until it is back', async () => {
    const [one, two] = [await idp.token('one'), await idp.token('two')]
    await comesIn(one)
    await idp[Symbol.asyncDispose]()
    await comesIn(two)
    pass(31_000)
    await comesIn(one)
    const open = await scene.connect(one)
    pass(10 * MINUTE)
    for (const token of [one, two]) {
      const { message, ...rest } = await told(scene.connect(token))
      assert.deepEqual(rest, { severity: 'FATAL', code: 'SP004', refusal: 'unavailable' })
      assert.match(message, /^The token cannot be verified: the keys of .* cannot be read/)
    }
    const { status, body } = await scene.api(one, '/api/v1/approvals')
    assert.deepEqual([status, body['code']], [503, 'unavailable'])
    assert.equal((await open.query('SELECT 1')).rowCount, 1)
    await comesIn()
    idp = await startIdp(ACCOUNTS, { port, keys: (await keys).slice(0, 1) })
    pass(1_000)
    await comesIn(one)
  })

  it('an issuer that changes its keys: a new one is good at once, one that is gone is not', async () => {
    const [first, second] = await keys
    const before = await idp.token('one')
    await comesIn(before)
    await idp[Symbol.asyncDispose]()
    idp = await startIdp(ACCOUNTS, { port, keys: [second, first] })
    const token = await idp.token('two')
    assert.notEqual(header(token), header(before))
    pass(5_000)
    await comesIn(token)
    await comesIn(before)
    await idp[Symbol.asyncDispose]()
    idp = await startIdp(ACCOUNTS, { port, keys: [second] })
    pass(31_000)
    const { code, refusal, message } = await told(scene.connect(before))
    assert.deepEqual([code, refusal], ['28P01', 'identity'])
    assert.match(message, /a key that its issuer does not publish/)
    await comesIn(token)
  })
})

function header(token: string): string {
  return token.split('.')[0]!
}

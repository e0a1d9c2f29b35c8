import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Client } from 'pg'
import { startScene, type Scene } from './scene.ts'

type Given = { readonly id: string; readonly user: string; readonly password: string; readonly expires_at: string }

describe('a grant that was asked for', () => {
  let scene: Scene
  before(async () => {
    scene = await startScene()
  })
  after(() => scene?.[Symbol.asyncDispose]())

  const ask = async (more: object = {}): Promise<Given> => {
    const body = { target: 'orders', purpose: 'fix order 17', ...more }
    const answer = await scene.api(await scene.token(), '/api/v1/grants', body)
    assert.equal(answer.status, 201, JSON.stringify(answer.body))
    return answer.body as Given
  }
  const connect = async ({ user, password }: Given, more: object = {}): Promise<Client> => {
    const { port } = scene.gateway.postgres
    const client = new Client({ host: '127.0.0.1', port, user, password, database: 'orders', ...more })
    client.on('error', () => undefined)
    await client.connect()
    return client
  }

  it('lets its owner in by its password, as who asked for it', async () => {
    const given = await ask()
    console.log(given)
    const client = await connect(given)
    console.log((await client.query('select session_user, 1 as one')).rows)
    await client.end()
    const tls = await connect(given, { ssl: { rejectUnauthorized: false } })
    console.log((await tls.query('select 1 as one')).rows)
    await tls.end()
    const plus = await connect(given, { ssl: { rejectUnauthorized: false }, enableChannelBinding: true })
    console.log((await plus.query('select 1 as one')).rows)
    await plus.end()
    await assert.rejects(connect({ ...given, password: 'x' }), (e) => { console.log(e); return true })
    await assert.rejects(connect(given, { database: 'nope' }), (e) => { console.log(e); return true })
    console.log((await scene.records()).filter(({type}) => type.startsWith('grant') || type.startsWith('session')))
  })
})

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Client, type ClientConfig } from 'pg'
import { startScene, type Scene } from './scene.ts'

async function shown(scene: Scene, more: ClientConfig): Promise<string> {
  const { port } = scene.gateway.postgres
  const password = await scene.token({ person: 'ada@example.com' })
  const client = new Client({ host: '127.0.0.1', port, user: 'agent', database: 'orders', password, ...more })
  await client.connect()
  const { rows } = await client.query('SHOW application_name')
  await client.end()
  return rows[0].application_name
}

const opened = async (scene: Scene) =>
  (await scene.records()).findLast((record) => record.type === 'session.opened') ?? assert.fail('no session')

describe("a session's application_name", () => {
  let scene: Scene
  before(async () => {
    scene = await startScene()
  })
  after(() => scene?.[Symbol.asyncDispose]())

  it("is the client's own, which is recorded, and in pg_stat_activity beside the session's role", async () => {
    assert.equal(await shown(scene, { application_name: 'monthly report' }), 'monthly report')
    assert.equal((await opened(scene)).application, 'monthly report')
    const client = await scene.connect()
    await client.query("SET application_name = 'of its own'")
    const [activity] = await scene.truth("SELECT usename FROM pg_stat_activity WHERE application_name = 'of its own'")
    assert.equal(activity?.usename, (await opened(scene)).lease)
    await client.end()
  })

  it('is the one in options, unless the client gives one by itself', async () => {
    const options = '-c application_name=from\\ options'
    assert.equal(await shown(scene, { options }), 'from options')
    assert.equal((await opened(scene)).application, 'from options')
    assert.equal(await shown(scene, { options, application_name: 'itself' }), 'itself')
  })

  it('is empty for a client that gives none', async () => {
    assert.equal(await shown(scene, {}), '')
    assert.equal((await opened(scene)).application, undefined)
  })
})

describe("a session's application_name where the target's is to tell whose session it is", () => {
  it('has agent, person and session, whatever the client gives, and its own is recorded', async () => {
    await using scene = await startScene({ target: { application_name: 'session' } })
    const name = await shown(scene, { application_name: 'monthly report' })
    const { session, application } = await opened(scene)
    assert.equal(name, `sp report-bot ada@example. ${session.slice('ses_'.length).replaceAll('-', '')}`)
    assert.equal(application, 'monthly report')
  })
})

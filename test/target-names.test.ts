import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Client } from 'pg'
import { startScene, type Scene } from './scene.ts'

const POLICIES = `
@id("connect") permit (principal, action == Action::"connect", resource);
@id("read-database") permit (principal, action in Action::"read", resource == Table::"My_Db/public.orders");
@id("read-bills") permit (principal, action in Action::"read", resource == Path::"Bills_2026/v1/open");
`

type Config = { readonly listen: object; readonly targets: readonly { readonly postgres: object }[] }

describe('a target whose name has capitals and "_"', () => {
  let scene: Scene
  const server = createServer((request, response) => void response.end(request.url))
  before(async () => {
    scene = await startScene({ policies: POLICIES })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    await writeFile(join(scene.directory, 'bearer'), 'of-the-target')
    const { listen, targets, ...rest } = JSON.parse(await readFile(scene.config, 'utf8')) as Config
    const http = { url: `http://127.0.0.1:${port}`, lease: { bearer: 'file:./bearer' } }
    const named = [
      { ...targets[0], name: 'My_Db' },
      { name: 'Bills_2026', http },
    ]
    const config = { ...rest, listen: { ...listen, http: '127.0.0.1:0' }, targets: named }
    await writeFile(scene.config, JSON.stringify(config))
    await scene.restart()
  })
  after(async () => {
    server.close()
    await scene?.[Symbol.asyncDispose]()
  })

  const connect = async (database: string): Promise<Client> => {
    const { port } = scene.gateway.postgres
    const client = new Client({ host: '127.0.0.1', port, user: 'agent', database, password: await scene.token() })
    await client.connect()
    return client
  }

  it('is the database of a client, and one of policies', async () => {
    const client = await connect('My_Db')
    assert.equal((await client.query('SELECT FROM orders')).rowCount, 3)
    await assert.rejects(client.query('SELECT FROM customers'), { code: '42501', message: /My_Db\/public.customers/ })
    await client.end()
    await assert.rejects(connect('my_db'), { code: '42501' })
  })

  it('is the beginning of a path, and one of policies', async () => {
    const get = async (path: string): Promise<Response> => {
      const headers = { authorization: `Bearer ${await scene.token()}` }
      return fetch(`http://127.0.0.1:${scene.gateway.http!.port}${path}`, { headers })
    }
    const found = await get('/Bills_2026/v1/open?year=2026')
    assert.deepEqual([found.status, await found.text()], [200, '/v1/open?year=2026'])
    assert.equal((await get('/Bills_2026/v1/closed')).status, 403)
    assert.equal((await get('/bills_2026/v1/open')).status, 403)
  })
})

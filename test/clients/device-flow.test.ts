import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { startScene, type Scene } from '../scene.ts'
import { CLIENT, startDeviceIdp, type DeviceIdp } from './device-idp.ts'
import { POSTGRES18 } from './programs.ts'

describe("psql 18 without a token, by libpq's own device flow", { skip: POSTGRES18.missing('psql') }, () => {
  let scene: Scene
  let idp: DeviceIdp
  before(async () => {
    idp = await startDeviceIdp(['data-agents'])
    const oidc = { issuer: idp.issuer, audience: 'sallyport', groups: 'groups' }
    scene = await startScene({ config: { identity: [{ name: 'corp', kind: 'user', oidc }] } })
  })
  after(async () => {
    await scene?.[Symbol.asyncDispose]()
    await idp?.[Symbol.asyncDispose]()
  })

  it('is told of the issuer, shows its user a code, and comes in once they have allowed it', async () => {
    const certificate = join(scene.directory, 'gateway.crt')
    await writeFile(certificate, scene.gateway.tls.certificate)
    const conninfo = `host=127.0.0.1 port=${scene.gateway.postgres.port} dbname=orders user=oauth sslmode=verify-full
      sslrootcert=${certificate} oauth_issuer=${idp.issuer} oauth_client_id=${CLIENT} max_protocol_version=latest`
    const psql = spawn(
      POSTGRES18.path('psql'),
      ['-XAt', '-d', conninfo, '-c', 'SELECT name FROM customers WHERE id = 1'],
      {
        env: { PATH: process.env.PATH, HOME: '/nonexistent', LC_ALL: 'C.UTF-8', PGOAUTHDEBUG: 'UNSAFE' },
        timeout: 60_000,
      },
    )
    let [printed, said] = ['', '']
    psql.stdout.setEncoding('utf8').on('data', (chunk: string) => (printed += chunk))
    const ended = once(psql, 'close')
    for await (const chunk of psql.stderr.setEncoding('utf8')) {
      said += chunk as string
      const code = /^Visit \S+ and enter the code: ([A-Z]+-[A-Z]+)$/m.exec(said)?.[1]
      if (code === undefined) continue
      said = ''
      await idp.allow(code, 'ada')
    }
    assert.deepEqual([(await ended)[0], printed], [0, 'Ada\n'], said)
    const opened = (await scene.records()).findLast((record) => record.type === 'session.opened')
    assert.deepEqual([opened?.who.id, opened?.application], ['corp/ada', 'psql'])
  })
})

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { serverTls } from '../../src/gateway/certificate.ts'
import { startIdp, type Idp } from '../idp.ts'
import { startScene, type Scene } from '../scene.ts'
import { runPsql, startPsql, type Ended, type PsqlOptions, WITHOUT_PSQL } from './psql.ts'

/** The refusal in the DETAIL line of an error. */
function detail(output: string): Record<string, unknown> {
  return JSON.parse(/^DETAIL: {2}(\{.*\})$/m.exec(output)?.[1] ?? '{}') as Record<string, unknown>
}

/** In what \conninfo prints, up to psql 17 and from 18 on. */
const OVER_TLS = /SSL connection \(protocol: TLSv1\.3|SSL Protocol\|TLSv1\.3/

describe('psql', { skip: WITHOUT_PSQL }, () => {
  let scene: Scene
  let idp: Idp
  let token: string
  let certificate: string

  before(async () => {
    const accounts = [{ id: 'report-bot', email: 'ada@shop.example', groups: ['data-agents'], type: 'agent' as const }]
    idp = await startIdp(accounts)
    const corp = {
      name: 'corp',
      kind: [{ agent: { client_type: 'agent' } }, 'user'],
      person: 'email',
      oidc: { issuer: idp.issuer, audience: 'sallyport', groups: 'groups' },
      may_assert: ['data-*'],
    }
    scene = await startScene({ config: { identity: [corp] } })
    token = await idp.token('report-bot')
    certificate = join(scene.directory, 'gateway.crt')
    await writeFile(certificate, scene.gateway.tls.certificate)
  })
  after(async () => {
    await scene?.[Symbol.asyncDispose]()
    await idp?.[Symbol.asyncDispose]()
  })

  const options = (more: Partial<PsqlOptions> = {}): PsqlOptions => ({
    port: scene.gateway.postgres.port,
    password: token,
    ...more,
  })
  const psql = (connection: PsqlOptions['connection'], ...commands: readonly string[]): Promise<Ended> =>
    runPsql(options({ connection, arguments: ['-At'] }), ...commands)

  it('comes in with the token of a real identity provider and reads masked rows', async () => {
    const { code, output } = await psql({}, 'SELECT id, name, email, card, notes FROM customers ORDER BY id')
    assert.equal(output, '1|Ada|***|***|card *** on file\n2|Grace|***|***|prefers e-mail\n3|Nobody|||\n')
    assert.equal(code, 0)
    const opened = (await scene.records()).findLast((record) => record.type === 'session.opened')
    assert.deepEqual(opened?.who, {
      kind: 'Agent',
      id: 'corp/report-bot',
      groups: ['data-agents'],
      person: 'ada@shop.example',
    })
    assert.equal(opened.application, 'psql')
    assert.ok(!JSON.stringify(await scene.records()).includes(token), 'the token is in the log')
  })

  it('gets a denial with code, reason and remedy, and goes on in the same session', async () => {
    const { code, output } = await psql({}, 'DELETE FROM customers', 'SELECT count(*) FROM customers')
    assert.match(
      output,
      /^ERROR: {2}42501: DELETE on orders\/public\.customers without WHERE is not allowed \(rule no-unb/m,
    )
    assert.match(output, /^HINT: {2}Add a WHERE clause that names the rows\.$/m)
    assert.match(output, /^3$/m)
    assert.equal(code, 0)
    const refusal = detail(output)
    assert.equal(refusal['v'], 1)
    assert.equal(refusal['code'], 'denied')
    assert.equal(refusal['retry'], 'after-change')
    assert.equal(refusal['rule'], 'no-unbounded-writes')
    assert.deepEqual(refusal['remedy'], [{ do: 'change', hint: 'Add a WHERE clause that names the rows.' }])
    const asked = (await scene.records()).filter((record) => record.type === 'operation')
    const denied = asked.find(({ operation }) => operation === refusal['operation'])
    assert.equal(denied?.decision, 'deny')
    assert.equal(denied.text, 'DELETE FROM customers')
    assert.equal(asked.at(-1)!.session, denied.session)
    assert.deepEqual(await scene.truth('SELECT count(*)::int FROM customers'), [{ count: 3 }])
  })

  it('gets a denial inside a transaction that rolls back what came before it', async () => {
    const insert = 'INSERT INTO orders VALUES (77, 1, 1)'
    const { output } = await psql({}, 'BEGIN', insert, 'DELETE FROM customers', 'SELECT 1', 'COMMIT')
    assert.match(output, /42501: DELETE on/)
    assert.match(output, /25P02: current transaction is aborted/)
    assert.match(output, /ROLLBACK\n$/)
    assert.deepEqual(await scene.truth('SELECT id FROM orders WHERE id = 77'), [])
  })

  it('is refused with one FATAL line when its token is bad', async () => {
    const { code, output } = await runPsql(options({ password: `${token.slice(0, -6)}AAAAAA` }), 'SELECT 1')
    assert.equal(code, 2)
    assert.match(output, /FATAL: {2}The token has no valid signature\.$/m)
    assert.equal(detail(output)['code'], 'identity')
  })

  for (const [mode, connection] of Object.entries({
    'sslmode=require': { sslmode: 'require' },
    'sslmode=disable, from this machine': { sslmode: 'disable' },
    'sslmode=prefer': { sslmode: 'prefer' },
  })) {
    it(`connects with ${mode}`, async () => {
      const { output } = await psql(connection, '\\conninfo', 'SELECT 1')
      assert.match(output, /^1$/m)
      assert.equal(OVER_TLS.test(output), connection.sslmode !== 'disable')
    })
  }

  it('verifies the gateway by its own certificate with sslmode=verify-full, by address and by name', async () => {
    const verified = { sslmode: 'verify-full', sslrootcert: certificate }
    assert.equal((await psql(verified, 'SELECT 1')).output, '1\n')
    assert.equal((await psql({ ...verified, host: 'localhost', hostaddr: '127.0.0.1' }, 'SELECT 1')).output, '1\n')
    const elsewhere = await psql({ ...verified, host: 'elsewhere.example', hostaddr: '127.0.0.1' }, 'SELECT 1')
    assert.match(elsewhere.output, /does not match host name "elsewhere\.example"/)
    assert.equal(elsewhere.code, 2)
  })

  it('refuses the gateway with sslmode=verify-full and the certificate of another', async () => {
    const sslrootcert = join(scene.directory, 'other.crt')
    await writeFile(sslrootcert, (await serverTls(join(scene.directory, 'other'), undefined, [])).certificate)
    const { code, output } = await psql({ sslmode: 'verify-full', sslrootcert }, 'SELECT 1')
    assert.match(output, /certificate verify failed/)
    assert.equal(code, 2)
  })

  describe('with libpq 18', () => {
    const psql18 = (connection: PsqlOptions['connection']): Promise<Ended> =>
      runPsql(options({ connection, arguments: ['-At'], libpq18: true }), '\\conninfo', 'SELECT 1')

    for (const version of ['3.0', '3.2', 'latest']) {
      it(`is served in protocol ${version} when it insists`, async () => {
        const { output } = await psql18({ min_protocol_version: version, max_protocol_version: version })
        assert.match(output, /^1$/m)
      })
    }

    for (const version of ['3.0', '3.2']) {
      it(`cancels with the key of protocol ${version}`, async () => {
        const connection = { min_protocol_version: version, max_protocol_version: version }
        await using client = startPsql(options({ connection, libpq18: true }))
        client.type('UPDATE customers SET balance = 0 WHERE id = 1;')
        await client.until(/Held for approval/)
        client.kill('SIGINT')
        assert.match(await client.until(/57014/), /Cancelled while waiting for approval/)
      })
    }

    it('starts TLS at once with sslnegotiation=direct, verified', async () => {
      const verified = { sslmode: 'verify-full', sslrootcert: certificate }
      const { output } = await psql18({ ...verified, sslnegotiation: 'direct', max_protocol_version: 'latest' })
      assert.match(output, OVER_TLS)
      assert.match(output, /^1$/m)
    })
  })

  it('describes what is there as it does without a gateway', async () => {
    const commands = [
      '\\d',
      '\\dt',
      '\\dv',
      '\\df',
      '\\l',
      '\\dn',
      '\\d customers',
      '\\d+ orders',
      '\\d contacts',
      '\\x',
      '\\dt',
    ]
    const through = await psql({}, ...commands)
    const direct = { user: 'postgres', port: scene.postgres.port }
    const without = await runPsql(
      options({ password: 'the-superuser', connection: direct, arguments: ['-At'] }),
      ...commands,
    )
    assert.match(through.output, /public\|customers\|table\|orders_owner/)
    assert.equal(through.output, without.output)
    assert.equal(through.code, without.code)
  })

  it('lists roles without any secret', async () => {
    const { code, output } = await psql({}, '\\du')
    assert.match(output, /orders_writer/)
    assert.doesNotMatch(output, /SCRAM-SHA-256|the-gateway|ERROR/)
    assert.equal(code, 0)
  })

  it('is told clearly when \\copy and COPY may not be, in both directions, and goes on', async () => {
    const given = startPsql(options({ arguments: ['-At'] }))
    for (const line of [
      '\\copy customers to stdout',
      'COPY customers TO STDOUT;',
      '\\copy orders from stdin',
      '\\.',
      'SELECT 1;',
    ])
      given.type(line)
    const { output } = await given.end()
    assert.equal(
      output.match(/ERROR: {2}42501: customers\.email is masked for you, and COPY has no masks\./g)?.length,
      2,
    )
    assert.match(output, /ERROR: {2}42501: .* \(rule no-unbounded-writes\)/)
    assert.match(output, /^1$/m)
    assert.doesNotMatch(output, /ada@|4111/)
  })
})

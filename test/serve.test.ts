import assert from 'node:assert/strict'
import { once } from 'node:events'
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { connectTo, createToken, sallyport, serve } from './command.ts'
import { ADMIN_PASSWORD, startShop, type Shop } from './shop.ts'

type ConfigFile = {
  listen: Record<string, string>
  targets: {
    name: string
    labels: object
    postgres: { url: string; sensitive: Record<string, string[]>; lease: Record<string, Record<string, unknown>> }
  }[]
}

describe('sallyport serve and check', () => {
  let shop: Shop
  let configs = 0
  before(async () => (shop = await startShop()))
  after(() => shop[Symbol.asyncDispose]())

  /** A config like the shop's, in a directory of its own, with something changed. */
  const configWith = async (change: (config: ConfigFile) => object, policy?: string): Promise<string> => {
    const directory = join(shop.directory, `config-${++configs}`)
    await mkdir(directory)
    await cp(join(shop.directory, 'policies'), join(directory, 'policies'), { recursive: true })
    await cp(join(shop.directory, 'admin-url'), join(directory, 'admin-url'))
    if (policy !== undefined) await writeFile(join(directory, 'policies', 'broken.cedar'), policy)
    const config = JSON.parse(await readFile(shop.config, 'utf8')) as ConfigFile
    const file = join(directory, 'sallyport.yaml')
    await writeFile(file, JSON.stringify(change(config), null, 2))
    return file
  }
  const BROKEN =
    '@id("x")\npermit (principal, action, resurce);\n@id("y") @hold("dba")\npermit (principal, action == Action::"sql.update", resource);'

  it('says where it listens, what for, and by which certificate; readyz is 200', async () => {
    await using gateway = await serve(shop.config)
    const { stdout, stderr } = gateway.said()
    assert.match(stdout, /^sallyport is ready: postgres on 127\.0\.0\.1:\d+, admin on 127\.0\.0\.1:\d+\n/)
    assert.match(
      stdout,
      /^ {2}url http:\/\/127\.0\.0\.1:\d+, targets orders, data .*sallyport-data\n {2}certificate \(self-signed\) sha256 ([0-9A-F]{2}:){31}[0-9A-F]{2}\n/m,
    )
    assert.equal(stderr, '')
    for (const path of ['healthz', 'readyz']) {
      assert.equal((await fetch(`http://127.0.0.1:${gateway.admin}/${path}`)).status, 200)
    }
  })

  it('does not start a second time on the same data, and leaves the first alone', async () => {
    await using gateway = await serve(shop.config)
    const second = await sallyport(['serve', '--config', shop.config])
    assert.deepEqual([second.code, second.stdout], [1, ''])
    assert.match(second.stderr, /^sallyport: another gateway is writing the log in .*sallyport-data\/log\n$/)
    const client = await connectTo(gateway.postgres, await createToken(shop.config))
    assert.equal((await client.query('SELECT 1')).rowCount, 1)
    await client.end()
  })

  it('says which listener has no port', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    for (const name of ['admin', 'postgres']) {
      const file = await configWith((config) => ({
        ...config,
        listen: { ...config.listen, [name]: `127.0.0.1:${port}` },
      }))
      const { code, stdout, stderr } = await sallyport(['serve', '--config', file])
      assert.equal(code, 1)
      assert.doesNotMatch(stdout, /ready/)
      assert.match(stderr, new RegExp(`^sallyport: listen\\.${name}: .*EADDRINUSE.*:${port}\n$`))
    }
    taken.close()
  })

  it('starts while a target is down, refuses its sessions, and serves them when it is back', async () => {
    const spare = createServer().listen(0, '127.0.0.1')
    await once(spare, 'listening')
    const { port } = spare.address() as AddressInfo
    spare.close()
    await once(spare, 'close')
    const url = `postgresql://127.0.0.1:${port}/orders`
    const file = await configWith(({ targets: [target], ...config }) => ({
      ...config,
      targets: [{ ...target, postgres: { ...target!.postgres, url } }],
    }))
    await writeFile(join(file, '..', 'admin-url'), url.replace('//', `//sallyport:${ADMIN_PASSWORD}@`))
    await using gateway = await serve(file)
    assert.match(gateway.said().stderr, /warning: target orders: .*ECONNREFUSED/)
    const token = await createToken(file)
    await assert.rejects(connectTo(gateway.postgres, token), { severity: 'FATAL', code: 'SP004' })

    await using _back = await forward(port, shop.postgres.port)
    const client = await connectTo(gateway.postgres, token)
    assert.equal((await client.query('SELECT * FROM orders')).rowCount, 3)
    await client.end()
  })

  it('does not start with a broken policy: every error with its file and line', async () => {
    const file = await configWith((config) => config, BROKEN)
    const expected = /broken\.cedar:2:28: .*resurce.*\n.*broken\.cedar:3:10: @hold takes "group:name", not "dba"\n$/
    const served = await sallyport(['serve', '--config', file])
    assert.equal(served.code, 1)
    assert.doesNotMatch(served.stdout, /ready/)
    assert.match(served.stderr, expected)
    const checked = await sallyport(['check', '--config', file, '--offline'])
    assert.deepEqual([checked.code, checked.stderr], [1, ''])
    assert.match(checked.stdout, expected)
  })

  it('names every unknown key, literal secret and policy error at once', async () => {
    const file = await configWith(({ targets: [target], ...config }) => {
      target!.postgres.lease['postgres-role']!.admin = 'postgresql://sallyport:hunter2@db/orders'
      return { ...config, polices: 'x', targets: [{ ...target, labls: {} }] }
    }, BROKEN)
    const { code, stdout } = await sallyport(['check', '--config', file])
    assert.equal(code, 1)
    for (const [key, text] of [
      ['"labls"', 'targets[0].labls: unknown key, did you mean "labels"?'],
      ['"admin": "postgres', 'targets[0].postgres.lease.postgres-role.admin: must be a secret reference'],
      ['"polices"', 'polices: unknown key, did you mean "policies"?'],
    ] as const) {
      const line = (await readFile(file, 'utf8')).split('\n').findIndex((each) => each.includes(key)) + 1
      assert.ok(stdout.includes(`${file}:${line}: ${text}`), `${text} in line ${line}:\n${stdout}`)
    }
    assert.match(stdout, /broken\.cedar:3:10: @hold/)
    assert.doesNotMatch(stdout, /hunter2/)
  })

  it('checks the rights at the target, and prints the SQL that gives a missing one', async () => {
    const before = await shop.truth('SELECT oid, rolname FROM pg_roles ORDER BY 1')
    const well = await sallyport(['check', '--config', shop.config])
    assert.deepEqual(well, { code: 0, stdout: 'All is well.\n', stderr: '' })
    assert.deepEqual(await shop.truth('SELECT oid, rolname FROM pg_roles ORDER BY 1'), before)
    await shop.truth('REVOKE orders_writer FROM sallyport CASCADE; REVOKE orders_owner FROM sallyport')
    const lacking = await sallyport(['check', '--config', shop.config, '--json'])
    assert.equal(lacking.code, 1)
    const findings = lacking.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { problem: string; remedy: string })
    assert.equal(findings.length, 2)
    for (const { remedy } of findings) await shop.truth(remedy)
    assert.equal((await sallyport(['check', '--config', shop.config])).code, 0)
  })

  it('checks that the target answers, and that sensitive columns exist', async () => {
    const file = await configWith(({ targets: [target], ...config }) => {
      target!.postgres.sensitive.pii!.push('public.customers.e_mail')
      const elsewhere = {
        ...target,
        name: 'down',
        postgres: { ...target!.postgres, lease: { password: 'file:./nowhere' } },
      }
      return { ...config, targets: [target, elsewhere] }
    })
    await writeFile(join(file, '..', 'nowhere'), 'postgresql://nobody:hunter2@127.0.0.1:1/orders')
    const { code, stdout } = await sallyport(['check', '--config', file])
    assert.equal(code, 1)
    assert.match(stdout, /^target orders: sensitive: public\.customers\.e_mail does not exist$/m)
    assert.match(stdout, /^target down: .*ECONNREFUSED/m)
    assert.doesNotMatch(stdout, /hunter2/)
  })
})

/** Lets a port lead to another, until it is disposed. */
async function forward(from: number, to: number): Promise<AsyncDisposable> {
  const server = createServer((socket) => {
    const other = connect(to, '127.0.0.1')
    socket
      .on('error', () => other.destroy())
      .pipe(other)
      .on('error', () => socket.destroy())
      .pipe(socket)
  })
  await once(server.listen(from, '127.0.0.1'), 'listening')
  return {
    [Symbol.asyncDispose]: async () => {
      server.close()
    },
  }
}

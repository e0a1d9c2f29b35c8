import assert from 'node:assert/strict'
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { after, before, describe, it } from 'node:test'
import * as z from 'zod'
import type { ReadContext } from './references.ts'
import { Fault } from '../gateway/fault.ts'
import { checkConfig, loadConfig } from './config.ts'
import { keys } from './fields.ts'

const protocols = {
  postgres: (read: ReadContext) => keys({ url: z.string(), password: read.secret.optional() }),
}
const environment = { URL: 'env-secret', EMPTY: '' }
const ISSUER = 'https://idp.example.com'

let directory = ''
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'config-'))
  await mkdir(join(directory, 'rules'))
  await writeFile(join(directory, 'secret'), 'file-secret\r\n')
  await writeFile(join(directory, 'tls.crt'), 'CERT')
})
after(() => rm(directory, { recursive: true }))

async function file(text: string): Promise<string> {
  const path = join(directory, 'sallyport.yaml')
  await writeFile(path, text)
  return path
}

const load = async (text: string) => loadConfig(await file(text), protocols, environment)

/** `line: key: text` of each error. */
async function errors(text: string): Promise<string[]> {
  const found = await checkConfig(await file(text), protocols, environment)
  return found.map(({ line, key, text }) => `${line}: ${key}: ${text}`)
}

const provider = (more: string): string => `version: 1\nidentity:\n  - name: corp\n    ${more}\n`
const oidc = `oidc: { issuer: "${ISSUER}", audience: sallyport }`
const target = (more: string): string => `version: 1\ntargets:\n  - name: orders\n    ${more}\n`

describe('a config file', () => {
  it('has defaults for everything but the version', async () => {
    const config = await load('version: 1\n')
    assert.equal(config.data, join(directory, 'sallyport-data'))
    assert.equal(config.policies, join(directory, 'policies'))
    assert.deepEqual(config.listen, {
      admin: { at: { host: '127.0.0.1', port: 8420 } },
      postgres: { at: { host: '127.0.0.1', port: 5433 } },
    })
    assert.deepEqual([config.identity, config.targets], [[], []])
    assert.deepEqual(config.admin, { operators: [], auditors: [] })
  })

  it('may be JSON', async () => {
    const config = await load('{"version": 1, "targets": [{"name": "a", "postgres": {"url": "x"}}]}')
    assert.deepEqual(config.targets, [{ name: 'a', labels: {}, protocol: 'postgres', settings: { url: 'x' } }])
  })

  it('says where listeners listen and where clients reach them', async () => {
    const config = await load(
      'version: 1\nlisten: { admin: "[::1]:0", postgres: { at: 0.0.0.0:5, public: db.example:6 } }',
    )
    assert.deepEqual(config.listen.admin, { at: { host: '::1', port: 0 } })
    assert.deepEqual(config.listen.postgres.public, { host: 'db.example', port: 6 })
    assert.match(
      (await errors('version: 1\nlisten: { admin: 0.0.0.0:65536 }'))[0]!,
      /2: listen.admin: must be host:port/,
    )
  })

  it('names key, line and the nearest known key for an unknown one, anywhere', async () => {
    assert.deepEqual(await errors('version: 1\npolicys: x\n'), ['2: policys: unknown key, did you mean "policies"?'])
    assert.deepEqual(await errors(target('postgres: { url: x, urll: y }')), [
      '4: targets[0].postgres.urll: unknown key, did you mean "url"?',
    ])
    assert.match(
      (await errors(provider(`kind: user\n    ${oidc}\n    zzzzzz: 1`)))[0]!,
      /^6: identity\[0].zzzzzz: unknown key/,
    )
    assert.deepEqual(await errors('version: 1\n__proto__: { admin: 1 }\n'), ['2: __proto__: unknown key'])
  })

  it('refuses a key that is specified and not built yet, with those words', async () => {
    const unbuilt = [
      'store: env:X',
      'recordings: {}',
      'listen: { mysql: "a:1" }',
      provider(`kind: user\n    ${oidc}\n    saml: {}`),
      target('postgres: { url: x }\n    kubernetes: {}'),
    ]
    for (const text of unbuilt) assert.match((await errors(text)).join('\n'), /is not built yet/, text)
  })

  it('takes groups that claims decide, each with at least one claim and one value', async () => {
    const rules = (text: string): string => provider(`kind: workload\n    ${oidc}\n    groups: ${text}`)
    const config = await load(
      rules('[{ group: deployers, when: { repository: acme/shop, ref: [refs/heads/main, refs/heads/next] } }]'),
    )
    assert.deepEqual(config.identity[0]!.groups, [
      { group: 'deployers', claims: { repository: 'acme/shop', ref: ['refs/heads/main', 'refs/heads/next'] } },
    ])
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['[{ group: a }]', /groups\[0\]\.when: is required/],
      ['[{ when: { a: b } }]', /groups\[0\]\.group: is required/],
      ['[{ group: a, when: {} }]', /must name a claim and its value/],
      ['[{ group: a, when: { a: [] } }]', /when\.a: must not be empty/],
      ['[{ group: a, when: { a: { b: c } } }]', /must be text, a number, true or false, or a list/],
      ['[{ group: a, when: { a: [[b]] } }]', /must be text, a number, true or false, or a list/],
      ['[{ group: a, when: { a: null } }]', /must be text, a number, true or false, or a list/],
      ['[{ group: "", when: { a: b } }]', /must not be empty/],
      [`[{ group: ${'x'.repeat(256)}, when: { a: b } }]`, /longer than 255/],
      ['[{ group: "a\\u202eb", when: { a: b } }]', /must be plain text/],
      ['[{ group: a, when: { a: b }, unless: { a: b } }]', /unknown key/],
    ]
    for (const [text, words] of wrong) assert.match((await errors(rules(text))).join('\n'), words, text)
  })

  it('tells all errors at once, in the order of the lines', async () => {
    const text =
      'version: 2\nnope: 1\nadmin: { operators: x }\ntargets: [ { name: a.b, mysql: {} }, { name: api, postgres: 1 } ]'
    const found = await errors(text)
    assert.deepEqual(
      found.map((line) => line.slice(0, line.indexOf(': ', 3))),
      [
        '1: version',
        '2: nope',
        '3: admin.operators',
        '4: targets[0].name',
        '4: targets[0].mysql',
        '4: targets[1].name',
        '4: targets[1].postgres',
      ],
    )
    await assert.rejects(load(text), (error) => error instanceof Fault && error.message.split('\n').length === 7)
  })

  it('refuses scalars of another type where text is expected', async () => {
    assert.deepEqual(await errors('version: 1\nadmin: { operators: [1, true] }'), [
      '2: admin.operators[0]: must be text (put it in quotes)',
      '2: admin.operators[1]: must be text (put it in quotes)',
    ])
    assert.deepEqual(await errors('version: "1"'), ['1: version: must be 1'])
  })

  it('refuses duplicate keys, names, and providers with one issuer and audience', async () => {
    assert.deepEqual(await errors('version: 1\nadmin: {}\nadmin: {}\n'), ['3: admin: this key is here twice'])
    const entry = (name: string): string => `\n  - name: ${name}\n    kind: user\n    ${oidc}`
    const found = await errors(`version: 1\nidentity:${entry('a')}${entry('a')}`)
    assert.match(found[0]!, /^6: identity\[1].name: another provider has this name/)
    assert.match(found[1]!, /^8: identity\[1].oidc: another provider has this issuer and audience/)
    const twice = await errors(
      'version: 1\ntargets: [{ name: a, postgres: { url: x } }, { name: a, postgres: { url: y } }]',
    )
    assert.deepEqual(twice, ['2: targets[1].name: another target has this name'])
  })

  it('refuses YAML that could hide something or exhaust the reader', async () => {
    const hostile = [
      'a: &a [*a]',
      `a: &a [1]\nb: [${'*a,'.repeat(60)}]`,
      '['.repeat(20_000),
      '{a: '.repeat(500),
      '- '.repeat(2000),
      '%YAML 1.1\n---\nversion: 1',
      'version: 1\n---\nversion: 1',
      'a: !!binary aGk=',
      'a: *b',
      '? [a]\n: b',
      '\ta: 1',
    ]
    for (const text of hostile) assert.ok((await errors(text)).length > 0, text.slice(0, 40))
    assert.deepEqual(await errors('x'.repeat(1024 * 1024 + 1)), ['1: : the file is larger than 1 MiB'])
    await writeFile(join(directory, 'latin1'), Buffer.from([0xe9]))
    assert.match((await checkConfig(join(directory, 'latin1'), protocols))[0]!.text, /not UTF-8/)
    assert.match((await checkConfig(join(directory, 'none'), protocols))[0]!.text, /ENOENT/)
    assert.deepEqual(await errors(''), ['1: : must be a mapping'])
  })
})

describe('a secret', () => {
  const read = async (reference: string) =>
    (await load(target(`postgres: { url: x, password: "${reference}" }`))).targets[0]!
  const problem = async (reference: string) =>
    (await errors(target(`postgres: { url: x, password: "${reference}" }`)))[0]

  it('is read from the environment or a file beside the config, and never printed', async () => {
    const fromEnvironment = await read('env:URL')
    assert.equal(fromEnvironment.settings.password?.reveal(), 'env-secret')
    assert.equal((await read('file:secret')).settings.password?.reveal(), 'file-secret')
    assert.doesNotMatch(inspect(fromEnvironment, { depth: 9 }) + JSON.stringify(fromEnvironment), /env-secret/)
  })

  it('is an error where it is missing, empty or of a kind that is not built yet', async () => {
    assert.equal(await problem('env:NONE'), '4: targets[0].postgres.password: the environment variable NONE is not set')
    assert.match((await problem('env:EMPTY'))!, /is empty/)
    assert.match((await problem('file:none'))!, /cannot be read \(ENOENT\)/)
    assert.match((await problem('vault:a/b'))!, /not built yet/)
    assert.match((await problem('aws-sm:a'))!, /not built yet/)
  })

  it('is never written in the file, and an error does not repeat it', async () => {
    for (const literal of ['hunter2', 'env:hunter2 x', 'postgresql://a:hunter2@h/d', 'file:hunter2']) {
      const text = await problem(literal)
      assert.match(text!, /^4: targets\[0].postgres.password: /)
      assert.doesNotMatch(text!, /hunter2/)
    }
    for (const raw of ['!hunter2', '*hunter2', '"hunter2', '[hunter2', '{ hunter2: 1, hunter2']) {
      assert.doesNotMatch(
        (await errors(target(`postgres: { url: x, password: ${raw} }`))).join('\n'),
        /hunter2.*hunter2|!hunter2|\*hunter2/,
      )
    }
  })

  it('may be the key of the certificate', async () => {
    const config = await load('version: 1\ntls: { cert: tls.crt, key: secret }')
    assert.equal(config.tls?.cert, 'CERT')
    assert.equal(inspect(config.tls?.key), '[secret]')
    assert.match((await errors('version: 1\ntls: { cert: no.crt, key: secret }'))[0]!, /^2: tls.cert: .*ENOENT/)
  })
})

describe('an identity provider', () => {
  const kinds = async (kind: string) => (await load(provider(`kind: ${kind}\n    ${oidc}`))).identity[0]!.kind

  it('gives one kind, or the first of its rules that fits', async () => {
    assert.deepEqual(await kinds('workload'), [{ kind: 'Workload', claims: {} }])
    assert.deepEqual(await kinds('[ { agent: { client_type: agent } }, user ]'), [
      { kind: 'Agent', claims: { client_type: 'agent' } },
      { kind: 'User', claims: {} },
    ])
  })

  it('has no rule that matches nothing, everything by mistake, or is never reached', async () => {
    const kind = async (text: string) => (await errors(provider(`kind: ${text}\n    ${oidc}`))).join('\n')
    for (const text of ['usr', '[]', '1', '[ { agent: {} }, user ]', '[ { agent: { a: b }, user: { a: c } } ]', '{}']) {
      assert.match(await kind(text), /^4: identity\[0].kind/, text)
    }
    assert.match(await kind('[ user, { agent: { a: b } } ]'), /is never reached/)
  })

  it('is not called local, and its name fits an entity id', async () => {
    for (const name of ['local', 'Local', 'a/b', '""', 'a b']) {
      const found = await errors(`version: 1\nidentity:\n  - name: ${name}\n    kind: user\n    ${oidc}`)
      assert.match(found[0] ?? '', /^3: identity\[0].name/, name)
    }
  })

  it('speaks https, or plain http on loopback', async () => {
    const issuer = async (url: string) => errors(provider(`kind: user\n    oidc: { issuer: "${url}", audience: a }`))
    for (const url of ['https://idp.example/realms/x', 'http://127.0.0.1:9/', 'http://localhost', 'http://[::1]:8']) {
      assert.deepEqual(await issuer(url), [], url)
    }
    const bad = [
      'http://idp.example',
      'http://127.0.0.1.evil.example',
      'http://localhost.evil.example',
      'ftp://127.0.0.1',
    ]
    for (const url of [...bad, 'idp', 'https://u:p@idp', 'https://idp?x', 'https://idp#x', 'http://10.0.0.1', '']) {
      assert.match((await issuer(url))[0] ?? '', /^5: identity\[0].oidc.issuer/, url)
    }
  })
})

describe('a target', () => {
  it('has exactly one protocol', async () => {
    assert.match((await errors(target('labels: {}')))[0]!, /must have exactly one protocol/)
    assert.match((await errors(target('postgres: { url: x }\n    mcp: {}'))).join(), /exactly one protocol/)
  })

  it('has a name that can stand in a database name and a path, and is not reserved', async () => {
    for (const name of ['a.b', 'a/b', 'a b', 'a~b', '%41', 'mcp', 'API', 'oauth', 'saml', '.well-known', 'é']) {
      const found = await errors(`version: 1\ntargets: [ { name: '${name}', postgres: { url: x } } ]`)
      assert.match(found[0] ?? '', /^2: targets\[0].name/, name)
    }
    for (const name of ['my_db', 'MyDb', 'a-b', '_', '2026', 'x'.repeat(63)]) {
      const found = await errors(`version: 1\ntargets: [ { name: "${name}", postgres: { url: x } } ]`)
      assert.doesNotMatch(found.join('\n'), /name/, name)
    }
  })

  it('has a name of its own, whatever the case of its letters', async () => {
    const twins = 'version: 1\ntargets:\n  - { name: my_db, postgres: {} }\n  - { name: My_DB, postgres: {} }'
    assert.match((await errors(twins)).join('\n'), /^4: targets\[1].name: another target has this name$/m)
  })

  it('finds its policies in a directory that exists', async () => {
    assert.equal((await load('version: 1\npolicies: ./rules')).policies, join(directory, 'rules'))
    assert.deepEqual(await errors('version: 1\npolicies: ./none'), ['2: policies: is not a directory'])
  })
})

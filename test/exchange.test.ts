import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import type { CryptoKey } from 'jose'
import { sign, startIdp, type FakeIdp } from '../src/identity/idp.fake.ts'
import type { StoredEntry } from '../src/record/entry.ts'
import { connected, refused } from './holding.ts'
import { startScene, type Scene } from './scene.ts'
import { within } from './waiting.ts'

type Claims = Readonly<Record<string, unknown>>
type Answer = { readonly status: number; readonly body: Readonly<Record<string, unknown>> }

const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange'
const JWT = 'urn:ietf:params:oauth:token-type:jwt'

const POLICIES = `
@id("connect") permit (
  principal, action == Action::"connect", resource == Target::"orders"
) when { principal in Group::"data-agents" || principal in Group::"staff" || principal in Group::"deployers" };
@id("agents-read")
permit (principal in Group::"data-agents", action in Action::"read", resource in Target::"orders");
@id("staff-reads-customers")
permit (principal in Group::"staff", action in Action::"read", resource == Table::"orders/public.customers");
@id("staff-orders")
permit (principal in Group::"staff", action == Action::"sql.insert", resource == Table::"orders/public.orders");
@id("deployers-read-orders")
permit (principal in Group::"deployers", action == Action::"sql.select", resource == Table::"orders/public.orders");
`

describe('tokens that are exchanged', () => {
  let scene: Scene
  let corp: FakeIdp
  let github: FakeIdp
  let gitlab: FakeIdp
  let keys: Readonly<Record<'corp' | 'github' | 'gitlab', CryptoKey>>

  before(async () => {
    ;[corp, github, gitlab] = await Promise.all([startIdp(), startIdp(), startIdp()])
    keys = {
      corp: await corp.addKey('c1'),
      github: await github.addKey('gh1', 'RS256'),
      gitlab: await gitlab.addKey('gl1', 'RS256'),
    }
    const identity = [
      {
        name: 'corp',
        kind: [{ agent: { client_type: 'agent' } }, 'user'],
        person: 'email',
        oidc: { issuer: corp.issuer, audience: 'sallyport', groups: 'groups' },
        may_assert: ['*'],
      },
      {
        name: 'github',
        kind: 'workload',
        oidc: { issuer: github.issuer, audience: 'sallyport' },
        groups: [{ group: 'deployers', when: { repository: 'acme/shop', ref: 'refs/heads/main', event_name: 'push' } }],
      },
      {
        name: 'gitlab',
        kind: 'workload',
        oidc: { issuer: gitlab.issuer, audience: 'https://gateway.example.com' },
        groups: [
          {
            group: 'deployers',
            when: { project_path: ['acme/shop'], ref_path: 'refs/heads/main', ref_protected: 'true' },
          },
        ],
      },
    ]
    const listen = { admin: '127.0.0.1:0', postgres: '127.0.0.1:0', http: '127.0.0.1:0' }
    const settings = ['log_line_prefix=user=%u ', 'log_statement=all']
    scene = await startScene({ policies: POLICIES, config: { identity, listen }, settings })
  })
  after(async () => {
    await scene?.[Symbol.asyncDispose]()
    await Promise.all([corp, github, gitlab].map((idp) => idp?.[Symbol.asyncDispose]()))
  })

  const now = (): number => Math.floor(Date.now() / 1000)
  const times = () => ({ iat: now(), nbf: now() - 5, exp: now() + 300 })
  const base = () => ({ iss: corp.issuer, aud: 'sallyport', ...times() })
  const ada = (more: Claims = {}) =>
    sign(keys.corp, { kid: 'c1' }, { ...base(), sub: 'u-42', email: 'ada@shop.example', groups: ['staff'], ...more })
  const bot = (more: Claims = {}) =>
    sign(
      keys.corp,
      { kid: 'c1' },
      { ...base(), sub: 'report-bot', client_type: 'agent', groups: ['data-agents'], ...more },
    )
  /** As GitHub's reference of its OpenID Connect tokens gives them. */
  const ofGitHub = ({
    ref = 'refs/heads/main',
    repository = 'acme/shop',
    ...more
  }: Readonly<Record<string, string>> = {}) => {
    const claims = {
      iss: github.issuer,
      aud: 'sallyport',
      sub: `repo:${repository}:ref:${ref}`,
      jti: 'example-id',
      ref,
      ref_type: 'branch',
      sha: 'example-sha',
      repository,
      repository_id: '74',
      repository_owner: repository.split('/')[0],
      repository_owner_id: '65',
      repository_visibility: 'private',
      actor: 'octocat',
      actor_id: '12',
      workflow: 'deploy',
      workflow_ref: `${repository}/.github/workflows/deploy.yml@${ref}`,
      job_workflow_ref: `${repository}/.github/workflows/deploy.yml@${ref}`,
      event_name: 'push',
      head_ref: '',
      base_ref: '',
      run_id: '1',
      run_number: '10',
      run_attempt: '2',
      runner_environment: 'github-hosted',
      ...times(),
      ...more,
    }
    return sign(keys.github, { alg: 'RS256', typ: 'JWT', kid: 'gh1', x5t: 'example-thumbprint' }, claims)
  }
  /** As GitLab's documentation of ID tokens gives them. */
  const ofGitLab = (more: Claims = {}) => {
    const claims = {
      iss: gitlab.issuer,
      aud: 'https://gateway.example.com',
      sub: 'project_path:acme/shop:ref_type:branch:ref:main',
      jti: '235b3a54-b797-45c7-ae9a-f72d7bc6ef5b',
      namespace_id: '72',
      namespace_path: 'acme',
      project_id: '20',
      project_path: 'acme/shop',
      user_id: '1',
      user_login: 'sample-user',
      user_email: 'sample-user@example.com',
      pipeline_id: '574',
      pipeline_source: 'push',
      job_id: '302',
      ref: 'main',
      ref_type: 'branch',
      ref_path: 'refs/heads/main',
      ref_protected: 'true',
      groups_direct: ['acme', 'deployers'],
      runner_id: 1,
      runner_environment: 'self-hosted',
      sha: '714a629c0b401fdce83e847fc9589983fc6f46bc',
      project_visibility: 'private',
      ci_config_ref_uri: 'gitlab.example.com/acme/shop//.gitlab-ci.yml@refs/heads/main',
      ...times(),
      ...more,
    }
    return sign(keys.gitlab, { alg: 'RS256', typ: 'JWT', kid: 'gl1' }, claims)
  }

  async function exchange(subject: string, actor?: string, port = scene.gateway.http!.port): Promise<Answer> {
    const form = new URLSearchParams({ grant_type: GRANT, subject_token: subject, subject_token_type: JWT })
    if (actor !== undefined) form.append('actor_token', actor)
    if (actor !== undefined) form.append('actor_token_type', JWT)
    const response = await fetch(`http://127.0.0.1:${port}/oauth/token`, { method: 'POST', body: form })
    return { status: response.status, body: (await response.json()) as Answer['body'] }
  }
  async function exchanged(subject: string, actor?: string): Promise<string> {
    const { status, body } = await exchange(subject, actor)
    assert.equal(status, 200, JSON.stringify(body))
    return String(body['access_token'])
  }
  async function ofType<T extends StoredEntry['type']>(type: T): Promise<(StoredEntry & { readonly type: T })[]> {
    const entries = await scene.records()
    return entries.filter((entry): entry is StoredEntry & { readonly type: T } => entry.type === type)
  }
  async function rowsWith(token: string, sql: string): Promise<readonly unknown[]> {
    await using client = await connected(scene, token)
    return (await client.query(sql)).rows as readonly unknown[]
  }
  const turnedAway = async (token: string): Promise<string> => {
    const error = await refused(connected(scene, token))
    return `${error.code} ${error.message}`
  }
  const TOTAL = 'SELECT total FROM orders WHERE id = 10'

  it('let a job of GitHub and one of GitLab in, with no secret of their own and the group that their claims give', async () => {
    for (const [token, id] of [
      [await ofGitHub(), 'github/repo:acme/shop:ref:refs/heads/main'],
      [await ofGitLab(), 'gitlab/project_path:acme/shop:ref_type:branch:ref:main'],
    ] as const) {
      for (const given of [token, await exchanged(token)]) {
        assert.deepEqual(await rowsWith(given, TOTAL), [{ total: '99.50' }])
        const { who } = (await ofType('session.opened')).at(-1)!
        assert.deepEqual(who, { kind: 'Workload', id, groups: ['deployers'] })
      }
    }
  })

  const foreign: readonly (readonly [string, () => Promise<string>])[] = [
    ['of another repository', () => ofGitHub({ repository: 'mallory/shop' })],
    ['of a repository whose name begins alike', () => ofGitHub({ repository: 'acme/shop-fork' })],
    ['of another branch', () => ofGitHub({ ref: 'refs/heads/try' })],
    ['of a tag with the name of the branch', () => ofGitHub({ ref: 'refs/tags/main' })],
    ['of a pull request that runs on the branch', () => ofGitHub({ event_name: 'pull_request_target' })],
    ['of a project of GitLab that is not named', () => ofGitLab({ project_path: 'mallory/shop' })],
    ['of an unprotected branch of GitLab', () => ofGitLab({ ref_protected: 'false' })],
    ['with a boolean where GitLab writes text', () => ofGitLab({ ref_protected: true })],
  ]
  for (const [what, make] of foreign) {
    it(`let no job ${what} in, though its token is good`, async () => {
      const [token, before] = [await make(), (await ofType('session.opened')).length]
      for (const given of [token, await exchanged(token)]) {
        assert.match(await turnedAway(given), /^42501 No rule permits connect on Target orders for Workload git/)
      }
      assert.equal((await ofType('session.opened')).length, before)
      await within('there is no role', async () => (await scene.roles()).length === 0)
    })
  }

  it('let no job in whose token is for somebody else’s audience, or of one issuer with the claims of the other', async () => {
    assert.match(await turnedAway(await ofGitHub({ aud: 'https://github.com/acme' })), /^28\S+ .*another audience/)
    const claims = { iss: github.issuer, aud: 'sallyport', sub: 'x', repository: 'acme/shop', ...times() }
    const forged = await sign(keys.gitlab, { alg: 'RS256', kid: 'gl1' }, claims)
    assert.match(await turnedAway(forged), /^28\S+ .*key that its issuer does not publish/)
    assert.equal((await exchange(forged)).body['error'], 'invalid_request')
  })

  it('let an agent do for a person only what both of them may', async () => {
    const token = await exchanged(await ada(), await bot())
    const insert = 'INSERT INTO orders VALUES (90, 1, 1)'
    await using agent = await connected(scene, token)
    assert.deepEqual((await agent.query('SELECT name FROM customers WHERE id = 1')).rows, [{ name: 'Ada' }])
    const forPerson = await refused(agent.query(TOTAL))
    assert.deepEqual([forPerson.code, forPerson.refusal.code], ['42501', 'denied'])
    assert.match(forPerson.message, /for User corp\/u-42/)
    assert.match((await refused(agent.query(insert))).message, /for Agent corp\/report-bot/)
    assert.deepEqual(await rowsWith(await bot(), TOTAL), [{ total: '99.50' }])
    await rowsWith(await ada(), insert)
    assert.deepEqual(await scene.truth('DELETE FROM orders WHERE id = 90 RETURNING id'), [{ id: 90 }])
    await agent.query('SELECT name FROM customers WHERE id = 2')
    const { who } = (await ofType('session.opened')).find(({ who }) => who.act !== undefined)!
    const act = { kind: 'User', id: 'corp/u-42', groups: ['staff'], person: 'ada@shop.example' }
    assert.deepEqual(who, { kind: 'Agent', id: 'corp/report-bot', groups: ['data-agents'], act })
  })

  it('let nobody in for a person who may not come in, nor as an agent who may not', async () => {
    assert.match(await turnedAway(await exchanged(await ada({ groups: [] }), await bot())), /^42501 .*User corp\/u-42/)
    assert.match(
      await turnedAway(await exchanged(await ada(), await bot({ groups: [] }))),
      /^42501 .*Agent corp\/report-bot/,
    )
  })

  it('show agent and person in PostgreSQL’s own log and in the comment of the role', async () => {
    await using client = await connected(scene, await exchanged(await ada(), await bot()))
    await client.query('SELECT id, name FROM customers WHERE id = 2')
    const sent = scene.postgres.logLines().filter((line) => line.includes('id, name FROM'))
    assert.ok(sent.length > 0)
    for (const line of sent) assert.match(line, /^user=sp_[0-9a-f]{8}_[0-9a-f]{32}_reportbot_ada /)
    const [role] = await scene.truth(
      `SELECT shobj_description(oid, 'pg_authid') AS comment FROM pg_roles WHERE rolname LIKE 'sp%reportbot_ada'`,
    )
    assert.match(
      String(role!['comment']),
      /"who":\["Agent corp\/report-bot","User corp\/u-42"\],"person":"ada@shop.example"/,
    )
  })

  it('are recorded with both identities and never written down themselves', async () => {
    const [subject, actor] = [await ada(), await bot()]
    const token = await exchanged(subject, actor)
    const entry = (await ofType('token.exchanged')).at(-1)!
    const person = { kind: 'User', id: 'corp/u-42', groups: ['staff'], person: 'ada@shop.example' }
    const agent = { kind: 'Agent', id: 'corp/report-bot', groups: ['data-agents'] }
    assert.deepEqual([entry.subject, entry.actor, entry.who], [person, agent, { ...agent, act: person }])
    assert.match(entry.client, /^127\.0\.0\.1:\d+$/)
    assert.ok(Date.parse(entry.expires_at) - Date.now() <= 300_000)
    assert.equal((await exchange(actor, subject)).status, 400)
    const { error, message, ...refusal } = (await ofType('token.refused')).at(-1)!
    assert.deepEqual([refusal.subject, refusal.actor, error], ['corp/report-bot', 'corp/u-42', 'invalid_request'])
    assert.match(message, /It is of a person/)
    const log = JSON.stringify(await scene.records())
    for (const secret of [token, subject, actor]) assert.ok(!log.includes(secret.slice(-60)))
  })

  it('are recorded ten times a second at most when they are refused: anybody may ask', async () => {
    const [before, start] = [(await ofType('token.refused')).length, performance.now()]
    await Promise.all(Array.from({ length: 100 }, () => exchange('hunter2')))
    const most = 10 + ((performance.now() - start) / 1_000) * 10
    assert.ok((await ofType('token.refused')).length - before <= most)
  })

  it('are given on both listeners, with keys and metadata', async () => {
    const { admin, http, url } = scene.gateway
    for (const { port } of [admin, http!]) {
      assert.equal((await exchange(await ofGitHub(), undefined, port)).status, 200)
      const get = async (path: string): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`)
      const metadata = (await (await get('/.well-known/oauth-authorization-server')).json()) as Claims
      assert.equal(metadata['token_endpoint'], `${url}/oauth/token`)
      assert.equal(((await (await get('/oauth/jwks')).json()) as { keys: unknown[] }).keys.length, 1)
      assert.equal((await get('/oauth/nothing')).status, 404)
      assert.equal((await get('/api/v1/whoami')).status, 401)
      assert.equal((await get('/oauthx/token')).status, 401)
    }
  })

  it('are taken by the API, which says for whom they act', async () => {
    const { status, body } = await scene.api(await exchanged(await ada(), await bot()), '/api/v1/whoami')
    assert.equal(status, 200)
    assert.deepEqual([body['id'], (body['act'] as Claims)['id']], ['corp/report-bot', 'corp/u-42'])
  })

  it('end with their provider', async () => {
    const token = await exchanged(await ofGitLab())
    await using client = await connected(scene, token)
    const config = JSON.parse(await readFile(scene.config, 'utf8')) as { identity: { name: string }[] }
    const identity = config.identity.filter(({ name }) => name !== 'gitlab')
    await writeFile(scene.config, JSON.stringify({ ...config, identity }))
    assert.equal((await scene.gateway.reload()).refused, undefined)
    assert.match(await turnedAway(token), /^28\S+ The token is of an identity provider that was removed/)
    await assert.rejects(client.query(TOTAL))
  })
})

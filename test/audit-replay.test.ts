import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import type { Client } from 'pg'
import type { SessionId } from '../src/gateway/domain.ts'
import type { StoredEntry } from '../src/record/entry.ts'
import { sallyport } from './command.ts'
import { startScene, type Scene } from './scene.ts'
import { within } from './waiting.ts'

type Step = Readonly<Record<string, unknown>> & {
  readonly type: string
  readonly text?: string
  readonly decision?: string
}

const READ = 'SELECT id, email, card, notes FROM customers ORDER BY id'
const UPDATE = 'UPDATE orders SET total = 1 WHERE id = 10'
const DELETE = 'DELETE FROM orders WHERE id = 11'

describe('sallyport replay and audit export', () => {
  let scene: Scene
  let session: SessionId
  let steps: readonly Step[]
  before(async () => {
    scene = await startScene()
    session = await story(scene)
    const { code, stdout } = await sallyport(['replay', session, '--config', scene.config, '--json'])
    assert.equal(code, 0)
    steps = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Step)
  })
  after(() => scene[Symbol.asyncDispose]())

  /** The steps of the statement whose text begins so. */
  const stepsOf = (text: string): readonly Step[] => {
    const operations = new Set(steps.filter((step) => step.text?.startsWith(text)).map(({ operation }) => operation))
    return steps.filter(({ operation }) => operation !== undefined && operations.has(operation))
  }

  it('shows every record of the session, in order, and no other', async () => {
    const stored = (await scene.records()).filter((entry) => 'session' in entry && entry.session === session)
    assert.deepEqual(
      steps.map(({ seq, type }) => ({ seq, type })),
      stored.map(({ seq, type }) => ({ seq, type })),
    )
    assert.deepEqual([steps[0]?.type, steps.at(-1)?.type], ['session.opened', 'session.closed'])
    assert.ok((await scene.records()).some((entry) => entry.type === 'session.opened' && entry.session !== session))
  })

  it('shows the masked answer as the client got it', () => {
    const [decided, answered] = stepsOf(READ)
    assert.deepEqual([decided?.decision, decided?.rules], ['allow', ['agents-read']])
    assert.deepEqual(answered?.answer, [
      { columns: ['id', 'email', 'card', 'notes'] },
      { row: ['1', '***', '***', 'card *** on file'] },
      { row: ['2', '***', '***', 'prefers e-mail'] },
      { row: ['3', null, null, null] },
      { tag: 'SELECT 3' },
    ])
    assert.deepEqual(answered?.outcome, { status: 'done', rows: 3 })
  })

  it('shows parameters, and binary values by their bytes', () => {
    const [prepared, decided, answered] = stepsOf('SELECT id, total FROM orders')
    assert.deepEqual([prepared?.stage, decided?.stage, decided?.parameters], ['prepare', 'execute', ['12']])
    assert.deepEqual((answered?.answer as object[] | undefined)?.[1], {
      row: ['\\x0000000c', '\\x000100000000000200fa'],
    })
  })

  it('shows errors of the target, and refusals', () => {
    const [, failed] = stepsOf('SELECT 1/0')
    assert.deepEqual(failed?.outcome, { status: 'failed', code: '22012' })
    const [denied, ...nothing] = stepsOf('DROP TABLE')
    assert.equal(denied?.decision, 'deny')
    assert.equal((denied?.refusal as { code: string } | undefined)?.code, 'denied')
    assert.deepEqual(nothing, [])
  })

  it('shows what was held, who answered, and what ran', () => {
    assert.deepEqual(
      stepsOf(UPDATE).map(({ type, decision, vote, by, approval }) => [
        type,
        decision ?? vote,
        by ?? (approval as { by?: string[] })?.by,
      ]),
      [
        ['preview', undefined, undefined],
        ['operation', 'hold', []],
        ['vote', 'approve', 'local/grace'],
        ['operation', 'allow', ['local/grace']],
        ['answer', undefined, undefined],
      ],
    )
    assert.deepEqual(
      stepsOf(DELETE).map(({ type, decision, vote, reason }) => [type, decision ?? vote, reason]),
      [
        ['preview', undefined, undefined],
        ['operation', 'hold', undefined],
        ['vote', 'reject', 'keep \u{1b}[2Jit'],
        ['operation', 'deny', undefined],
      ],
    )
  })

  it('tells the same to people, one thing after another, and nothing to their terminal', async () => {
    const { code, stdout } = await sallyport(['replay', session, '--config', scene.config])
    assert.equal(code, 0)
    const told = [
      'session opened: local/report-bot (Agent) on orders (postgres) from 127.0.0.1',
      `| ${READ}`,
      '| {"row":["1","***","***","card *** on file"]}',
      'parameters: "12"',
      'failed, code 22012',
      'refused (denied): No rule permits sql.drop on Table orders/public.orders for Agent local/report-bot.',
      'HELD by updates-need-a-dba',
      'approved by local/grace',
      'ALLOWED by updates-need-a-dba, approval apr_',
      '| {"tag":"UPDATE 1"}',
      'rejected by local/grace',
      'keep \\u001b[2Jit',
      'revoked, and checked at the target (session ended)',
      'session closed: The client left.',
    ]
    let from = 0
    for (const part of told) {
      const at = stdout.indexOf(part, from)
      assert.ok(at >= 0, `${part} comes in:\n${stdout.slice(from)}`)
      from = at
    }
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(stdout, /[^\n\x20-\x7e]/)
  })

  it('exports one record a line, as stored, and from a time on', async () => {
    const { code, stdout } = await sallyport(['audit', 'export', '--config', scene.config, '--json'])
    assert.equal(code, 0)
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as StoredEntry)
    assert.deepEqual(lines, await scene.records())
    for (const record of lines.filter((entry) => entry.type === 'operation')) {
      for (const key of ['operation', 'session', 'target', 'identity', 'text', 'decision', 'rules', 'at'] as const) {
        assert.ok(record[key], key)
      }
    }
    const { at } = lines.at(-3)!
    const late = await sallyport(['audit', 'export', '--config', scene.config, '--json', '--since', at])
    assert.deepEqual(
      late.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as StoredEntry),
      lines.filter((line) => line.at >= at),
    )
  })

  it('ends quietly when nobody reads the export any more', async () => {
    const line = `bin/sallyport audit export --config '${scene.config}' | head -n 1`
    const { stdout, stderr } = await promisify(execFile)('sh', ['-c', line], { cwd: join(import.meta.dirname, '..') })
    assert.deepEqual([stdout.trimEnd().split('\n').length, stderr], [1, ''])
  })

  it('fails for a session that is not there, and for a time that is none', async () => {
    const unknown = await sallyport(['replay', 'ses_00000000-0000-7000-8000-000000000000', '--config', scene.config])
    assert.deepEqual([unknown.code, unknown.stdout], [1, ''])
    assert.match(unknown.stderr, /^sallyport: The log has no session ses_00000000/)
    const when = await sallyport(['audit', 'export', '--config', scene.config, '--since', 'yesterday'])
    assert.deepEqual([when.code, when.stdout], [2, ''])
  })
})

/** A session with everything in it, between two others; its id. */
async function story(scene: Scene): Promise<SessionId> {
  const grace = await scene.token({ kind: 'User', name: 'grace', groups: ['dba'] })
  const other = await scene.connect()
  const client = await scene.connect()
  await other.query('SELECT 1')
  await client.query(READ)
  await client.query({ text: 'SELECT id, total FROM orders WHERE id = $1', values: [12], binary: true } as {
    text: string
    values: unknown[]
  })
  await client.query('SELECT 1/0').catch(() => undefined)
  await client.query('DROP TABLE orders').catch(() => undefined)
  await held(scene, client, UPDATE, (id) => scene.api(grace, `/api/v1/approvals/${id}/approve`, { reason: 'fine' }))
  await held(scene, client, DELETE, (id) =>
    scene.api(grace, `/api/v1/approvals/${id}/reject`, { reason: 'keep \u{1b}[2Jit' }),
  )
  const opened = (await scene.records()).findLast((entry) => entry.type === 'session.opened')
  await client.end()
  await other.end()
  await within('both sessions are closed', async () => (await scene.roles()).length === 0)
  await within(
    'that is recorded',
    async () => (await scene.records()).filter(({ type }) => type === 'session.closed').length === 2,
  )
  assert.ok(opened?.type === 'session.opened')
  return opened.session
}

async function held(
  scene: Scene,
  client: Client,
  statement: string,
  answer: (approval: string) => Promise<{ readonly status: number }>,
): Promise<void> {
  const told = once(client, 'notice')
  const running = client.query(statement).catch(() => undefined)
  await told
  const grace = await scene.token({ kind: 'User', name: 'grace', groups: ['dba'] })
  const { body } = await scene.api(grace, '/api/v1/approvals?state=pending')
  const [approval] = body.approvals as { readonly id: string }[]
  const { status } = await answer(approval!.id)
  assert.equal(status, 200)
  await running
}

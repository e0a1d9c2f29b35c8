import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { getRequestListener } from '@hono/node-server'
import { Command } from 'commander'
import { createAdmin } from '../admin/admin.ts'
import type { Approvals } from '../approvals/approvals.ts'
import { createApprovals } from '../approvals/create-approvals.ts'
import { agent, bob, eve, hold, identity, request } from '../approvals/fixtures.ts'
import { systemClock } from '../gateway/clock.ts'
import type { Identity } from '../gateway/domain.ts'
import { refuse } from '../gateway/refusals.ts'
import { sessionsIndex } from '../store/sessions-index.ts'
import { NO_GRANT_ROUTES } from '../../test/no-grants.ts'
import { openStore, type Store } from '../store/store.ts'
import { addApprovals } from './approvals.ts'
import { addApprove } from './approve.ts'
import { addReject } from './reject.ts'
import { addSessions } from './sessions.ts'

const callers: Readonly<Record<string, Identity>> = {
  agent,
  bob,
  eve,
  auditor: identity({ subject: 'aud', groups: ['security-team'] }),
}

describe('the commands about approvals and sessions', () => {
  let dir = ''
  let store: Store
  let server: Server
  let approvals: Approvals
  let url = ''
  let made = 0

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'cli-'))
    store = await openStore(dir)
    approvals = createApprovals({ store, clock: systemClock, url: 'https://gw.example.com' })
    const sessions = sessionsIndex(store, 'r1')
    await sessions.note(opened, 1, 1_000)
    const reloads = { policy: 'p1', since: 0, changed: [] }
    const admin = createAdmin({
      authenticate: async (token) => {
        const who = callers[token]
        return who ? { identity: who } : { refusal: refuse('identity', 'The token is not \u001b[31mvalid.') }
      },
      approvals,
      sessions,
      admin: { operators: [], auditors: ['security-team'] },
      url: 'https://gw.example.com',
      readiness: () => true,
      reloading: { status: () => reloads, reload: async () => reloads },
      ...NO_GRANT_ROUTES,
    })
    const answer = getRequestListener(admin.fetch)
    server = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  after(async () => {
    server.close()
    await store[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true })
  })
  beforeEach(() => {
    made += 1
  })

  const opened = {
    type: 'session.opened',
    session: 'ses_1',
    target: 'orders',
    identity: 'corp/bot',
    who: { kind: 'Agent', id: 'corp/bot', groups: [] },
    protocol: 'postgres',
    client: '127.0.0.1:1',
    grant: 'grt_1',
    expires_at: '2026-01-01T00:00:00Z',
    lease: 'sp_x',
    rules: [],
    policy: 'p',
  } as const

  type Run = { readonly out: readonly string[]; readonly err: readonly string[]; readonly failed: boolean }
  const run = async (token: string, ...line: readonly string[]): Promise<Run> => {
    const out: string[] = []
    const err: string[] = []
    let failed = false
    const program = new Command().exitOverride().configureOutput({ writeErr: (text) => void err.push(text) })
    const terminal = {
      env: { SALLYPORT_URL: url, SALLYPORT_TOKEN: token },
      columns: 60,
      print: (text: string) => void out.push(text),
      complain: (text: string) => void err.push(text),
      fail: () => {
        failed = true
      },
    }
    for (const add of [addApprovals, addApprove, addReject, addSessions]) add(program, terminal)
    await program.parseAsync(line, { from: 'user' })
    return { out, err, failed }
  }
  const ask = async (more: Parameters<typeof request>[0] = {}): Promise<string> =>
    (await approvals.request(request({ digest: `d${made}`, ...more }))).id

  it('prints the whole card, then approves', async () => {
    const text = `update t set a = 1\n-- \u202e${'x'.repeat(500)}end`
    const id = await ask({ text, parameters: ['Pa\u001b[2Jris', null] })
    const { out, failed } = await run('bob', 'approve', id, '--reason', 'fine')
    const all = out.join('\n')
    assert.equal(failed, false)
    assert.match(all, new RegExp(`^Approval    ${id}  pending`))
    assert.match(all, /Agent corp\/bot, acting for User corp\/ann/)
    assert.ok(out.includes(`Text        ${text.length} characters, 1 of them cannot be shown and is escaped`))
    assert.match(all, /\n {2}\| update t set a = 1\n {2}\| -- \\u202ex/)
    assert.equal(all.replaceAll('\n  : ', '').match(/x{500}end/)?.length, 1)
    assert.match(all, /\| Pa\\u001b\[2Jris/)
    assert.match(all, /\$2 is NULL/)
    assert.equal(out.at(-1), '\nApproved: it may run once.')
    assert.ok(!all.includes('\u001b') && !all.includes('\u202e'))
    const approval = await approvals.find(id as `apr_${string}`)
    assert.deepEqual([approval?.state, approval?.votes[0]?.reason], ['approved', 'fine'])
  })

  it('says that other votes are needed', async () => {
    const id = await ask({ hold: hold({ quorum: 2 }) })
    assert.match((await run('bob', 'approve', id)).out.at(-1) ?? '', /others are still needed/)
  })

  it('rejects, and gives one JSON object with --json', async () => {
    const id = await ask()
    const { out } = await run('bob', 'reject', id, '--json')
    assert.equal(out.length, 1)
    assert.equal((JSON.parse(out[0]!) as { state: string }).state, 'rejected')
  })

  it('fails with the reason when refused, and shows no escape of the other side', async () => {
    const id = await ask()
    const own = await run('agent', 'approve', id)
    assert.deepEqual([own.failed, own.err], [true, ['Only a person, in their own name, may do this.']])
    assert.equal((await run('eve', 'approve', id)).failed, true)
    const bad = await run('nobody', 'approvals')
    assert.deepEqual([bad.failed, bad.err, bad.out], [true, ['The token is not \\u001b[31mvalid.'], []])
    assert.equal((await approvals.find(id as `apr_${string}`))?.state, 'pending')
  })

  it('lists one JSON object a line, and a table for people', async () => {
    const id = await ask({ text: 'select\n\u001b]0;x\u0007 1' })
    const { out } = await run('bob', 'approvals', '--state', 'pending', '--json')
    const first = JSON.parse(out[0]!) as { id: string; text: string }
    assert.deepEqual([first.id, first.text], [id, 'select\n\u001b]0;x\u0007 1'])
    const table = await run('bob', 'approvals')
    assert.match(table.out[0]!, /^ID +STATE/)
    assert.match(table.out[1]!, /select\\n\\u001b\]0;x\\u0007 1$/)
  })

  it('shows one card, and to an agent only how its request stands', async () => {
    const id = await ask()
    assert.match((await run('bob', 'approvals', id)).out.join('\n'), /Needs       1 of dba/)
    const { out } = await run('agent', 'approvals', id)
    assert.deepEqual(out.slice(0, 2), [`Approval    ${id}  pending`, 'Operation   op_1'])
    assert.equal(out.length, 3)
    assert.equal((await run('agent', 'approvals')).failed, false)
  })

  it('cannot be sent to another path by what is given as an id', async () => {
    const { failed } = await run('auditor', 'approve', '../sessions')
    assert.equal(failed, true)
  })

  it('lists sessions for auditors, and for nobody else', async () => {
    const { out } = await run('auditor', 'sessions', '--live', '--target', 'orders', '--limit', '5', '--json')
    assert.equal((JSON.parse(out[0]!) as { id: string }).id, 'ses_1')
    assert.match((await run('auditor', 'sessions')).out.join('\n'), /ses_1 .* open +orders +corp\/bot/)
    assert.equal((await run('bob', 'sessions')).failed, true)
    assert.deepEqual((await run('bob', 'sessions', '--identity', 'corp/bob', '--json')).out, [])
  })

  it('takes a wrong line for wrong usage', async () => {
    await assert.rejects(run('bob', 'approve'), { code: 'commander.missingArgument' })
    await assert.rejects(run('bob', 'approvals', '--state', 'open'), { code: 'commander.invalidArgument' })
    await assert.rejects(run('', 'approvals'), { code: 'usage' })
    await assert.rejects(run('a\r\nx: y', 'approvals'), { code: 'usage' })
  })

  it('fails when the gateway does not answer, or something else answers', async () => {
    const before = url
    url = 'http://127.0.0.1:1'
    await assert.rejects(run('bob', 'approvals'), { code: 'closed' })
    const other = createServer((_, response) => response.end('<html>')).listen(0, '127.0.0.1')
    await once(other, 'listening')
    url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
    await assert.rejects(run('bob', 'approvals'), { code: 'closed' })
    other.close()
    url = before
  })
})

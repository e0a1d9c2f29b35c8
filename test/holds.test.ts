import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { OperationDecided } from '../src/record/entry.ts'
import { startPsql, type Psql, WITHOUT_PSQL } from './clients/psql.ts'
import { sallyport, type Ended } from './command.ts'
import { stateOf } from './holding.ts'
import { startScene, type Scene } from './scene.ts'
import { within } from './waiting.ts'

const POLICIES = `
@id("connect") permit (principal in Group::"data-agents", action == Action::"connect", resource);
@id("read") permit (principal in Group::"data-agents", action in [Action::"read", Action::"session"], resource in Target::"orders");
@id("insert") permit (principal in Group::"data-agents", action == Action::"sql.insert", resource in Target::"orders");
@id("orders-need-a-dba") @hold("group:dba") @wait("60s") @ticket("60s") @preview("rows")
permit (principal in Group::"data-agents", action == Action::"sql.update", resource == Table::"orders/public.orders");
@id("customers-need-a-dba") @hold("group:dba") @wait("1s") @ticket("60s")
permit (principal in Group::"data-agents", action == Action::"sql.update", resource == Table::"orders/public.customers");
`

describe('an UPDATE held in psql', { skip: WITHOUT_PSQL }, () => {
  let scene: Scene
  let config: string
  let dba: string

  before(async () => {
    scene = await startScene({ policies: POLICIES })
    dba = await scene.token({ kind: 'User', name: 'dora', groups: ['dba'], person: 'dora@shop.example' })
    config = join(scene.directory, 'approver.yaml')
    await writeFile(config, JSON.stringify({ version: 1, listen: { admin: `127.0.0.1:${scene.gateway.admin.port}` } }))
  })
  after(() => scene?.[Symbol.asyncDispose]())

  const answer = (command: 'approve' | 'reject', token: string, ...more: readonly string[]): Promise<Ended> =>
    sallyport([command, ...more], { SALLYPORT_TOKEN: token, SALLYPORT_CONFIG: config })
  const psql = async (): Promise<Psql> =>
    startPsql({ port: scene.gateway.postgres.port, password: await scene.token(), arguments: ['-At'] })
  const totals = async (): Promise<unknown> => scene.truth('SELECT id, total::int FROM orders ORDER BY id')
  const decisions = async (id: string): Promise<readonly OperationDecided[]> => {
    const decided = (await scene.records()).filter((record) => record.type === 'operation')
    const held = decided.find((record) => record.approval?.id === id || record.refusal?.approval?.id === id)
    return decided.filter(({ operation }) => operation === held?.operation)
  }
  const ticket = (output: string): string =>
    /apr_[0-9a-f-]{36}/.exec(output)?.[0] ?? assert.fail(`no ticket:\n${output}`)

  it('is announced at once, shown with its rows, and runs exactly once when a human approves it', async () => {
    await using client = await psql()
    client.type('UPDATE orders SET total = total + 1 WHERE id = 10;')
    const notice = await client.until(/^HINT:/m)
    const id = ticket(notice)
    assert.match(notice, /^NOTICE: {2}SP001: Held for approval by dba: apr_/m)
    assert.match(notice, new RegExp(`HINT: .*sallyport approve ${id}`))
    assert.deepEqual(await scene.truth('SELECT total::int FROM orders WHERE id = 10'), [{ total: 100 }])

    const { code, stdout } = await answer('approve', dba, id)
    assert.equal(code, 0)
    assert.match(stdout, /^Requester {3}Agent local\/report-bot$/m)
    assert.match(stdout, /^Does {8}sql\.update on Table orders\/public\.orders$/m)
    assert.match(stdout, /^Preview {5}about 1 rows?$/m)
    assert.match(stdout, /UPDATE orders SET total = total \+ 1 WHERE id = 10/)
    assert.match(stdout, /^Approved: it may run once\.$/m)

    client.type('SELECT total FROM orders WHERE id = 10;')
    const { output } = await client.end()
    assert.match(output, /^UPDATE 1\n100\.50$/m)
    const trail = await decisions(id)
    assert.deepEqual(
      trail.map(({ decision }) => decision),
      ['hold', 'allow'],
    )
    assert.deepEqual(trail[1]!.approval, { id, by: ['local/dora'] })
    const records = await scene.records()
    const place = (type: string): number =>
      records.findIndex(
        (record) => record.type === type && 'operation' in record && record.operation === trail[0]!.operation,
      )
    assert.ok(place('vote') > place('operation') && place('vote') < place('answer'))
    const votes = records.filter((record) => record.type === 'vote')
    assert.deepEqual([votes[0]!.by, votes[0]!.vote, votes[0]!.approval], ['local/dora', 'approve', id])
  })

  it('fails with the reason when it is rejected, and nothing ran', async () => {
    const before = await totals()
    await using client = await psql()
    client.type('UPDATE orders SET total = 0 WHERE id = 11;')
    const id = ticket(await client.until(/^HINT:/m))
    const { code } = await answer('reject', dba, id, '--reason', 'name the "customer" first')
    assert.equal(code, 0)
    client.type('SELECT 42;')
    const { output } = await client.end()
    assert.match(output, /^ERROR: {2}42501: Rejected by local\/dora: name the "customer" first$/m)
    assert.match(output, /"code":"approval_rejected".*"retry":"never"/)
    assert.match(output, /^42$/m)
    assert.deepEqual(await totals(), before)
    assert.deepEqual(
      (await scene.records())
        .filter((record) => record.type === 'operation' && record.text.includes('total = 0'))
        .map((record) => record.type === 'operation' && record.decision),
      ['hold', 'deny'],
    )
  })

  it('ends with a ticket when nobody answers, and passes once when it is sent again after approval', async () => {
    const balance = (): Promise<unknown> => scene.truth('SELECT balance::int FROM customers WHERE id = 3')
    const update = 'UPDATE customers SET balance = balance + 5 WHERE id = 3;'
    await using client = await psql()
    client.type(update)
    const output = await client.until(/^ERROR:[^]*^HINT:.*$/m)
    const id = ticket(output)
    assert.match(output, /^ERROR: {2}SP001: sql\.update needs approval by dba \(rule customers-need-a-dba\): apr_/m)
    const json = JSON.parse(/^ERROR:.*\nDETAIL: {2}(.*)$/m.exec(output)![1]!) as Record<string, unknown>
    assert.equal(json['code'], 'approval_required')
    assert.equal(json['retry'], 'after-approval')
    assert.equal((json['approval'] as { id: string }).id, id)
    assert.match(String(json['operation']), /^op_/)
    assert.deepEqual(await balance(), [{ balance: 30 }])

    assert.equal((await answer('approve', dba, id)).code, 0)
    assert.deepEqual(await balance(), [{ balance: 30 }])
    client.type(update)
    await client.until(/^UPDATE 1$/m)
    client.type(update)
    await client.until(/(NOTICE: [^]*){2}HINT/)
    assert.deepEqual(await balance(), [{ balance: 35 }])
  })

  it('is withdrawn by Ctrl-C: nothing ran, nobody can approve it any more', async () => {
    const before = await totals()
    await using client = await psql()
    client.type('UPDATE orders SET total = 1 WHERE id = 12;')
    const id = ticket(await client.until(/^HINT:/m))
    client.kill('SIGINT')
    const output = await client.until(/^ERROR:[^]*^DETAIL/m)
    assert.match(output, /^ERROR: {2}57014: Cancelled while waiting for approval\.$/m)
    const late = await answer('approve', dba, id)
    assert.equal(late.code, 1)
    assert.match(late.stderr, /This request was withdrawn\./)
    assert.deepEqual(await totals(), before)
    assert.deepEqual(
      (await decisions(id)).map(({ decision }) => decision),
      ['hold', 'deny'],
    )
  })

  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    it(`is withdrawn when its client ends by ${signal}: nothing ran, the lease is revoked`, async () => {
      const before = await totals()
      await using client = await psql()
      client.type(`UPDATE orders SET total = 2 WHERE id = 12; -- ${signal}`)
      const id = ticket(await client.until(/^HINT:/m))
      client.kill(signal)
      await client.ended
      assert.equal(await stateOf(scene, id, dba, 'withdrawn'), 'withdrawn')
      assert.equal((await answer('approve', dba, id)).code, 1)
      assert.deepEqual(await totals(), before)
      await within('the role is gone', async () => (await scene.roles()).length === 0)
    })
  }

  it('leaves other sessions alone while it waits', async () => {
    await using client = await psql()
    client.type('UPDATE orders SET total = 3 WHERE id = 12;')
    await client.until(/^HINT:/m)
    await using other = await psql()
    other.type('SELECT count(*) FROM orders;')
    other.type('INSERT INTO orders VALUES (900, 1, 9);')
    const { output } = await other.end()
    assert.match(output, /^3\nINSERT 0 1$/m)
    assert.doesNotMatch(client.output(), /ERROR/)
  })
})

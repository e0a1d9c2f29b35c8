import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Fault } from '../gateway/fault.ts'
import type { Entry, StoredEntry } from './entry.ts'
import { replay } from './replay.ts'
import type { ReplayStep } from './replay.ts'
import { replayText } from './replay-text.ts'
import { closed, collect, operation } from './sample-log.ts'

const IN_SESSION = { session: 'ses_1', target: 'orders', identity: 'corp/alice' } as const

describe('replaying a session', () => {
  it('shows every statement, decision, vote and masked answer of that session in order', async () => {
    const steps = await play([
      operation('SELECT 1', 'ses_2'),
      { type: 'preview', ...IN_SESSION, operation: 'op_1', text: 'DELETE FROM t\nWHERE id = 1', parameters: ['7'] },
      { ...operation('DELETE FROM t\nWHERE id = 1'), decision: 'hold', rules: ['ask'] },
      { type: 'vote', ...IN_SESSION, operation: 'op_1', approval: 'apr_1', by: 'corp/bob', vote: 'approve' },
      { ...operation('DELETE FROM t\nWHERE id = 1'), approval: { id: 'apr_1', by: ['corp/bob'] } },
      answer('one,****'),
      closed(),
    ])
    assert.deepEqual(
      steps.map(({ type }) => type),
      ['preview', 'operation', 'vote', 'operation', 'answer', 'session.closed'],
    )
    assert.deepEqual(steps[4], {
      seq: 6,
      at: '2026-01-01T00:00:00.000Z',
      type: 'answer',
      ...IN_SESSION,
      operation: 'op_1',
      size: 8,
      outcome: { status: 'done', rows: 1 },
      answer: ['one', '****'],
    })
    const text = steps.flatMap(replayText).join('\n')
    assert.match(text, /op_1 is previewed: .*\n {4}\| DELETE FROM t\n {4}\| WHERE id = 1\n {4}parameters: "7"\n/)
    assert.match(text, /op_1 HELD by ask\n {4}\| DELETE FROM t\n {4}\| WHERE id = 1\n/)
    assert.match(text, /op_1 approved by corp\/bob/)
    assert.match(text, /op_1 ALLOWED by reads, approval apr_1 by corp\/bob/)
    assert.match(text, /op_1 answered, 8 bytes, done, 1 rows\n {4}\| one\n {4}\| \*{4}\n/)
  })

  it('goes on at an answer that cannot be read, or was not kept whole', async () => {
    const [bad, short] = await play([answer('!'), { type: 'answer', ...IN_SESSION, size: 9, digest: 'ab' }])
    assert.deepEqual(bad?.type === 'answer' && bad.unread, { why: 'not mine', bytes: 'IQ==' })
    assert.match(replayText(bad!).join(), /not readable \(not mine\)/)
    assert.match(replayText(short!).join(), /the target answered, 9 bytes, not kept whole.*SHA-256 so far ab/)
  })

  it('never prints what a terminal would obey or a reader would not see', async () => {
    const hostile = '\u001b[2J\u009b0m\r\u0007\u202egpj\u2066\u200b\ufeff\u{e0041}\u2028'
    const steps = await play([
      { ...operation(hostile), parameters: [hostile], rules: [hostile] },
      { ...closed(), reason: hostile },
      answer(`a${hostile},b`),
    ])
    for (const line of steps.flatMap(replayText)) assert.doesNotMatch(line, /[\p{C}\p{Zl}\p{Zp}]/u)
  })
})

function answer(text: string): Entry {
  const bytes = Buffer.from(text)
  const outcome = { status: 'done', rows: 1 } as const
  return {
    type: 'answer',
    ...IN_SESSION,
    operation: 'op_1',
    size: bytes.length,
    bytes: bytes.toString('base64'),
    outcome,
  }
}

async function play(entries: readonly Entry[]): Promise<readonly ReplayStep[]> {
  async function* stored(): AsyncGenerator<StoredEntry> {
    for (const [index, entry] of entries.entries()) {
      yield { v: 1, seq: index + 1, at: '2026-01-01T00:00:00.000Z', ...entry, hash: '0'.repeat(64) }
    }
  }
  const render = (bytes: Buffer): unknown => {
    if (bytes.toString() === '!') throw new Fault('protocol', 'not mine')
    return bytes.toString().split(',')
  }
  return collect(replay('ses_1', stored(), render))
}

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { dataRow, error, frame, ready, rowDescription, str } from '../../../test/frames-builder.ts'
import { Fault } from '../../gateway/fault.ts'
import { Answers, type Sent } from './answers.ts'
import { FrameReader, type Frame } from './frames.ts'

const frameOf = (bytes: Buffer): Frame => new FrameReader(() => 1 << 20).push(bytes)[0]!
const parsed = frame('1')
const bound = frame('2')
const complete = frame('C', str('SELECT 1'))
const failed = error({ S: 'ERROR', C: '22012', M: 'x' })
const notice = error({ S: 'NOTICE', C: '00000', M: 'x' }, 'N')

/** Answers whose expectations say, in order, how each ended. */
function start(): {
  readonly answers: Answers
  readonly ends: string[]
  readonly unsolicited: Frame[]
  readonly statuses: string[]
  readonly expect: (...sent: readonly Sent[]) => void
  readonly route: (...messages: readonly Buffer[]) => void
} {
  const ends: string[] = []
  const unsolicited: Frame[] = []
  const statuses: string[] = []
  const answers = new Answers(
    (message) => void unsolicited.push(message),
    (status) => void statuses.push(status),
  )
  return {
    answers,
    ends,
    unsolicited,
    statuses,
    expect: (...sent) =>
      sent.forEach((one) => answers.expect({ sent: one, done: (result) => void ends.push(`${one} ${result}`) })),
    route: (...messages) => messages.forEach((message) => answers.route(frameOf(message))),
  }
}

describe('Answers', () => {
  it('gives each message its own answer, in order', () => {
    const { answers, ends, expect, route } = start()
    expect('Parse', 'Bind', 'DescribePortal', 'Execute', 'Sync', 'Query')
    route(parsed, bound, rowDescription({}), dataRow('1'), complete, ready('T'))
    assert.deepEqual(ends, ['Parse done', 'Bind done', 'DescribePortal done', 'Execute done', 'Sync done'])
    assert.deepEqual([answers.status, answers.quiet], ['T', false])
    route(complete, complete, ready('I'))
    assert.deepEqual([answers.status, answers.quiet, ends.at(-1)], ['I', true, 'Query done'])
  })

  it('skips after an error what was sent before the Sync, and not what comes behind it', () => {
    const { answers, ends, expect, route } = start()
    expect('Parse', 'Bind', 'Execute', 'Sync', 'Parse', 'Sync')
    route(parsed, failed, ready('I'))
    assert.deepEqual(ends, ['Parse done', 'Bind failed', 'Execute skipped', 'Sync done'])
    assert.equal(answers.lastBatchFailed, true)
    route(parsed, ready('I'))
    assert.equal(answers.lastBatchFailed, false)
  })

  it('skips what is sent between the error and the Sync, because the target does', async () => {
    const { answers, ends, expect, route } = start()
    expect('Execute')
    route(failed)
    expect('Parse', 'Poison', 'Bind')
    assert.deepEqual(ends, ['Execute failed', 'Parse skipped', 'Poison skipped', 'Bind skipped'])
    await answers.idle()
    expect('Sync', 'Query')
    route(ready('I'), complete, ready('I'))
    assert.deepEqual(ends.slice(-2), ['Sync done', 'Query done'])
  })

  it('does not skip the Query behind one that failed', () => {
    const { ends, expect, route } = start()
    expect('Query')
    route(failed)
    expect('Query')
    route(ready('I'), complete, ready('I'))
    assert.deepEqual(ends, ['Query done', 'Query done'])
  })

  it('tells of every transaction status, and knows it before the Sync is done', () => {
    const { answers, statuses, route } = start()
    let known: string | undefined
    answers.expect({ sent: 'Sync', done: () => (known = answers.status) })
    route(ready('E'))
    assert.deepEqual([known, statuses], ['E', ['E']])
  })

  it('gives a notice to the answer it comes in, and otherwise hands it on', () => {
    const { answers, unsolicited, route } = start()
    const frames: Frame[] = []
    answers.expect({ sent: 'Query', frame: (one) => void frames.push(one) })
    route(notice, complete, ready('I'), notice, frame('S', str('a'), str('b')))
    assert.deepEqual([frames.length, unsolicited.length], [3, 2])
  })

  it('lets everybody go when it is given up, those too that come later', async () => {
    const { answers, ends, expect } = start()
    expect('Query')
    const idle = answers.idle()
    answers.giveUp()
    await idle
    expect('Sync')
    await answers.idle()
    assert.deepEqual(ends, ['Query skipped', 'Sync skipped'])
  })

  for (const [sent, message] of [
    ['Query', bound],
    ['Parse', ready('I')],
    ['Poison', parsed],
    ['Execute', rowDescription({})],
    ['Bind', dataRow('1')],
    ['Sync', complete],
    [undefined, ready('I')],
    [undefined, dataRow('1')],
    ['Query', frame('G')],
    ['Query', frame('?')],
  ] as const) {
    it(`throws a Fault where ${JSON.stringify(message.toString('latin1', 0, 1))} answers ${sent ?? 'nothing'}`, () => {
      const { expect, route } = start()
      if (sent) expect(sent)
      assert.throws(
        () => route(message),
        (thrown) => thrown instanceof Fault && thrown.code === 'protocol',
      )
    })
  }
})

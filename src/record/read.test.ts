import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { Fault } from '../gateway/fault.ts'
import { readLine } from './line.ts'
import { exportLog, readLog } from './read.ts'
import type { ReadOptions } from './read.ts'
import { closed, collect, operation, sampleLog } from './sample-log.ts'
import { readLines } from './segments.ts'

describe('reading a log', () => {
  it('gives the records of one session, of a time, of a type, or after a number', async () => {
    using log = sampleLog()
    {
      await using recorder = await log.open({ segmentBytes: 900 })
      await recorder.append(operation('a', 'ses_1'), 'synced')
      await recorder.append(operation('ses_1', 'ses_2'), 'synced')
      await recorder.append(closed('ses_1'), 'synced')
    }
    const read = async (more: Partial<ReadOptions>) => await collect(readLog({ dir: log.dir, ...more }))
    const all = await read({})
    const seqs = all.map(({ seq }) => seq)
    assert.deepEqual(
      seqs,
      seqs.map((_, index) => index + 1),
    )
    const ofSession = await read({ session: 'ses_1' })
    assert.deepEqual(
      ofSession.map(({ type }) => type),
      ['operation', 'session.closed'],
    )
    assert.deepEqual((await read({ types: ['session.closed'] })).length, 1)
    const [, , third] = all
    assert.deepEqual(
      (await read({ since: Date.parse(third!.at) }))[0],
      all.find(({ at }) => at >= third!.at),
    )
    assert.deepEqual(
      (await read({ until: Date.parse(third!.at) })).every(({ at }) => at < third!.at),
      true,
    )
    for (const after of seqs)
      assert.deepEqual(
        (await read({ after })).map(({ seq }) => seq),
        seqs.slice(after),
      )
  })

  it('exports the lines exactly as they are stored', async () => {
    using log = sampleLog()
    await log.fill(3)
    assert.deepEqual(await collect(exportLog({ dir: log.dir })), log.lines())
  })

  it('works on a log that is being written, whose last line is not complete', async () => {
    using log = sampleLog()
    await using recorder = await log.open()
    await recorder.append(closed(), 'written')
    assert.equal((await collect(readLog({ dir: log.dir }))).length, 3)
    log.write(Buffer.concat([log.read(), Buffer.from('{"v":1,"seq":4,')]))
    assert.equal((await collect(readLog({ dir: log.dir }))).length, 3)
  })

  it('fails at a line that is no record, and gives nothing for a log that is not there', async () => {
    using log = sampleLog()
    await log.fill(1)
    log.write(Buffer.concat([log.read(), Buffer.from('hello\n')]))
    await assert.rejects(
      collect(readLog({ dir: log.dir })),
      (error) => error instanceof Fault && error.code === 'store',
    )
    assert.deepEqual(await collect(readLog({ dir: `${log.dir}/none` })), [])
  })

  it('finds the same lines however long they are', async () => {
    using log = sampleLog()
    await log.fill(0)
    const lines = fc.array(
      fc.oneof(
        fc.string(),
        fc.integer({ min: 0, max: 700_000 }).map((size) => 'x'.repeat(size)),
      ),
      {
        maxLength: 6,
      },
    )
    await fc.assert(
      fc.asyncProperty(lines, fc.boolean(), async (texts, ended) => {
        const given = texts.map((text) => text.replaceAll('\n', ''))
        log.write(given.join('\n') + (ended ? '\n' : ''))
        const found = (await collect(readLines(log.dir, '000000000001.log'))).flat()
        const expected = ended ? given : given.slice(0, -1)
        const whole = found.filter((line) => line.ended)
        if (given.length > 0)
          assert.deepEqual(
            whole.map(({ bytes }) => bytes.toString()),
            expected,
          )
        assert.deepEqual(
          whole.map(({ number }) => number),
          whole.map((_, index) => index + 1),
        )
        for (const { bytes, offset } of found) {
          assert.deepEqual(log.read().subarray(offset, offset + bytes.length), bytes)
        }
      }),
      { numRuns: 40 },
    )
  })

  it('takes random bytes for no record', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => readLine(Buffer.from(bytes)) === undefined))
  })
})

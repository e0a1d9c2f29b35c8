import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Fault } from '../gateway/fault.ts'
import type { StoredEntry } from './entry.ts'
import { flakyFiles } from './fake-files.ts'
import { sampleLog } from './sample-log.ts'

const refusing =
  (pattern: RegExp) =>
  (error: unknown): boolean =>
    error instanceof Fault && error.code === 'unrecordable' && pattern.test(error.message)

describe('opening a log after a crash', () => {
  it('cuts off a last line torn at any byte, keeps the torn bytes in a record, and goes on', async () => {
    using log = sampleLog()
    await log.fill(1)
    const whole = log.read()
    const good = whole.lastIndexOf('\n', -2) + 1
    for (let length = good + 1; length < whole.length; length++) {
      log.write(whole.subarray(0, length))
      await log.fill(0, { files: flakyFiles({ sync: async () => {}, syncNow: () => {}, syncDirectory: () => {} }) })
      const recovered = log
        .lines()
        .map((line) => JSON.parse(line) as StoredEntry)
        .find(isRecovered)
      assert.equal(recovered?.torn, length - good)
      assert.deepEqual(Buffer.from(recovered.bytes, 'base64'), whole.subarray(good, length))
      const result = await log.verifyAlone()
      assert.deepEqual([result.verdict, result.recovered], ['intact', [4]], `cut at ${length}`)
    }
  })

  it('cuts off a last line of which bytes were lost though its newline is there', async () => {
    using log = sampleLog()
    await log.fill(1)
    const bytes = log.read()
    bytes.fill(0, bytes.length - 40, bytes.length - 20)
    log.write(bytes)
    await log.fill(0)
    assert.equal((await log.verifyAlone()).verdict, 'intact')
  })

  it('refuses, naming the record, when anything before the last line does not verify', async () => {
    using log = sampleLog()
    await log.fill(3)
    const bytes = log.read()
    const changed = Buffer.from(bytes)
    changed[bytes.indexOf('SELECT 1')]! ^= 1
    log.write(changed)
    await assert.rejects(log.open(), refusing(/record 4 \(000000000001\.log, line 4\) does not verify/))
    log.write(bytes.subarray(bytes.indexOf('\n') + 1))
    await assert.rejects(log.open(), refusing(/record 1 /))
    assert.deepEqual(log.read(), bytes.subarray(bytes.indexOf('\n') + 1), 'and leaves the file as it is')
  })

  it('refuses a last checkpoint that another key signed', async () => {
    using log = sampleLog()
    using other = sampleLog()
    await log.fill(1)
    await assert.rejects(log.open({ key: other.key }), refusing(/record 4 /))
  })

  it('refuses what is too big to be one torn record', async () => {
    using log = sampleLog()
    await log.fill(1)
    log.write(Buffer.concat([log.read(), Buffer.alloc(65 * 1024 * 1024, 97)]))
    await assert.rejects(log.open(), refusing(/record 5 /))
  })

  it('takes up again behind a new segment in which nothing whole was written', async () => {
    for (const begun of ['', '{"v":1,"se']) {
      using log = sampleLog()
      await log.fill(1)
      writeFileSync(join(log.dir, '000000000005.log'), begun)
      await log.fill(1)
      const result = await log.verify()
      assert.deepEqual([result.verdict, log.segments()], ['intact', ['000000000001.log']])
      assert.deepEqual(result.recovered, begun ? [5] : [])
    }
  })

  it('refuses or cuts off random bytes behind the log, and loses no record', async () => {
    for (let run = 0; run < 30; run++) {
      using log = sampleLog()
      await log.fill(2)
      const whole = log.read()
      log.write(Buffer.concat([whole, randomBytes(1 + run * 20)]))
      await log.fill(0).catch((error: unknown) => assert.ok(refusing(/record 6 /)(error)))
      assert.deepEqual(log.read().subarray(0, whole.length), whole)
    }
  })
})

function isRecovered(entry: StoredEntry): entry is Extract<StoredEntry, { type: 'log.recovered' }> {
  return entry.type === 'log.recovered'
}

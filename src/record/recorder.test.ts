import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { Fault } from '../gateway/fault.ts'
import type { Entry } from './entry.ts'
import { diskFiles } from './files.ts'
import { diskError, flakyFiles } from './fake-files.ts'
import { closed, operation, sampleLog, testClock } from './sample-log.ts'

const unrecordable = (error: unknown): boolean => error instanceof Fault && error.code === 'unrecordable'

describe('appending', () => {
  it('numbers records from 1 without gaps and in the order of the calls', async () => {
    using log = sampleLog()
    await using recorder = await log.open()
    const stored = await Promise.all(['a', 'b', 'c'].map((text) => recorder.append(operation(text), 'written')))
    assert.deepEqual(
      stored.map(({ seq }) => seq),
      [5, 5, 5],
    )
    assert.deepEqual(
      log.lines().map((line) => {
        const { seq, text } = JSON.parse(line) as { seq: number; text?: string }
        return [seq, text]
      }),
      [
        [1, undefined],
        [2, undefined],
        [3, 'a'],
        [4, 'b'],
        [5, 'c'],
      ],
    )
  })

  it('writes all entries of one turn of the event loop at once, before any promise resolves', async () => {
    using log = sampleLog()
    const files = flakyFiles({})
    await using recorder = await log.open({ files })
    const before = files.writes()
    await Promise.all(Array.from({ length: 50 }, (_, i) => recorder.append(operation(`SELECT ${i}`), 'written')))
    assert.equal(files.writes() - before, 1)
    assert.equal(log.lines().length, 52)
  })

  it('tells the listener number, time, entry and place of every record, in order', async () => {
    using log = sampleLog()
    const told: string[] = []
    const onStored = (seq: number, at: number, entry: Entry, place: { offset: number; length: number }): void => {
      const line = JSON.parse(log.read().toString('utf8', place.offset, place.offset + place.length)) as { at: string }
      told.push(`${seq} ${entry.type} ${Date.parse(line.at) === at}`)
    }
    await using recorder = await log.open({ onStored })
    await Promise.all([recorder.append(operation('é€😀'), 'synced'), recorder.append(closed(), 'written')])
    assert.deepEqual(told, ['2 log.opened true', '3 operation true', '4 session.closed true'])
  })

  it('keeps hostile text in one line that parses back to the same', async () => {
    using log = sampleLog()
    await using recorder = await log.open()
    const text = 'a\n{"v":1}\r\u2028\u0000","hash":"\ud800\u202e'
    await recorder.append(operation(text), 'written')
    assert.equal(log.lines().length, 3)
    assert.equal((JSON.parse(log.lines()[2]!) as { text: string }).text, text)
    assert.equal((await log.verify()).problems[0]?.message, 'there is no good checkpoint among the lines given')
    assert.equal((await log.verifyAlone()).verdict, 'intact')
  })

  it('lets nobody else read the files', async () => {
    using log = sampleLog()
    await log.fill(1)
    const modes = [
      log.dir,
      join(log.dir, '000000000001.log'),
      join(log.dir, 'lock'),
      join(dirname(log.dir), 'keys/log.pem'),
    ]
    assert.deepEqual(
      modes.map((path) => statSync(path).mode & 0o777),
      [0o700, 0o600, 0o600, 0o600],
    )
  })

  it('refuses an entry that is too long, alone', async () => {
    using log = sampleLog()
    await using recorder = await log.open()
    const long = recorder.append(operation('x'.repeat(64 * 1024 * 1024)), 'written')
    const short = recorder.append(operation('y'), 'written')
    await assert.rejects(long, unrecordable)
    assert.equal((await short).seq, 3)
  })

  it('refuses entries after it was closed', async () => {
    using log = sampleLog()
    const recorder = await log.open()
    await recorder[Symbol.asyncDispose]()
    await recorder[Symbol.asyncDispose]()
    await assert.rejects(recorder.append(closed(), 'written'), unrecordable)
  })

  it('goes on in a new segment when one is full, and the chain goes on with it', async () => {
    using log = sampleLog()
    await log.fill(20, { segmentBytes: 1500 })
    await log.fill(20, { segmentBytes: 1500 })
    assert.ok(log.segments().length > 5)
    const result = await log.verify()
    assert.deepEqual([result.verdict, result.records, result.last], ['intact', result.last, result.records])
  })
})

describe('a disk that fails', () => {
  it('rejects the whole batch when a write fails in the middle, and works again by itself', async () => {
    using log = sampleLog()
    let room = Number.POSITIVE_INFINITY
    const files = flakyFiles({
      write: (fd, bytes, position) => {
        if (room === 0) throw diskError('ENOSPC')
        const count = diskFiles.write(fd, bytes.subarray(0, room), position)
        room -= count
        return count
      },
    })
    {
      await using recorder = await log.open({ files })
      const before = log.read()
      room = 700
      const batch = ['a', 'b', 'c'].map((text) => recorder.append(operation(text), 'written'))
      for (const { status } of await Promise.allSettled(batch)) assert.equal(status, 'rejected')
      assert.deepEqual(log.read(), before)
      await assert.rejects(recorder.append(operation('d'), 'synced'), unrecordable)
      assert.deepEqual(log.read(), before)
      room = Number.POSITIVE_INFINITY
      assert.equal((await recorder.append(operation('e'), 'synced')).seq, 3)
    }
    assert.equal((await log.verify()).verdict, 'intact')
  })

  it('goes on with short writes and interrupted ones until everything is written', async () => {
    using log = sampleLog()
    let calls = 0
    const files = flakyFiles({
      write: (fd, bytes, position) => {
        if (calls++ % 5 === 1) throw diskError('EINTR')
        return diskFiles.write(fd, bytes.subarray(0, 17), position)
      },
    })
    await log.fill(3, { files })
    const result = await log.verify()
    assert.deepEqual([result.verdict, result.records], ['intact', 6])
  })

  it('stays closed while a half line cannot be cut off', async () => {
    using log = sampleLog()
    let broken = false
    const files = flakyFiles({
      write: (fd, bytes, position) => {
        if (!broken) return diskFiles.write(fd, bytes, position)
        diskFiles.write(fd, bytes.subarray(0, 100), position)
        throw diskError('EIO')
      },
      truncate: (fd, length) => {
        if (broken) throw diskError('EIO')
        diskFiles.truncate(fd, length)
      },
    })
    {
      await using recorder = await log.open({ files })
      broken = true
      await assert.rejects(recorder.append(operation('a'), 'written'), unrecordable)
      await assert.rejects(recorder.append(operation('b'), 'written'), unrecordable)
      broken = false
      assert.equal((await recorder.append(closed(), 'written')).seq, 3)
    }
    assert.equal((await log.verify()).verdict, 'intact')
  })

  it('rejects who waits for a sync that fails, and goes on in a new segment that says so', async () => {
    using log = sampleLog()
    let broken = false
    const sync = async (fd: number): Promise<void> => {
      if (broken) throw diskError('EIO')
      await diskFiles.sync(fd)
    }
    {
      await using recorder = await log.open({ files: flakyFiles({ sync }) })
      broken = true
      const first = recorder.append(operation('a'), 'written')
      await assert.rejects(recorder.append(operation('b'), 'synced'), unrecordable)
      assert.equal((await first).seq, 4)
      broken = false
      assert.equal((await recorder.append(operation('c'), 'synced')).seq, 6)
    }
    assert.deepEqual(log.segments(), ['000000000001.log', '000000000005.log'])
    const started = JSON.parse(log.lines('000000000005.log')[0]!) as Record<string, unknown>
    assert.deepEqual([started.reason, started.unsynced_from], ['sync failed', 3])
    assert.equal((await log.verify()).verdict, 'intact')
  })

  it('rejects who came while a sync ran that failed: it wrote to the same file', async () => {
    using log = sampleLog()
    let broken = false
    const sync = async (): Promise<void> => {
      const fails = broken
      for (let turn = 0; turn < 5; turn++) await setImmediate()
      broken = false
      if (fails) throw diskError('EIO')
    }
    await using recorder = await log.open({ files: flakyFiles({ sync }) })
    broken = true
    const first = recorder.append(operation('a'), 'synced')
    await setImmediate()
    const second = recorder.append(operation('b'), 'synced')
    for (const { status } of await Promise.allSettled([first, second])) assert.equal(status, 'rejected')
    await recorder.append(closed(), 'synced')
  })

  it('groups syncs: one runs at a time, and who comes meanwhile shares the next', async () => {
    using log = sampleLog()
    let running = 0
    let syncs = 0
    const sync = async (): Promise<void> => {
      assert.equal(++running, 1)
      syncs += 1
      for (let turn = 0; turn < 20; turn++) await setImmediate()
      running -= 1
    }
    await using recorder = await log.open({ files: flakyFiles({ sync }) })
    const before = syncs
    const waiting = []
    for (let i = 0; i < 10; i++) {
      waiting.push(recorder.append(operation(`${i}`), 'synced'))
      await setImmediate()
    }
    await Promise.all(waiting)
    assert.equal(syncs - before, 2)
  })

  it('records nothing new on a nearly full disk, but still how things end', async () => {
    using log = sampleLog()
    await using recorder = await log.open({ files: flakyFiles({ space: () => 1000 }), reserveBytes: 1001 })
    await assert.rejects(recorder.append(operation('a'), 'written'), unrecordable)
    await assert.rejects(recorder.append(lastPiece('cm93'), 'written'), unrecordable)
    assert.equal((await recorder.append(lastPiece(''), 'written')).seq, 3)
    assert.equal((await recorder.append(closed(), 'synced')).seq, 4)
  })

  const lastPiece = (bytes: string): Entry => {
    const place = { session: 'ses_1', target: 'orders', identity: 'corp/alice' } as const
    const size = Buffer.from(bytes, 'base64').length
    return { type: 'answer', ...place, operation: 'op_1', size, bytes, outcome: { status: 'done' } }
  }

  it('does not open where it cannot write, and leaves no lock behind', async () => {
    using log = sampleLog()
    const files = flakyFiles({
      write: () => {
        throw diskError('ENOSPC')
      },
    })
    await assert.rejects(log.open({ files }), unrecordable)
    await log.fill(1)
    assert.equal((await log.verify()).verdict, 'intact')
  })
})

describe('checkpoints', () => {
  it('are shared by the calls of one turn and left out when nothing was appended', async () => {
    using log = sampleLog()
    await using recorder = await log.open()
    await Promise.all([recorder.checkpoint(), recorder.append(closed(), 'written'), recorder.checkpoint()])
    await recorder.checkpoint()
    assert.equal(log.printed.length, 1)
    assert.match(log.printed[0]!, /^sallyport-checkpoint v1 c0ffee01 3 [0-9a-f]{64} 2026-01-01T\S+Z [\w-]{86}$/)
    assert.equal((await log.verify()).vouched, 3)
  })

  it('are printed only when they are on disk', async () => {
    using log = sampleLog()
    let broken = false
    const sync = async (): Promise<void> => {
      if (broken) throw diskError('EIO')
    }
    await using recorder = await log.open({ files: flakyFiles({ sync }) })
    broken = true
    await assert.rejects(recorder.checkpoint(), unrecordable)
    assert.deepEqual(log.printed, [])
    broken = false
    await recorder.checkpoint()
    assert.equal(log.printed.length, 1)
  })

  it('are signed every ten seconds if something was appended', async () => {
    using log = sampleLog()
    const wakes: (() => void)[] = []
    const sleep = (ms: number, signal?: AbortSignal): Promise<void> => {
      assert.equal(ms, 10_000)
      const { promise, resolve } = Promise.withResolvers<void>()
      signal?.addEventListener('abort', () => resolve(), { once: true })
      wakes.push(resolve)
      return promise
    }
    const lines: string[] = []
    const onCheckpoint = (line: string): void => void lines.push(line)
    await using recorder = await log.open({ clock: { ...testClock(), sleep }, onCheckpoint })
    for (const expected of [1, 1, 2]) {
      if (expected === 2) await recorder.append(closed(), 'written')
      const sleeping = wakes.length
      wakes.at(-1)!()
      while (wakes.length === sleeping) await setImmediate()
      assert.equal(lines.length, expected)
    }
  })
})

describe('two gateways', () => {
  it('do not write one log', async () => {
    using log = sampleLog()
    await using _recorder = await log.open()
    await assert.rejects(log.open(), unrecordable)
    await assert.rejects(log.open(), /another gateway is writing the log/)
  })

  it('may follow each other after kill -9', async () => {
    using log = sampleLog()
    const script = `
      const { sampleLog: _, testClock, operation } = await import('${import.meta.resolve('./sample-log.ts')}')
      const { openRecorder } = await import('${import.meta.resolve('./open-recorder.ts')}')
      const { loadLogKey } = await import('${import.meta.resolve('./key.ts')}')
      const [dir, data] = process.argv.slice(1)
      const recorder = await openRecorder({ dir, installation: 'c0ffee01', replica: 'r0', key: loadLogKey(data),
        clock: testClock(), onCheckpoint: () => {} })
      await recorder.append(operation('SELECT 1'), 'written')
      console.log('open')
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, log.dir, dirname(log.dir)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    await assert.rejects(log.open(), unrecordable)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await log.fill(1)
    const result = await log.verify()
    assert.deepEqual([result.verdict, result.last], ['intact', 6])
  })
})

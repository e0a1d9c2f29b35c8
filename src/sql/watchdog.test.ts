import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { newWatchdog, watchText } from './watchdog.ts'

/** Watches a text of 500 ms in a worker that had used 1000 ms before; `answers`: what it says it has used, each time it is asked. */
function watchOne(t: TestContext, answers: readonly Promise<number>[]) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setImmediate'] })
  const watchdog = newWatchdog()
  const seen = { asked: 0, givenUp: 0 }
  const cpuUsage = async (): Promise<NodeJS.CpuUsage> => ({ user: (await answers[seen.asked++]!) * 1_000, system: 0 })
  const tooLong = (): void => {
    watchdog.rest()
    seen.givenUp++
  }
  watchText({ worker: { cpuUsage }, watchdog, used: 1_000, ms: 500, tooLong })
  const pass = async (ms: number): Promise<readonly [number, number]> => {
    t.mock.timers.tick(ms)
    t.mock.timers.tick(1)
    for (let turn = 0; turn < 5; turn++) await Promise.resolve()
    return [seen.asked, seen.givenUp]
  }
  return { watchdog, pass }
}

const after = (ms: number): Promise<number> => Promise.resolve(ms)

describe('the watch over a text', () => {
  it('gives it its time of the worker, whoever else uses the machine meanwhile', async (t) => {
    const { pass } = watchOne(t, [after(1_000), after(1_400), after(1_500)])
    assert.deepEqual(await pass(499), [1, 0])
    assert.deepEqual(await pass(500), [2, 0])
    assert.deepEqual(await pass(100), [3, 1])
  })

  it('gives it up at once when the worker has spent that on it', async (t) => {
    const { pass } = watchOne(t, [after(1_500)])
    assert.deepEqual(await pass(500), [1, 1])
  })

  it('gives it up after ten times as long, also when the worker does not answer', async (t) => {
    const { pass } = watchOne(t, [new Promise(() => undefined)])
    assert.deepEqual(await pass(500), [1, 0])
    assert.deepEqual(await pass(4_400), [1, 0])
    assert.deepEqual(await pass(100), [1, 1])
  })

  it('gives it up after ten times as long, also when the worker is given no time', async (t) => {
    const { pass } = watchOne(t, Array<Promise<number>>(20).fill(after(1_000)))
    for (let times = 1; times < 10; times++) assert.deepEqual(await pass(500), [times, 0])
    assert.deepEqual(await pass(500), [9, 1])
  })

  it('is over when the text was read', async (t) => {
    const { watchdog, pass } = watchOne(t, [])
    watchdog.rest()
    assert.deepEqual(await pass(10_000), [0, 0])
  })
})

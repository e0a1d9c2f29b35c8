import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import * as fc from 'fast-check'
import type { StoredEntry } from './entry.ts'
import { powerCut } from './fake-files.ts'
import type { LogFiles } from './files.ts'
import { parseLine, readLine } from './line.ts'
import { operation, sampleLog } from './sample-log.ts'
import type { SampleLog } from './sample-log.ts'

type Append = { readonly durability: 'written' | 'synced'; readonly size: number }
/** Appends of one turn, and after how many turns the next ones come; undefined: when these are settled. */
type Batch = { readonly appends: readonly Append[]; readonly turns: number | undefined }

const batches = fc.array(
  fc.record({
    appends: fc.array(
      fc.record({ durability: fc.constantFrom('written' as const, 'synced' as const), size: fc.nat({ max: 3_000 }) }),
      { minLength: 1, maxLength: 4 },
    ),
    turns: fc.option(fc.nat({ max: 6 }), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 12 },
)
/** From a record each to all in one. */
const segmentBytes = fc.constantFrom(1_000, 6_000, 1_000_000)
/** Of what was not durable, the part that survives: nothing as often as not. */
const keep = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true }))

describe('a power cut', () => {
  it('at any moment loses nothing that was synced; the log verifies, and goes on', async () => {
    const plan = fc.record({ at: fc.integer({ min: 1, max: 60 }), keep, batches, segmentBytes })
    await fc.assert(
      fc.asyncProperty(plan, async ({ at, keep, batches, segmentBytes }) => {
        using log = sampleLog()
        const power = powerCut(at)
        const durable = await runUntilCut(log, { files: power.files, segmentBytes }, batches)
        power.strike(keep)
        const last = await goOn(log)
        const result = await (log.printed.length > 0 ? log.verify() : log.verifyAlone())
        assert.deepEqual([result.problems, result.last], [[], last])
        assertKept(log, durable)
      }),
      { numRuns: 150 },
    )
  })

  it('after syncs that failed loses nothing that was synced, and no record but those that the log names', async () => {
    const failing = fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 4 })
    const plan = fc.record({ at: fc.integer({ min: 10, max: 70 }), keep, batches, failing, segmentBytes })
    await fc.assert(
      fc.asyncProperty(plan, async ({ at, keep, batches, failing, segmentBytes }) => {
        using log = sampleLog()
        const power = powerCut(at, new Set(failing))
        const durable = await runUntilCut(log, { files: power.files, segmentBytes }, batches)
        power.strike(keep)
        await goOn(log)
        assertKept(log, durable)
        const named = recordsOf(log).flatMap((entry) =>
          entry.type === 'log.segment' && entry.unsynced_from ? [[entry.unsynced_from, entry.seq] as const] : [],
        )
        const { problems } = await log.verifyAlone()
        assert.deepEqual(
          problems.filter(({ seq }) => !named.some(([from, to]) => from <= seq && seq <= to)),
          [],
        )
      }),
      { numRuns: 100 },
    )
  })
})

/** The texts that were resolved as synced. Everything may fail once the power is gone. */
async function runUntilCut(
  log: SampleLog,
  options: { readonly files: LogFiles; readonly segmentBytes: number },
  batches: readonly Batch[],
): Promise<ReadonlySet<string>> {
  const durable = new Set<string>()
  const recorder = await log.open(options).catch(dead)
  for (const [number, { appends, turns }] of batches.entries()) {
    const appended = appends.map(async ({ durability, size }, index) => {
      const text = `SELECT ${number}.${index} ${'-'.repeat(size)}`
      const stored = await recorder?.append(operation(text), durability).catch(dead)
      if (stored && durability === 'synced') durable.add(text)
    })
    if (turns === undefined) await Promise.all(appended)
    for (let turn = 0; turn < (turns ?? 0); turn++) await setImmediate()
    if (number % 3 === 0) void recorder?.checkpoint().catch(dead)
  }
  await Promise.resolve(recorder?.[Symbol.asyncDispose]()).catch(dead)
  return durable
}

/** Opens the log, which recovers it, and appends one more; the number of the last record. */
async function goOn(log: SampleLog): Promise<number> {
  await log.fill(1)
  return recordsOf(log).at(-1)!.seq
}

/** Every line that is a record, whatever stands before it. */
function recordsOf(log: SampleLog): readonly StoredEntry[] {
  return log.segments().flatMap((segment) =>
    log.lines(segment).flatMap((text) => {
      const line = readLine(Buffer.from(text))
      return (line && parseLine(line)) ?? []
    }),
  )
}

function assertKept(log: SampleLog, durable: ReadonlySet<string>): void {
  const texts = recordsOf(log).flatMap((entry) => (entry.type === 'operation' ? [entry.text] : []))
  assert.deepEqual([...durable.difference(new Set(texts))], [])
}

function dead(error: unknown): undefined {
  assert.ok(error instanceof Error && error.message)
}

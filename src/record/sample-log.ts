import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../gateway/clock.ts'
import type { SessionId } from '../gateway/domain.ts'
import type { OperationDecided, SessionClosed } from './entry.ts'
import { loadLogKey } from './key.ts'
import type { LogKey } from './key.ts'
import { openRecorder } from './open-recorder.ts'
import type { RecorderOptions } from './open-recorder.ts'
import type { Recorder } from './recorder.ts'
import { listSegments } from './segments.ts'
import { verifyLog } from './verify.ts'
import type { Verification } from './verify.ts'

/** For tests: a log in a directory of its own, the lines it printed, and what one needs to damage it. */
export type SampleLog = Disposable & {
  readonly dir: string
  readonly key: LogKey
  readonly printed: readonly string[]
  open(more?: Partial<RecorderOptions>): Promise<Recorder>
  /** Opens, appends that many operations and closes, which signs a checkpoint. */
  fill(count: number, more?: Partial<RecorderOptions>): Promise<void>
  /** With the printed checkpoints unless others are given. */
  verify(checkpoints?: readonly string[]): Promise<Verification>
  verifyAlone(): Promise<Verification>
  segments(): readonly string[]
  lines(segment?: string): readonly string[]
  read(segment?: string): Buffer
  write(bytes: Buffer | string, segment?: string): void
}

/** A clock that goes on by one millisecond each time it is asked, and sleeps until it is woken. */
export function testClock(): Clock {
  let ms = Date.UTC(2026, 0, 1)
  return {
    now: () => ms++,
    monotonic: () => ms++,
    sleep: (_ms, signal) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      signal?.addEventListener('abort', () => resolve(), { once: true })
      return promise
    },
  }
}

export function sampleLog(): SampleLog {
  const data = mkdtempSync(join(tmpdir(), 'sallyport-log-'))
  const dir = join(data, 'log')
  const key = loadLogKey(data)
  const printed: string[] = []
  const path = (segment = '000000000001.log') => join(dir, segment)
  const open = (more: Partial<RecorderOptions> = {}): Promise<Recorder> => {
    const onCheckpoint = (line: string): void => void printed.push(line)
    return openRecorder({
      dir,
      installation: 'c0ffee01',
      replica: 'r1',
      key,
      clock: testClock(),
      onCheckpoint,
      ...more,
    })
  }
  return {
    dir,
    key,
    printed,
    open,
    fill: async (count, more) => {
      await using recorder = await open(more)
      for (let i = 0; i < count; i++) await recorder.append(operation(`SELECT ${i}`), 'synced')
    },
    verify: (checkpoints = printed) => verifyLog({ dir, publicKey: key.publicKey, checkpoints }),
    verifyAlone: () => verifyLog({ dir, publicKey: key.publicKey }),
    segments: () => listSegments(dir).map(({ name }) => name),
    lines: (segment) => readFileSync(path(segment), 'utf8').split('\n').slice(0, -1),
    read: (segment) => readFileSync(path(segment)),
    write: (bytes, segment) => writeFileSync(path(segment), bytes),
    [Symbol.dispose]: () => rmSync(data, { recursive: true, force: true }),
  }
}

export function operation(text: string, session: SessionId = 'ses_1'): OperationDecided {
  return {
    type: 'operation',
    session,
    target: 'orders',
    identity: 'corp/alice',
    operation: 'op_1',
    stage: 'execute',
    text,
    digest: '0'.repeat(64),
    touches: ['sql.select on Table orders/public.customers'],
    effect: 'none',
    decision: 'allow',
    rules: ['reads'],
    policy: 'f'.repeat(64),
  }
}

export function closed(session: SessionId = 'ses_1'): SessionClosed {
  return { type: 'session.closed', session, target: 'orders', identity: 'corp/alice', reason: 'client left' }
}

export async function collect<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

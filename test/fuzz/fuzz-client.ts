import { str } from '../frames-builder.ts'
import type { FuzzScene } from './fuzz-scene.ts'
import type { Heard } from './heard.ts'
import type { Account, Ledger } from './ledger.ts'
import { whole } from './mutate.ts'
import { anyLogin } from './login.ts'
import type { Random } from './random.ts'
import type { Line } from './wire.ts'

/** One client, past its start. */
export interface FuzzClient {
  readonly line: Line
  readonly account: Account
  readonly heard: Heard
  /** True once the other side has gone. */
  readonly over: boolean
  /** Tells both models of a well-formed message that is about to be sent. */
  announce(frame: Buffer): void
  write(bytes: Buffer): void
  /** Sync and a Query that has to be answered unless the session has ended: true when it was. */
  reachable(patienceMs: number): Promise<boolean>
  /** Resolves when `is` holds, or the connection is over; false when neither came in time. */
  until(is: () => boolean, patienceMs: number): Promise<boolean>
}

/** Patience is counted in turns of a timer, not by the clock: a machine that has no time for this process is no hang. */
const TICK_MS = 50
const SYNC = whole('S')
const ASK = whole('Q', str('SELECT 1'))

/** Connects and logs in; undefined when the other side ends the connection first. `random`: for how it starts, and for the target's choices. */
export async function connectFuzz(
  dial: FuzzScene['dial'],
  ledger: Ledger,
  heard: Heard,
  patienceMs: number,
  random: Random,
): Promise<FuzzClient | undefined> {
  const state = { over: false, wake: (): void => undefined }
  const line = await dial({
    heard: (chunk) => {
      heard.take(chunk)
      state.wake()
    },
    ended: () => heard.ended(),
    closed: () => {
      state.over = true
      state.wake()
    },
  })
  if (!line) return undefined
  const account = ledger.open(line.address)
  account.seed = random.below(1 << 30)
  heard.early = (frame) => account.answers.problemWith(frame)
  const client = attend(line, account, heard, state)
  const login = anyLogin(random)
  heard.login = login
  line.write(login.bytes)
  const came = await client.until(() => heard.started, patienceMs)
  if (!came) heard.problems.push('the start of a session is not answered')
  return heard.started ? client : undefined
}

type State = { over: boolean; wake: () => void }

function attend(line: Line, account: Account, heard: Heard, state: State): FuzzClient {
  const until = async (is: () => boolean, patienceMs: number): Promise<boolean> => {
    if (is() || state.over) return true
    const { promise, resolve } = Promise.withResolvers<boolean>()
    let left = patienceMs / TICK_MS
    const look = (): void => {
      if (is() || state.over || left <= 0) resolve(is() || state.over)
    }
    const timer = setInterval(() => {
      left--
      look()
    }, TICK_MS)
    state.wake = look
    look()
    return promise.finally(() => clearInterval(timer))
  }
  const announce = (frame: Buffer): void => {
    account.clientSends(frame)
    heard.clientSends(frame)
  }
  return {
    line,
    account,
    heard,
    get over() {
      return state.over
    },
    announce,
    write: (bytes) => line.write(bytes),
    until,
    reachable: async (patienceMs) => {
      for (const frame of [SYNC, ASK]) announce(frame)
      line.write(Buffer.concat([SYNC, ASK]))
      const came = await until(() => heard.answered, patienceMs)
      if (!came) heard.problems.push('the connection is open and answers nothing')
      return came && !state.over
    },
  }
}

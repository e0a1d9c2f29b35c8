import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { frame, ready, str, u32 } from '../frames-builder.ts'
import type { Answering } from './answering.ts'
import { HonestSession } from './honest-session.ts'
import type { Account, Ledger } from './ledger.ts'
import { interceptConnections, overTcp, Wire, type Hearing, type Line } from './wire.ts'

/** What one connection to the target says instead of what an honest target would; undefined ends the connection. */
export type Spoil = (honest: readonly Buffer[]) => readonly Buffer[] | undefined

export type FuzzTargetOptions = {
  readonly answersTo: Answering
  readonly ledger: Ledger
  /** Made for each connection; without it the target is honest. */
  readonly spoil?: (account: Account | undefined) => Spoil
  /** The whole of the start, up to ReadyForQuery. */
  readonly start?: (account: Account | undefined) => readonly Buffer[]
}

export interface FuzzTarget extends AsyncDisposable {
  readonly port: number
}

/** Of so many connections one is over TCP, the others are in memory. */
export const TCP_EVERY = 32
/** Version 3.0; a request to cancel has another number there, and gets no answer. */
const PROTOCOL = 3 << 16
const CANCEL_REQUEST = 80_877_102
const PID = 4711
/** No client may ever see it. */
export const CANCEL_KEY = 'BACKEND-KEY-HUSH'
/** Of these lengths keys are given, in bytes: all that may be. */
const KEY_BYTES = [16, 4, 32, 255, 256]
const KEYS = KEY_BYTES.map((size) => Buffer.concat([u32(PID), Buffer.alloc(size, CANCEL_KEY)]))
const startWith = (key: Buffer): readonly Buffer[] => [
  frame('R', u32(0)),
  frame('S', str('server_version'), str('18.0')),
  frame('S', str('client_encoding'), str('UTF8')),
  frame('S', str('TimeZone'), str('UTC')),
  frame('K', key),
  ready('I'),
]

/** A target that lets everybody in, answers, and tells the ledger of every message it got. */
export async function startFuzzTarget(options: FuzzTargetOptions): Promise<FuzzTarget> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    serve((hearing) => overTcp(socket, hearing), options)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let dialled = 0
  const inMemory = interceptConnections(port, () => {
    if (++dialled % TCP_EVERY === 0) return undefined
    return serve((hearing) => new Wire(hearing, dialled, true), options)
  })
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      inMemory[Symbol.dispose]()
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function serve<End extends Line | Wire>(open: (hearing: Hearing) => End, options: FuzzTargetOptions): End {
  const hear = hearing(options, (said) => (said ? line.write(said) : line.resetAndDestroy()))
  const end = open({ heard: hear, ended: () => undefined, closed: () => undefined })
  const line: Line = end instanceof Wire ? end.line : end
  return end
}

/** `say`: undefined ends the connection. */
function hearing(options: FuzzTargetOptions, say: (said: Buffer | undefined) => void): (chunk: Buffer) => void {
  let left: Buffer = Buffer.alloc(0)
  let take: Take | undefined
  const open = (packet: Buffer): readonly Buffer[] | undefined => {
    if (packet.readUInt32BE(4) !== PROTOCOL) {
      noteCancel(packet, options)
      return undefined
    }
    const account = accountOf(packet, options.ledger)
    take = begin(account, options)
    return options.start?.(account) ?? startWith(KEYS[(account?.seed ?? 0) % KEYS.length]!)
  }
  return (chunk) => {
    left = left.length === 0 ? chunk : Buffer.concat([left, chunk])
    const answer: Buffer[] = []
    for (let size = nextSize(left, take); size <= left.length; size = nextSize(left, take)) {
      const said = (take ?? open)(left.subarray(0, size))
      if (!said) return say(undefined)
      answer.push(...said)
      left = left.subarray(size)
    }
    if (answer.length > 0) say(Buffer.concat(answer))
  }
}

/** Of the message that begins here, with its type, which the first one does not have; Infinity while that is not known. */
function nextSize(bytes: Buffer, take: Take | undefined): number {
  const type = take ? 1 : 0
  return bytes.length < type + 4 ? Infinity : type + bytes.readUInt32BE(type)
}

/** By the target's own key, unless that may have been any. */
function noteCancel(packet: Buffer, { ledger, start }: FuzzTargetOptions): void {
  const key = packet.subarray(8)
  const known = start !== undefined || KEYS.some((own) => own.equals(key))
  if (packet.readUInt32BE(4) !== CANCEL_REQUEST || !known)
    ledger.problems.push(`the target was told ${packet.toString('hex')}`)
}

/** By the application's name in the startup message, where the gateway puts the session. */
function accountOf(packet: Buffer, ledger: Ledger): Account | undefined {
  const words = packet.toString('utf8', 8).split('\0')
  const account = ledger.ofTarget(words[words.indexOf('application_name') + 1]!)
  if (!account) ledger.problems.push('the target was connected to before the session was recorded')
  return account
}

type Take = (message: Buffer) => readonly Buffer[] | undefined

function begin(account: Account | undefined, { answersTo, spoil }: FuzzTargetOptions): Take {
  const honest = new HonestSession(answersTo)
  const spoiling = spoil?.(account)
  return (message) => {
    const turn = honest.take(message)
    account?.targetGot(message, spoiling ? undefined : turn)
    if (turn.ends) return undefined
    return spoiling ? spoiling(turn.answer) : turn.answer
  }
}

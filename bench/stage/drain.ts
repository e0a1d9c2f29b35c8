import type { Socket } from 'node:net'
import { frame, str } from '../../test/frames-builder.ts'
import { rawConnect } from '../../test/raw-client.ts'
import type { Arm } from './arms.ts'
import { DATABASE } from './database.ts'

/** Type, length and "idle", as the last message of every answer: its bytes at the end of a chunk mean the end. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49])
const TAIL = 4096

/** How long an answer took, in s, and how large it was, in bytes. */
export type Drained = { readonly seconds: number; readonly bytes: number }

/**
 * Sends one simple Query and takes the answer off the socket without looking into it: a client that costs next to
 * nothing, so that what lies before it is what is measured. Throws when the answer does not end as a SELECT does.
 */
export async function drain(arm: Arm, sql: string, rows: number): Promise<Drained> {
  const { port, user, password } = arm
  await using client = await rawConnect({ port, user, password, database: DATABASE })
  const { socket } = client
  socket.removeAllListeners('data')
  const start = performance.now()
  socket.write(frame('Q', str(sql)))
  const { bytes, tail } = await answer(socket)
  const seconds = (performance.now() - start) / 1000
  if (!tail.includes(`SELECT ${rows}\0`)) throw new Error(`the answer to ${sql} ends in ${tail.toString('latin1')}`)
  return { seconds, bytes }
}

function answer(socket: Socket): Promise<{ readonly bytes: number; readonly tail: Buffer }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ bytes: number; tail: Buffer }>()
  let bytes = 0
  let tail: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    tail = chunk.length >= TAIL ? chunk.subarray(-TAIL) : Buffer.concat([tail, chunk]).subarray(-TAIL)
    if (tail.subarray(-READY.length).equals(READY)) resolve({ bytes, tail })
  })
  socket.once('close', () => reject(new Error('the connection ended inside an answer')))
  return promise
}

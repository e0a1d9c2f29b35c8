import assert from 'node:assert/strict'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import type { Approval } from '../../src/approvals/approvals.ts'
import type { Identity } from '../../src/gateway/domain.ts'
import { refuse } from '../../src/gateway/refusals.ts'
import type { Entry } from '../../src/record/entry.ts'
import { within } from '../waiting.ts'
import type { Client, Heard, Word } from './driver.ts'
import type { Scene } from './scene.ts'

/** What tests of all protocols do, in words. */

/** Bytes that were to come have come, and those that were to be sent are sent, in ms. */
const A_MOMENT = 50
const PATIENCE_MS = 5_000

export const aMoment = (): Promise<void> => setTimeout(A_MOMENT)

export async function ask({ driver }: Scene, client: Client, word: Word): Promise<Heard> {
  client.send(driver.bytesOf(word))
  return client.hear()
}

/** Asks, and has got a whole answer. */
export async function answered(scene: Scene, client: Client, word: Word): Promise<string> {
  const heard = await ask(scene, client, word)
  assert.equal(heard.is, 'answer', heard.text.slice(0, 500))
  return heard.text
}

/** A client whose session is open, as one operation has shown. */
export async function settledClient(scene: Scene): Promise<Client> {
  const client = await scene.connect()
  await answered(scene, client, 'allowed')
  return client
}

/** A client whose operation the target has answered by half. */
export async function inMidAnswer(scene: Scene, word: Word = 'allowed'): Promise<Client> {
  const client = await settledClient(scene)
  scene.target.behave({ does: 'stall' })
  client.send(scene.driver.bytesOf(word))
  await within('half of the answer is sent', async () => scene.target.taken > 0, PATIENCE_MS)
  await aMoment()
  return client
}

export async function closed({ socket }: Client): Promise<void> {
  if (!socket.closed) await once(socket, 'close', { signal: AbortSignal.timeout(PATIENCE_MS) })
}

/** The one approval that is asked for. */
export async function pending({ approvals }: Scene, session: string): Promise<Approval> {
  const find = async (): Promise<Approval | undefined> =>
    (await approvals.list('pending')).find((one) => one.session === session)
  await within('somebody is asked', async () => (await find()) !== undefined, PATIENCE_MS)
  return (await find())!
}

/** A client whose operation waits for a person. */
export async function inHold(scene: Scene): Promise<{ readonly client: Client; readonly approval: Approval }> {
  const client = await settledClient(scene)
  client.send(scene.driver.bytesOf('held'))
  return { client, approval: await pending(scene, scene.sessions().at(-1)!.opening.id) }
}

/** May approve what others ask for. */
export const KEEPER: Identity = {
  kind: 'User',
  provider: 'test',
  subject: 'keeper',
  groups: ['keepers'],
  expiresAt: Number.MAX_SAFE_INTEGER,
}

/** What a killed session ends with. */
export const KILLED = refuse('killed', 'An operator has ended this session.')

/** The log's entries of one type. */
export function logged<T extends Entry['type']>({ log }: Scene, type: T): readonly Extract<Entry, { type: T }>[] {
  return log.entries.filter((entry): entry is Extract<Entry, { type: T }> => entry.type === type)
}

/** How often the target was asked to run what a word stands for. */
export function runs({ target }: Scene, word: Word): number {
  return target.ran.filter((one) => one === word).length
}

import { bind, describePortal, execute, parse, query, sync } from '../client-messages.ts'
import { frame, join, u16, u32, val } from '../frames-builder.ts'
import { rawConnect, type Message, type RawClient } from '../raw-client.ts'
import { hear, type Heard } from './heard.ts'
import { DATABASES, targetOf, type Setting, type Stage } from './stage.ts'
import type { Case } from './cases.ts'

/** How the statements of a case are sent, where it does not say itself. */
export type Way = 'simple' | 'extended' | 'binary'

export type Place = { readonly setting: Setting; readonly policy: string; readonly way: Way }

/** Plays a case on connections of its own; all that came back, once nothing more comes. */
export async function play(stage: Stage, one: Case, place: Place): Promise<Heard> {
  await using connections = new AsyncDisposableStack()
  const password = await stage.token(place.policy)
  const clients: RawClient[] = []
  const connect = async (): Promise<RawClient> => {
    await clients.at(-1)?.[Symbol.asyncDispose]()
    const database = targetOf(place.setting, one.role)
    const client = connections.use(
      await rawConnect({ port: stage.port, database, password, parameters: one.startup ?? {} }),
    )
    clients.push(client)
    return client
  }
  if (one.needs_idle_session !== undefined) connections.use(await idle(stage, place.setting, one.needs_idle_session))
  const first = await connect()
  const started = performance.now()
  let failure: unknown
  try {
    await steps(stage, one, place.way, { first, connect })
    await new Promise((resolve) => setTimeout(resolve, one.drain_ms ?? 0))
  } catch (error) {
    failure = error
  }
  return hear(
    clients.map(({ messages }) => messages),
    { failure, elapsedMs: performance.now() - started },
  )
}

/** A session of somebody else, straight at the target, that has said this and stays. */
async function idle(stage: Stage, setting: Setting, sql: string): Promise<RawClient> {
  const { password } = new URL(stage.postgres.admin)
  const { port } = stage.postgres
  const client = await rawConnect({ port, user: 'postgres', database: DATABASES[setting], password })
  client.send(query(sql))
  await client.ready()
  return client
}

type Connections = { readonly first: RawClient; readonly connect: () => Promise<RawClient> }

async function steps(stage: Stage, one: Case, way: Way, { first, connect }: Connections): Promise<void> {
  const texts = one.mode === 'multi' ? [one.sql.join(' ')] : one.sql
  let client = first
  for (const [at, text] of texts.entries()) {
    if (one.reconnect_before?.includes(at)) client = await connect()
    client.send(await step(stage, one, { text, at, way }))
    const answer = await answered(client, one.copy_data)
    if (one.hold_any && answer.some(({ type }) => type === 'E')) return
  }
}

type Step = { readonly text: string; readonly at: number; readonly way: Way }

async function step(stage: Stage, one: Case, { text, at, way }: Step): Promise<Buffer> {
  const format = one.result_format ?? (way === 'binary' ? 1 : 0)
  if (one.mode === 'fastpath' && text.startsWith('@F ')) return functionCall(stage, text, format)
  if (one.mode !== 'extended' && (way === 'simple' || one.mode === 'multi')) return query(text)
  const described = one.describe === false ? [] : [describePortal()]
  const bound = bind({ values: [...(one.params?.[at] ?? [])], formats: [format] })
  return join(parse(text), bound, ...described, execute('', one.max_rows ?? 0), sync)
}

/** `@F name argument argument`, the arguments as text. */
async function functionCall(stage: Stage, text: string, format: number): Promise<Buffer> {
  const [, name, ...values] = text.split(' ')
  const [row] = await stage.postgres.query('SELECT $1::regproc::oid AS oid', [name])
  return frame('F', u32(Number(row?.['oid'])), u16(1), u16(0), u16(values.length), ...values.map(val), u16(format))
}

/** Up to the ReadyForQuery; a target that asks for the rows of a COPY gets them. */
async function answered(client: RawClient, copyData = ''): Promise<readonly Message[]> {
  const answer: Message[] = []
  for (;;) {
    answer.push(...(await client.until('Z', 'G')))
    if (answer.at(-1)?.type === 'Z') return answer
    client.send(frame('d', Buffer.from(copyData)), frame('c'))
  }
}

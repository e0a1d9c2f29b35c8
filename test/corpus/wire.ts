import assert from 'node:assert/strict'
import { it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  bind,
  close,
  describePortal,
  describeStatement,
  execute,
  flush,
  parse,
  query,
  sync,
  terminate,
} from '../client-messages.ts'
import { frame, str, u16, u32, val } from '../frames-builder.ts'
import { fields, rawConnect, rawOpen, show, type RawClient } from '../raw-client.ts'
import type { Role } from './cases.ts'
import { targetOf, type Setting, type Stage } from './stage.ts'

type Kind = 'S' | 'P'

/** One step of a raw client: bytes, a message in words, or a pause in ms. */
export type WireStep = {
  readonly hex?: string
  readonly text?: string
  readonly text_hex?: string
  readonly wait?: number
  readonly pause?: boolean
  readonly destroy?: boolean
  readonly drip?: string
  readonly ms?: number
  readonly bulk_parse?: number
  readonly m?: string
  readonly sql?: string
  /** `[a, b, n, c, d, m, e]`: a, n times b, c, m times d, e. */
  readonly sql_rep?: readonly [string, string, number, string, string, number, string]
  readonly name?: string
  readonly portal?: string
  readonly stmt?: string
  readonly params?: readonly (string | null)[]
  readonly rf?: readonly number[]
  readonly kind?: Kind
  readonly max?: number
  readonly t?: string
  readonly body_hex?: string
  readonly fn?: string
  readonly args?: readonly string[]
}

/** One line of cases/wire.jsonl. */
export type WireCase = {
  readonly id: string
  readonly category: string
  readonly title: string
  /** After a login, or on a connection on which nothing was said. */
  readonly pre: 'auth' | 'raw'
  readonly send: readonly WireStep[]
  readonly safe: readonly Promised[]
  readonly secret?: readonly string[]
  readonly secret_hex?: readonly string[]
  readonly role?: Role
  readonly policy?: string
  readonly max_ms?: number
}

type Promised = 'no_secret' | 'refused' | 'closed' | 'alive' | 'no_effect' | 'ok'

/** One test for each case of the wire: what it promises holds. */
export function wireTests(stage: () => Stage, setting: Setting, cases: readonly WireCase[]): void {
  for (const one of cases) {
    it(`${one.id} ${one.category}: ${one.title}`, async () => {
      const state = stage().states[setting]
      const before = await state.fingerprint()
      const policy = one.policy ?? 'everything'
      const database = targetOf(one.policy === undefined ? setting : 'policy', one.role ?? 'agent')
      try {
        const held = await attempt(stage(), one, { database, policy })
        const kept: Readonly<Record<Promised, boolean>> = {
          ...held.kept,
          alive: await isAlive(stage(), targetOf(setting, 'agent')),
          no_effect: (await state.fingerprint()) === before,
        }
        assert.deepEqual(
          one.safe.filter((promise) => !kept[promise]),
          [],
          held.told,
        )
      } finally {
        await state.restore()
      }
    })
  }
}

type Attempt = {
  readonly kept: Pick<Record<Promised, boolean>, 'no_secret' | 'refused' | 'closed' | 'ok'>
  readonly told: string
}

async function attempt(stage: Stage, one: WireCase, as: { database: string; policy: string }): Promise<Attempt> {
  const password = await stage.token(as.policy)
  const client = one.pre === 'raw' ? await rawOpen(stage.port) : await rawConnect({ ...as, port: stage.port, password })
  await using _ = client
  const since = client.messages.length
  const raw: Buffer[] = []
  client.socket.on('data', (bytes: Buffer) => raw.push(bytes))
  for (const step of one.send) {
    if (client.socket.closed) break
    await say(stage, client, step)
  }
  await quiet(client, raw, one.max_ms ?? 1500)
  const closed = client.socket.closed
  const all = Buffer.concat(raw)
  const messages = one.pre === 'raw' ? [] : client.messages.slice(since)
  const errors = messages.filter(({ type }) => type === 'E').map(({ body }) => fields(body).get('C'))
  const found = [
    ...(one.secret ?? []).filter((secret) => all.includes(secret)),
    ...(one.secret_hex ?? []).filter((secret) => all.includes(Buffer.from(secret, 'hex'))),
  ]
  const refused = errors.length > 0 || closed || all.includes('FATAL')
  const told = `${show(messages).join(' | ').slice(0, 800)} ${closed ? 'closed' : 'open'} ${found.join()}`
  return { kept: { no_secret: found.length === 0, refused, closed, ok: !refused }, told }
}

async function say(stage: Stage, client: RawClient, step: WireStep): Promise<void> {
  if (step.wait !== undefined) await sleep(step.wait)
  else if (step.pause) client.socket.pause()
  else if (step.destroy) client.socket.destroy()
  else if (step.drip !== undefined) {
    for (const byte of Buffer.from(step.drip, 'hex')) {
      client.send(Buffer.of(byte))
      await sleep(step.ms ?? 0)
    }
  } else if (step.bulk_parse !== undefined) {
    const text = step.sql ?? ''
    client.send(...Array.from({ length: step.bulk_parse }, (_, n) => parse(text.replace('%d', String(n)), `s${n}`)))
  } else client.send(await encode(stage, step))
}

const bytesOf = (hex = ''): Buffer => Buffer.from(hex, 'hex')

async function encode(stage: Stage, step: WireStep): Promise<Buffer> {
  const { name = '', portal = '' } = step
  switch (step.m) {
    case undefined:
      return step.hex === undefined ? Buffer.from(step.text ?? '') : bytesOf(step.hex)
    case 'Q':
      return longQuery(step.sql_rep === undefined ? (step.sql ?? '') : repeated(step.sql_rep))
    case 'P':
      return parse(step.sql ?? '', name)
    case 'B':
      return bind({
        portal,
        statement: step.stmt ?? '',
        values: [...(step.params ?? [])],
        formats: [...(step.rf ?? [])],
      })
    case 'D':
      return step.kind === 'S' ? describeStatement(name) : describePortal(name)
    case 'C':
      return close(step.kind ?? 'S', name)
    case 'E':
      return execute(portal, step.max ?? 0)
    case 'S':
      return sync
    case 'H':
      return flush
    case 'X':
      return terminate
    case 'd':
      return frame('d', step.text_hex === undefined ? Buffer.from(step.text ?? '') : bytesOf(step.text_hex))
    case 'c':
      return frame('c')
    case 'f':
      return frame('f', str(step.text ?? ''))
    case 'raw':
      return frame(step.t ?? '', bytesOf(step.body_hex))
    case 'F':
      return functionCall(stage, step)
    default:
      throw new Error(`no such step: ${JSON.stringify(step)}`)
  }
}

const repeated = ([a, b, n, c, d, m, e]: NonNullable<WireStep['sql_rep']>): string =>
  a + b.repeat(n) + c + d.repeat(m) + e

/** The builder of tests lays out digit by digit, which is too slow for megabytes. */
function longQuery(text: string): Buffer {
  if (text.length < 10_000) return query(text)
  const body = Buffer.from(`${text}\0`)
  return Buffer.concat([Buffer.from('Q'), u32(4 + body.length), body])
}

async function functionCall(stage: Stage, { fn = '', args = [] }: WireStep): Promise<Buffer> {
  const url = stage.postgres.admin.replace(/postgres$/, 'shop')
  const [row] = await stage.postgres.query('SELECT $1::regprocedure::oid AS oid', [fn], url)
  return frame('F', u32(Number(row?.['oid'])), u16(0), u16(args.length), ...args.map(val), u16(0))
}

/** Until the other side has closed, or has said nothing for a while. */
async function quiet(client: RawClient, raw: readonly Buffer[], patience: number): Promise<void> {
  const deadline = performance.now() + patience
  for (let heard = -1; !client.socket.closed && performance.now() < deadline;) {
    if (heard === raw.length && raw.length > 0) return
    heard = raw.length
    await sleep(100)
  }
}

/** The gateway serves others. */
async function isAlive(stage: Stage, database: string): Promise<boolean> {
  const password = await stage.token('everything')
  await using client = await rawConnect({ port: stage.port, database, password })
  client.send(query('SELECT 7'))
  return show(await client.ready()).includes('D 7')
}

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, it } from 'node:test'
import { query } from '../client-messages.ts'
import { fields, rawConnect, show, type Message, type RawClient } from '../raw-client.ts'
import { startScene, type Scene, type SceneOptions } from '../scene.ts'

/** A text sent as a Query of its own, or messages sent in one write; either is answered before the next goes. */
export type Step = string | readonly Buffer[]

/** What a hostile client does, and what must come of it. */
export type Attack = {
  /** Reads as a sentence. */
  readonly title: string
  readonly steps: readonly Step[]
  /** The SQLSTATE that must be among the errors: `*` for any, `none` where nothing may fail. */
  readonly code?: string
  /** What it may change at the target by right; unless said, nothing. */
  readonly changes?: true
  /** Why it succeeds still. */
  readonly hole?: string
}

/** A scene in which only the gateway's own walls and the masking protect anything: range.sql, range.cedar. */
export async function startRange(options: SceneOptions = {}): Promise<Scene> {
  const policies = await readFile(join(import.meta.dirname, 'range.cedar'), 'utf8')
  const columns = ['secret', 'pin', 'born', 'profile'].map((column) => `public.people.${column}`)
  const target = { sensitive: { pii: [...columns, 'public.visits.secret', 'public.hatch.mark', 'public.marks.mark'] } }
  await using starting = new AsyncDisposableStack()
  const scene = starting.use(await startScene({ policies, target, ...options }))
  await scene.truth(await readFile(join(import.meta.dirname, 'range.sql'), 'utf8'))
  starting.move()
  return scene
}

/** A connection of an agent of these groups; nobody else's approvals are those of its `name`. */
export async function intrude(scene: Scene, groups: readonly string[] = ['free'], name = 'bot'): Promise<RawClient> {
  const token = await scene.token({ groups: [...groups], name: name.replaceAll(/\W/g, '-') })
  return rawConnect({ port: scene.gateway.postgres.port, password: token })
}

/** Takes each step after the answer to the one before; all that came. */
export async function take(client: RawClient, steps: readonly Step[]): Promise<readonly Message[]> {
  const answers: Message[] = []
  for (const step of steps) {
    const messages = typeof step === 'string' ? [query(step)] : step
    client.send(...messages)
    answers.push(...(await client.ready(messages.flatMap(readies).length)))
  }
  return answers
}

/** Types of the messages in a piece of wire that end in a ReadyForQuery. */
function readies(piece: Buffer): readonly number[] {
  const types: number[] = []
  for (let at = 0; at < piece.length; at += 1 + piece.readUInt32BE(at + 1)) types.push(piece[at]!)
  return types.filter((type) => type === 0x51 || type === 0x53 || type === 0x46)
}

/** SQLSTATEs of the errors among these; 42501 only where the gateway said it, not the target for want of a right. */
export function codes(messages: readonly Message[]): readonly string[] {
  return messages
    .filter(({ type }) => type === 'E')
    .map(({ body }) => fields(body))
    .map((error) => (error.get('C') === '42501' && !isRefusal(error) ? '42501 of the target' : (error.get('C') ?? '')))
}

function isRefusal(error: ReadonlyMap<string, string>): boolean {
  return error.get('D')?.startsWith('{"v":1,') ?? false
}

type Place = {
  /** Groups of the agent; `free` unless given. */
  readonly groups?: readonly string[]
  /** All rows on one connection, each in a transaction's end of its own: for rows that leave nothing behind. */
  readonly oneSession?: boolean
}

/** One test for each row of a table, each on a connection of its own unless said otherwise. */
export function attacks(scene: () => Scene, rows: readonly Attack[], place: Place = {}): void {
  let session: RawClient | undefined
  let truth: string | undefined
  after(() => session?.[Symbol.asyncDispose]())
  for (const row of rows) {
    it(row.title, { todo: row.hole ?? false }, async () => {
      if (!place.oneSession || session === undefined || session.socket.closed) {
        await session?.[Symbol.asyncDispose]()
        session = await intrude(scene(), place.groups)
      }
      const before = truth ?? (await fingerprint(scene()))
      truth = undefined
      truth = await attack(scene(), session, row, before)
    })
  }
}

/** Runs one row; the fingerprint after it, which is the one before unless the row may change something. */
async function attack(scene: Scene, client: RawClient, row: Attack, before: string): Promise<string> {
  const since = client.messages.length
  const answers = await take(client, row.steps)
  await assertAlive(client)
  assertCode(row, answers)
  assertNothingSecret(client, since)
  const now = await fingerprint(scene)
  if (!row.changes) assert.equal(now, before, `it changed something: ${told(answers)}`)
  return now
}

function assertCode({ code }: Attack, answers: readonly Message[]): void {
  if (code === 'none') assert.deepEqual(codes(answers), [], told(answers))
  else if (code !== undefined)
    assert.ok(
      codes(answers).some((each) => code === '*' || each === code),
      `no ${code}: ${told(answers)}`,
    )
}

const told = (messages: readonly Message[]): string => show(messages).join(' | ').slice(0, 600)

/** The session answers still. */
export async function assertAlive(client: RawClient): Promise<void> {
  await take(client, ['ROLLBACK'])
  const answer = show(await take(client, ['SELECT 7 AS alive']))
  assert.deepEqual(answer, ['T alive', 'D 7', 'C SELECT 1', 'Z I'])
}

const WORDS = ['zqvelvet', 'zqmarble', 'zqcopper']
/** In each text form, and as binary int4 and date (days since 2000-01-01). */
const SECRETS: readonly Buffer[] = [
  ...WORDS.flatMap((word) => [word, word.split('').toReversed().join(''), word.slice(0, 5)].flatMap(encodings)),
  ...['73519264', '91827364', '1815-12-10', '1906-12-09'].map((text) => Buffer.from(text)),
  ...[73519264, 91827364, -67227, -33991].map((value) => {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(value)
    return bytes
  }),
]

function encodings(word: string): readonly Buffer[] {
  const bytes = Buffer.from(word)
  return [word, bytes.toString('hex'), bytes.toString('base64').replace(/.?=*$/, '')].map((text) =>
    Buffer.from(text.toLowerCase()),
  )
}

/** No byte of any message since that one says a secret, whatever its case. */
export function assertNothingSecret(client: RawClient, since = 0): void {
  const heard = Buffer.concat(client.messages.slice(since).map(({ body }) => body))
  const lower = Buffer.from(heard.toString('latin1').toLowerCase(), 'latin1')
  const found = SECRETS.filter((secret) => heard.includes(secret) || lower.includes(secret))
  assert.deepEqual(found.map(String), [], told(client.messages.slice(since)))
}

const TABLES = [
  'people',
  'reach',
  'reach_kept',
  'vault',
  'vault_view',
  'kept',
  'base',
  'ledger',
  'attic.ledger',
  'decoy',
]
const OURS = `!~ '^(pg_|information_schema)'`
const TRUTH = [
  ...[...TABLES, 'visits', 'late'].map((table) => `SELECT '${table} ' || t::text AS line FROM ${table} t`),
  `SELECT oid::regclass || ' ' || relnamespace FROM pg_class WHERE relnamespace::regnamespace::text ${OURS}`,
  `SELECT oid::regprocedure || ' ' || proowner FROM pg_proc WHERE pronamespace::regnamespace::text ${OURS}`,
  `SELECT attrelid || attname FROM pg_attribute WHERE attrelid::regclass::text ${OURS}`,
  `SELECT nspname || coalesce(nspacl::text, '') FROM pg_namespace WHERE nspname ${OURS}`,
].join(' UNION ALL ')

/** Of all rows, relations, columns, routines and schemas of the shop. */
export async function fingerprint(scene: Scene): Promise<string> {
  const lines = await scene.truth(TRUTH)
  return createHash('sha256')
    .update(
      lines
        .map(({ line }) => String(line))
        .toSorted()
        .join('\n'),
    )
    .digest('hex')
}

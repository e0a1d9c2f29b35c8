import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { bind, describeStatement, execute, flush, parse, query, sync } from '../client-messages.ts'
import { intrude, knock, type HostileClient, type Target } from './hostile-client.ts'

/** What the attacker saw. */
export type Outcome = {
  /** Codes of the refusals it was sent, and SQLSTATEs of other errors. */
  readonly codes: readonly string[]
  /** How often it did what it does. */
  readonly times: number
  /** Whether its session still answers. */
  readonly alive: boolean
}

/** What an attack is told: it calls `begun` once it is under way, and ends soon after `going` says so. */
export type Campaign = Target & { readonly going: () => boolean; readonly begun: () => void }

export type Onslaught = (campaign: Campaign) => Promise<Outcome>

export type OnslaughtName = keyof typeof ONSLAUGHTS

/** A message built in one piece: the builder of tests is not for megabytes. */
function long(type: 'Q' | 'P', text: string): Buffer {
  const bytes = Buffer.from(type === 'Q' ? `Q....${text}\0` : `P....\0${text}\0\0\0`)
  bytes.writeUInt32BE(bytes.length - 1, 1)
  return bytes
}

/** With one parameter of so many bytes. */
function longBind(size: number): Buffer {
  const bytes = Buffer.alloc(1 + 4 + 2 + 2 + 2 + 4 + size + 2, 'x')
  bytes.write('B....\0\0\0\0\0\x01', 'latin1')
  bytes.writeUInt32BE(bytes.length - 1, 1)
  bytes.writeUInt32BE(size, 11)
  bytes.writeUInt16BE(0, bytes.length - 2)
  return bytes
}

const times = (count: number, ...messages: readonly Buffer[]): Buffer =>
  Buffer.concat(Array(count).fill(Buffer.concat(messages)))

const around = (open: string, depth: number, middle: string, shut: string): string =>
  open.repeat(depth) + middle + shut.repeat(depth)

/** Sends the text again and again, each time when the answer to the one before has come. */
function asking(text: string): Onslaught {
  return sending(() => long('Q', text))
}

/** Never the same bytes twice where `message` uses its turn: what is cached is no work. */
function sending(message: (turn: number) => Buffer, clients = 1): Onslaught {
  return async (campaign) => {
    const all = await Promise.all(Array.from({ length: clients }, () => intrude(campaign)))
    let turns = 0
    campaign.begun()
    await Promise.all(
      all.map(async (client) => {
        while (campaign.going() && !client.socket.destroyed) {
          const answered = client.ready()
          await client.flood(message(turns++))
          await answered
        }
      }),
    )
    return outcomeOf(all, turns)
  }
}

/** Sends without ever waiting for an answer, as fast as the other side takes it. */
function pouring(bytes: Buffer, before = Buffer.alloc(0)): Onslaught {
  return async (campaign) => {
    const client = await intrude(campaign)
    await client.flood(before)
    campaign.begun()
    let turns = 0
    for (; campaign.going() && !client.socket.destroyed; turns++) {
      await client.flood(bytes)
      await sleep(0)
    }
    return { codes: [...client.codes], times: turns, alive: !client.socket.destroyed }
  }
}

async function outcomeOf(clients: readonly HostileClient[], turns: number): Promise<Outcome> {
  const codes = [...new Set(clients.flatMap((client) => [...client.codes]))]
  const alive = (await Promise.all(clients.map((client) => client.alive()))).every(Boolean)
  return { codes, times: turns, alive }
}

/** Signs in and does nothing that one would wait for; the socket takes nothing off the wire. */
const deaf: Onslaught = async (campaign) => {
  const client = await intrude(campaign)
  client.socket.pause()
  client.socket.write(times(20, query('SELECT * FROM large')))
  campaign.begun()
  while (campaign.going()) await sleep(20)
  return { codes: [...client.codes], times: 1, alive: !client.socket.destroyed }
}

/** A long message, a byte at a time, from each of several clients. */
const dripping: Onslaught = async (campaign) => {
  const clients = await Promise.all(Array.from({ length: 8 }, () => intrude(campaign)))
  const message = query(`SELECT 1 -- ${'x'.repeat(1000)}`)
  campaign.begun()
  let at = 0
  for (; campaign.going(); at++) {
    for (const { socket } of clients) socket.write(message.subarray(at, at + 1))
    await sleep(50)
  }
  for (const { socket } of clients) socket.write(message.subarray(at))
  await Promise.all(clients.map((client) => client.ready()))
  return outcomeOf(clients, at)
}

/** What ends the session that sends it; then comes the next. `alive`: one was not ended. */
function ended(bytes: Buffer, then: 'and waits' | 'and leaves' = 'and waits'): Onslaught {
  return async (campaign) => {
    const codes = new Set<string>()
    let turns = 0
    campaign.begun()
    while (campaign.going()) {
      const client = await intrude(campaign)
      const closed = new Promise((resolve) => client.socket.once('close', resolve))
      await client.flood(bytes)
      if (then === 'and leaves') client.socket.destroy()
      const late = sleep(5_000, 'late')
      if ((await Promise.race([closed, late])) === 'late') return { codes: [...codes], times: turns, alive: true }
      for (const code of client.codes) codes.add(code)
      turns++
      await sleep(50)
    }
    return { codes: [...codes], times: turns, alive: false }
  }
}

/** 10,000 connections that say nothing: 50 from each of many addresses. What is closed at once is not tried again. */
async function silence({ port, going, begun }: Campaign): Promise<Outcome> {
  const sockets: Socket[] = []
  const open = (): number => sockets.filter(({ destroyed }) => !destroyed).length
  for (let round = 0; round < 50; round++) {
    for (let address = 1; address <= 200; address++) sockets.push(knock(port, `127.0.9.${address}`))
    await sleep(10)
    if (round === 10) begun()
  }
  while (going()) await sleep(20)
  return { codes: [], times: sockets.length, alive: open() > 0 }
}

const select = bind({ statement: 's' })

export const ONSLAUGHTS = {
  'a statement of 9 MiB': asking(`DROP TABLE orders -- ${'x'.repeat(9 << 20)}`),
  'a Parse of 9 MiB': sending(() => Buffer.concat([long('P', `DROP TABLE orders -- ${'x'.repeat(9 << 20)}`), sync])),
  'a sum of 100,001': asking(`SELECT 1${'+1'.repeat(100_000)}`),
  'parentheses 100,000 deep': asking(`SELECT ${around('(', 100_000, '1', ')')}`),
  'sub-selects 2,000 deep': asking(`SELECT ${around('(SELECT ', 2_000, '1', ')')}`),
  'a list of 200,000': asking(`SELECT id FROM orders WHERE id IN (1${',1'.repeat(200_000)})`),
  '100,000 statements': asking('SELECT 1;'.repeat(100_000)),
  '5,000 relations': sending((turn) =>
    long('Q', `SELECT 1 FROM ${Array.from({ length: 5_000 }, (_, i) => `n${turn}_${i}`).join()}`),
  ),
  '5,000 functions': sending((turn) =>
    long('Q', `SELECT ${Array.from({ length: 5_000 }, (_, i) => `f${turn}_${i}()`).join()}`),
  ),
  'a Bind of 60 MiB': sending(() => Buffer.concat([parse('SELECT length($1)'), longBind(60 << 20), execute(), sync])),
  'expensive texts from 8 clients': sending((turn) => long('Q', `SELECT ${turn}${'+1'.repeat(4_000)}`), 8),
  'expensive short texts from 8 clients': sending(
    (turn) =>
      long(
        'Q',
        `SELECT 1 AS n${turn} FROM ${Array.from({ length: 99 }, (_, i) => `orders o${i}`).join()} WHERE ${Array.from({ length: 98 }, (_, i) => `o${i}.id=o${i + 1}.id`).join(' AND ')} AND false`,
      ),
    8,
  ),
  'a flood of Syncs': pouring(times(1_000, sync)),
  'a flood of Flushes': pouring(times(1_000, flush)),
  'a flood of Describes': pouring(times(500, describeStatement('s')), Buffer.concat([parse('SELECT 1', 's'), sync])),
  'a flood of small Queries': pouring(times(500, query('SELECT 1'))),
  'a flood of empty Queries': pouring(times(500, query(''))),
  'a pipeline without Sync': pouring(times(200, select, execute()), Buffer.concat([parse('SELECT 1', 's'), sync])),
  'a pipeline of Parses': pouring(times(200, parse('SELECT 1'))),
  'messages for no COPY': pouring(times(1_000, Buffer.from('d\0\0\0\x04', 'latin1'))),
  'a client that reads nothing': deaf,
  'a byte at a time': dripping,
  'a NUL in a text': ended(long('Q', 'SELECT 1\0; DROP TABLE orders')),
  'a negative length': ended(Buffer.from('Q\xff\xff\xff\xff', 'latin1')),
  'a length of 2 GiB': ended(Buffer.from('P\x7f\xff\xff\xff', 'latin1')),
  'a length below itself': ended(Buffer.from('B\0\0\0\x03', 'latin1')),
  'half a message': ended(Buffer.from('Q\0\x0f\xff\xff SELECT 1', 'latin1'), 'and leaves'),
  'silence from 200 addresses': silence,
} satisfies Readonly<Record<string, Onslaught>>

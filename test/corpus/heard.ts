import { fields, type Message } from '../raw-client.ts'
import type { Case, Channel } from './cases.ts'

/** All that a client was told, in the ways a leak can stand in it. */
export type Heard = {
  readonly channels: Readonly<Record<Exclude<Channel, 'timing'>, Buffer>>
  /** SQLSTATE and text of each error. */
  readonly errors: readonly string[]
  readonly states: readonly string[]
  /** Errors that the gateway gave as its own decisions. */
  readonly refusals: number
  readonly rows: number
  /** What ended the play before its last answer: a closed connection, or no answer. */
  readonly failure?: unknown
  readonly elapsedMs: number
  /** A line or two for a failed test. */
  readonly told: string
}

type Played = Pick<Heard, 'failure' | 'elapsedMs'>

/** What the messages of these connections say, from the end of each one's authentication on. */
export function hear(connections: readonly (readonly Message[])[], played: Played): Heard {
  const messages = connections.flatMap(afterLogin)
  const bodies = (...types: readonly string[]): readonly Buffer[] =>
    messages.filter(({ type }) => types.includes(type)).map(({ body }) => body)
  const errors = bodies('E').map(fields)
  const values = bodies('D').map(cells)
  const copied = messages.flatMap(({ type, body }) =>
    type === 'D' ? cells(body) : type === 'd' ? [body] : [body.subarray(4)].filter(() => type === 'V'),
  )
  const states = errors.map((error) => error.get('C') ?? '')
  const notices = [...bodies('N').map(fields), ...errors].map((field) => field.get('M') ?? '')
  const counts = bodies('C').map((body) => /\d+$/.exec(text(body).slice(0, -1))?.[0] ?? '')
  return {
    channels: {
      stream: Buffer.concat(messages.flatMap(({ body }) => [body, Buffer.from('\n')])),
      joined: Buffer.concat(copied),
      names: Buffer.from(bodies('T').flatMap(columnNames).join('')),
      sqlstate: Buffer.from(states.join('')),
      counts: Buffer.from(counts.join(',')),
      messages: Buffer.from(notices.join('')),
      lengths: Buffer.from(
        values
          .flat()
          .map((value) => value.length)
          .join(','),
      ),
    },
    errors: errors.map((error) => `${error.get('C')} ${error.get('M')}`),
    states,
    refusals: errors.filter((error) => error.get('D')?.startsWith('{"v":1,')).length,
    rows: values.length,
    ...played,
    told: tell(messages, played),
  }
}

/** What authentication and the session's key say is no answer; parameters are, once the first ReadyForQuery was there. */
function afterLogin(messages: readonly Message[]): readonly Message[] {
  const ready = messages.findIndex(({ type }) => type === 'Z')
  return messages.filter(({ type }, at) => type !== 'R' && type !== 'K' && (type !== 'S' || at > ready))
}

/** The part of a case's secrets that is in the answers: empty where nothing leaks. */
export function leaks(one: Case, heard: Heard): readonly string[] {
  const { stream } = heard.channels
  const raw = (one.secret ?? []).filter((secret) => stream.includes(secret))
  const hex = (one.leak_hex ?? []).filter((bytes) => stream.includes(Buffer.from(bytes, 'hex')))
  if (one.leak_check === 'timing') {
    // Refused, nothing was measured; run, the time it took is the value.
    const slow = heard.refusals === 0 && heard.elapsedMs >= (one.leak_ms ?? 0)
    return slow ? [...raw, `${Math.round(heard.elapsedMs)} ms`] : raw
  }
  const channel = heard.channels[one.leak_check ?? 'stream']
  const signs = (one.leak ?? []).length > 0 ? one.leak! : (one.secret ?? [])
  return [...new Set([...raw, ...hex, ...signs.filter((sign) => channel.includes(sign))])]
}

const text = (body: Buffer): string => body.toString('utf8')

function cells(body: Buffer): readonly Buffer[] {
  const found: Buffer[] = []
  let at = 2
  for (let left = body.readInt16BE(0); left > 0; left--) {
    const length = body.readInt32BE(at)
    if (length >= 0) found.push(body.subarray(at + 4, at + 4 + length))
    at += 4 + Math.max(length, 0)
  }
  return found
}

function columnNames(body: Buffer): readonly string[] {
  const names: string[] = []
  let at = 2
  for (let left = body.readInt16BE(0); left > 0; left--) {
    const end = body.indexOf(0, at)
    names.push(body.toString('utf8', at, end))
    at = end + 19
  }
  return names
}

function tell(messages: readonly Message[], { failure }: Played): string {
  const lines = messages.map(({ type, body }) => {
    if (type === 'E' || type === 'N') return `${type} ${fields(body).get('C')} ${fields(body).get('M')}`
    if (type === 'D') return `D ${cells(body).map(text).join('|')}`.slice(0, 120)
    return type === 'C' ? `C ${text(body).slice(0, -1)}` : type
  })
  return `${lines.join('\n').slice(0, 1200)}${failure === undefined ? '' : `\n${failure instanceof Error ? failure.message : 'failed'}`}`
}

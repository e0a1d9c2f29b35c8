import { createHash } from 'node:crypto'
import { escapeIdentifier, escapeLiteral } from 'pg'
import { z } from 'zod'
import type { Identity, SessionId } from '../gateway/domain.ts'
import { Fault } from '../gateway/fault.ts'
import type { LeaseRequest } from '../grants/lease.ts'
import { actChain, identityId } from '../gateway/identity.ts'

/** The SQL that makes a session's role, and the comment by which the role is known again. No connection here. */

export const quoteName: (name: string) => string = escapeIdentifier
export const quoteText: (text: string) => string = escapeLiteral

export function rolePrefix(installation: string): string {
  if (!/^[0-9a-f]{8}$/.test(installation)) throw new Fault('config', 'An installation id is 8 hex digits.')
  return `sp_${installation}_`
}

/**
 * `sp_<installation>_<uuid of the session, 32 hex digits>_<agent>_<person>`, in the 63 bytes that PostgreSQL keeps. Its log
 * says the role of every line (`%u`), so the log says who it was; the comment of the role and the records say it in full.
 */
export function roleName(installation: string, { session, identity }: RoleOf): string {
  const uuid = session.slice('ses_'.length).replaceAll('-', '')
  if (!/^[0-9a-f]{32}$/.test(uuid)) throw new Fault('lease', 'A session id is ses_ and a UUID.')
  const [agent, person] = namesOf(identity).map(readable)
  const names = agent && person ? [agent.slice(0, 9), person.slice(0, 8)] : [(agent || person || '').slice(0, 18)]
  return [rolePrefix(installation) + uuid, ...names.filter((name) => name !== '')].join('_')
}

type RoleOf = Pick<LeaseRequest, 'session' | 'identity'>

/** Who acts, and the person behind, by the names that people know best. */
function namesOf(identity: Identity): readonly string[] {
  const root = actChain(identity).at(-1)!
  const person = root.person ?? (root.kind === 'User' ? root.subject : '')
  return [identity.kind === 'User' ? '' : identity.subject, person.replace(/@.*/s, '')]
}

/** What needs no quotes in SQL. */
function readable(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
}

export type RoleStatement = {
  readonly role: string
  /** A SCRAM-SHA-256 verifier, never the password. */
  readonly verifier: string
  readonly memberOf: readonly string[]
  readonly installation: string
  readonly request: LeaseRequest
  /** `server_version_num`. */
  readonly version: number
  /** Taken before anything else, until the role is made. */
  readonly lock?: string
}

/**
 * One connection for the session, and one because a connection that was cut still counts until its backend has noticed.
 */
const CONNECTION_LIMIT = 2

/** Everything in one text, so that PostgreSQL makes one transaction of it. */
export function createRole(statement: RoleStatement): string {
  const { role, verifier, memberOf, installation, request, version, lock } = statement
  const name = quoteName(role)
  return [
    ...(lock === undefined ? [] : [lock]),
    `CREATE ROLE ${name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT ` +
      `CONNECTION LIMIT ${CONNECTION_LIMIT} PASSWORD ${quoteText(verifier)} ` +
      `VALID UNTIL ${quoteText(new Date(request.expiresAt).toISOString())}`,
    ...memberOf.toSorted().map((group) => grantMembership(group, name, version)),
    `COMMENT ON ROLE ${name} IS ${quoteText(writeComment(installation, request))}`,
  ].join(';\n')
}

/**
 * The rights of `group` but not its name: without SET, what a session creates can belong to nobody but itself. `member` is
 * a quoted name or CURRENT_USER; PostgreSQL 15 knows no such options.
 */
export function grantMembership(group: string, member: string, version: number): string {
  const options = version >= 160_000 ? ' WITH INHERIT TRUE, SET FALSE' : ''
  return `GRANT ${quoteName(group)} TO ${member}${options}`
}

const MARK = 'sallyport '
const Comment = z.object({ installation: z.string(), session: z.templateLiteral(['ses_', z.string()]) })

/**
 * `sallyport {"installation":…,"session":…,"target":…,"who":["Agent corp/bot","User corp/ann"],"person":"ann@example.com"}`.
 * Printable ASCII whatever the identity says, so that it fits every server encoding and cannot play tricks on a terminal.
 */
export function writeComment(installation: string, request: LeaseRequest): string {
  const { session, target, identity } = request
  const chain = chainOf(identity)
  const person = chain.find((one) => one.person !== undefined)?.person
  return writeMark({
    installation,
    session,
    target,
    who: chain.map(nameOf),
    person: person && shortened(person),
  })
}

/** A comment that says whose a thing at the target is. */
export function writeMark(content: object): string {
  const json = JSON.stringify(content)
  return MARK + json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** The session that a role of this installation was made for; undefined when it is no role of ours. */
export function readComment(comment: unknown, installation: string): SessionId | undefined {
  const parsed = Comment.safeParse(readMark(comment))
  return parsed.success && parsed.data.installation === installation ? parsed.data.session : undefined
}

/** What such a comment says; undefined when it is none. */
export function readMark(comment: unknown): unknown {
  if (typeof comment !== 'string' || !comment.startsWith(MARK)) return undefined
  return parseJson(comment.slice(MARK.length))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function chainOf(identity: Identity): readonly Identity[] {
  const chain: Identity[] = []
  for (let one: Identity | undefined = identity; one !== undefined && chain.length < 8; one = one.onBehalfOf)
    chain.push(one)
  return chain
}

const LONGEST_NAME = 200

function nameOf(identity: Identity): string {
  return shortened(`${identity.kind} ${identityId(identity)}`)
}

/** Cut when long, with a hash of the whole, so that two long names stay two. */
function shortened(name: string): string {
  if (name.length <= LONGEST_NAME) return name
  return `${name.slice(0, LONGEST_NAME)}… sha256:${createHash('sha256').update(name).digest('hex').slice(0, 16)}`
}

import type { Operation, Refusal, Touch } from '../../gateway/domain.ts'
import { Fault } from '../../gateway/fault.ts'
import { newId } from '../../gateway/ids.ts'
import { refuse } from '../../gateway/refusals.ts'
import { soon, type Soon } from '../../gateway/source.ts'
import type { Reading, SessionName, Statement } from '../../sql/reader.ts'
import { isSystemSchema } from '../../sql/system-relations.ts'
import type { Connection } from './connection.ts'
import type { Portal, Prepared } from './portals.ts'
import { copyObjection } from './copy-out.ts'
import { creationObjection } from './creations.ts'
import { digestOf } from './meaning.ts'
import { nameOf } from './name-moves.ts'
import type { Proposal } from './names.ts'
import type { PostgresTarget } from './postgres-target.ts'
import { unknownName, senseOf, type Found, type Sense } from './sense.ts'

/** A text read, with the session's own names resolved. */
export type Understood = Sense & {
  readonly text: string
  /** As it goes to the target, when that is another text. */
  readonly sent?: string | undefined
  /** Changes to session names, each with the place of its statement in the text. */
  readonly proposals: readonly { readonly statement: number; readonly proposal: Proposal }[]
  /** Its texts and where they are for, as they enter the digest; once one was asked for. */
  named?: string
  /** `MovingNames.now` of when that was; absent where no names are looked up when it runs. */
  readonly readAt?: number
}

/** Reads a text against the target's catalog as it is now. */
export function understand(connection: Connection, text: string): Soon<Understood> {
  const readAt = connection.target.moving.now
  return soon(readFresh(connection, text), (reading) => {
    if ('objection' in reading) return unreadable(connection.target.resource, text, reading)
    if (reading.statements.some(({ uses }) => uses)) return resolved(connection, text, reading, readAt)
    const sent = reading.rewritten
    return followed(connection, { ...plainSense(connection.target, reading), text, sent, proposals: [], readAt })
  })
}

async function resolved(connection: Connection, text: string, reading: Read, readAt: number): Promise<Understood> {
  const understood = await resolve(connection, text, reading.statements)
  return followed(connection, { ...understood, sent: reading.rewritten, readAt })
}

type Read = Extract<Reading, { statements: unknown }>

/** Of a text that uses no session names: the same for every session. */
function plainSense(target: PostgresTarget, reading: Read): Sense {
  const known = target.senses.get(reading)
  if (known) return known
  const { statements } = reading
  const touches = statements.flatMap((statement) => statement.touches)
  const objection = statements.find((statement) => statement.objection)?.objection
  const found =
    objection && touches.length === 0
      ? { ...untold(target.resource), objection }
      : {
          statements,
          touches,
          objection: objection ?? ownObjection(target, touches, statements),
          used: [],
          usedTexts: [],
          hides: statements.map(({ hides }) => hides),
        }
  const sense = senseOf(found)
  target.senses.set(reading, sense)
  return sense
}

/** What this target does not allow, whatever the policy says. */
function ownObjection(
  target: PostgresTarget,
  touches: readonly Touch[],
  statements: readonly Statement[],
): Refusal | undefined {
  return creationObjection(target, touches) ?? copyObjection(target, statements)
}

function followed(connection: Connection, understood: Understood): Understood {
  connection.meaning.follow(understood)
  return understood
}

/** Read again by a catalog of this moment, where an older one may not do. */
function readFresh(connection: Connection, text: string): Soon<Reading> {
  return soon(read(connection, text), (reading) => {
    if ('objection' in reading || !needsFresh(connection, reading)) return reading
    connection.target.catalog.expire()
    return read(connection, text)
  })
}

function needsFresh(connection: Connection, reading: Pick<Read, 'statements'>): boolean {
  return sendsUnmasked(connection, reading) || namesUnknown(connection, reading)
}

/** Rows of a COPY carry no origin that would be masked. */
function sendsUnmasked({ session }: Connection, { statements }: Pick<Read, 'statements'>): boolean {
  return session.opening.hidden.length > 0 && statements.some(({ copy }) => copy?.direction === 'out')
}

/**
 * A relation that the catalog does not have may have been made since, by somebody else, to show any other. That of an open
 * target never has the system's own.
 */
function namesUnknown({ target, nameChanges }: Connection, { statements }: Pick<Read, 'statements'>): boolean {
  const leftOut = ({ id }: Touch['resource']): boolean => target.open && isSystemSchema(schemaOf(id))
  const unknown = statements.flatMap(({ touches }) =>
    touches.filter(({ resource: own }) => own.type === 'Table' && !target.catalog.knows(own.id) && !leftOut(own)),
  )
  if (unknown.length === 0) return false
  const own = [...nameChanges, ...statements.flatMap((statement) => statement.nameChanges)].map(({ name }) => name)
  return unknown.some(({ resource }) => !own.includes(nameOf(resource.id)))
}

const schemaOf = (id: string): string => id.slice(id.indexOf('/') + 1, id.indexOf('.'))

function read(connection: Connection, text: string): Soon<Reading> {
  const { target, session, meaning, nameChanges, wall } = connection
  const { id, hidden, lease } = session.opening
  const { searchPath } = meaning
  const others = target.moving.others(session)
  const changed = others.length === 0 ? nameChanges : [...nameChanges, ...others]
  return target.read({ text, target: target.name, searchPath, hidden, wall, changed, caller: id }, lease.name)
}

/** What the client asked in a message that the gateway does not take at all. */
export function unreadable(
  resource: Touch['resource'],
  text: string,
  { objection }: { objection: Refusal },
): Understood {
  return { ...senseOf({ ...untold(resource), objection }), text, proposals: [] }
}

/** What it touches cannot be told. */
function untold(resource: Touch['resource']): Found {
  const facts = { unbounded: true, args: {}, own: {} }
  return { statements: [], touches: [{ action: 'sql.unknown', resource, facts }], used: [], usedTexts: [], hides: [] }
}

async function resolve(connection: Connection, text: string, statements: readonly Statement[]): Promise<Understood> {
  const used: Prepared[] = []
  const hides = statements.map((statement) => statement.hides)
  const proposals: { statement: number; proposal: Proposal }[] = []
  const unknown: Touch[] = []
  let objection = statements.find((statement) => statement.objection)?.objection
  for (const [place, { uses }] of statements.entries()) {
    const name = uses && (await use(connection, uses, text, place))
    if (name === undefined) continue
    if (name === 'unknown' && connection.target.open) unknown.push(unknownName(connection.target.resource))
    else if (name === 'unknown') objection ??= noSuchName(uses!)
    else if ('confirm' in name) proposals.push({ statement: place, proposal: name })
    else if (!name.statement?.touches.length) objection ??= tooDeep
    else {
      used.push(name)
      if (statements[place]!.node !== 'ExplainStmt') hides[place] = name.statement.hides
    }
  }
  const inner = used.flatMap(({ statement }) => statement ?? [])
  const touches = [...[...statements, ...inner].flatMap((statement) => statement.touches), ...unknown]
  objection ??= inner.find((statement) => statement.objection)?.objection
  if (objection && touches.length === 0)
    return { ...unreadable(connection.target.resource, text, { objection }), proposals }
  const sense = senseOf({
    statements,
    touches,
    objection: objection ?? ownObjection(connection.target, touches, statements),
    used: inner,
    usedTexts: used.map((prepared) => textOf(prepared)),
    hides,
  })
  return { ...sense, text, proposals }
}

/** What a session name stands for, or what the statement would do to it. */
async function use(
  connection: Connection,
  uses: SessionName,
  text: string,
  place: number,
): Promise<Prepared | 'unknown' | Proposal> {
  const { statements, portals, batch } = connection
  switch (uses.does) {
    case 'prepare':
      return statements.propose(uses.name, { text, statement: uses.statement, place }, batch)
    case 'declare':
      return portals.propose(uses.name, cursor({ text, statement: uses.statement, place }), batch)
    case 'execute':
      return renewed(connection, await look(connection, 'statements', uses.name))
    case 'fetch':
      return (await look(connection, 'portals', uses.name))?.prepared ?? 'unknown'
    case 'deallocate':
      return statements.propose(uses.name, undefined, batch)
    case 'close':
      return portals.propose(uses.name, undefined, batch)
    case 'forget':
      return both(statements.propose(null, undefined, batch), portals.propose(null, undefined, batch))
    default:
      throw new Error(uses satisfies never)
  }
}

function both(one: Proposal, other: Proposal): Proposal {
  return {
    confirm: () => [one, other].forEach((proposal) => proposal.confirm()),
    drop: () => [one, other].forEach((proposal) => proposal.drop()),
  }
}

/** The target plans a prepared statement anew when names mean something else by now: so it is read anew as well. */
async function renewed(connection: Connection, prepared: Prepared | undefined): Promise<Prepared | 'unknown'> {
  if (!prepared) return 'unknown'
  const reading = await read(connection, prepared.text)
  if ('objection' in reading) return 'unknown'
  const statement = reading.statements[prepared.place ?? 0]
  return { ...prepared, statement: prepared.place === undefined ? statement : madeBy(statement) }
}

/** What a PREPARE or a DECLARE makes. */
function madeBy(statement: Statement | undefined): Statement | undefined {
  const uses = statement?.uses
  return uses?.does === 'prepare' || uses?.does === 'declare' ? uses.statement : undefined
}

function cursor(prepared: Prepared): Portal {
  return { prepared, parameters: [], started: false }
}

/** A text of several statements may make several: which of them is part of the meaning. No SQL begins like this. */
function textOf({ text, place }: Prepared): string {
  return place === undefined ? text : `statement ${place + 1} of: ${text}`
}

/** What it would do now to run a portal: of a statement prepared on the wire or by SQL, or a cursor. */
export function understandPortal(connection: Connection, { prepared, bind }: Portal): Soon<Understood> {
  const { text, place } = prepared
  if (place === undefined)
    return soon(
      connection.target.catalog.get(),
      () => recalled(connection, prepared) ?? remembered(connection, prepared),
    )
  // The names in a cursor's query were looked up when it was declared.
  if (bind === undefined) return understoodMade(connection, prepared, place)
  const readAt = connection.target.moving.now
  return renewed(connection, prepared).then((again) => ({
    ...understoodMade(connection, again === 'unknown' ? { text } : again, place),
    readAt,
  }))
}

/** How a statement was understood last, and what that hangs on: good as long as all of it is the same. */
export type Recent = {
  readonly understood: Understood
  readonly version: string | undefined
  readonly searchPath: Connection['meaning']['searchPath']
  readonly nameChanges: Connection['nameChanges']
}

function recalled(connection: Connection, { recent }: Prepared): Understood | undefined {
  const { meaning, nameChanges, target } = connection
  const isSame =
    recent !== undefined &&
    recent.understood.readAt === target.moving.now &&
    recent.version === target.catalog.version &&
    recent.searchPath === meaning.searchPath &&
    recent.nameChanges === nameChanges
  return isSame ? followed(connection, recent.understood) : undefined
}

/** Only what is known at once was surely read by what holds now. */
function remembered(connection: Connection, prepared: Prepared): Soon<Understood> {
  const understood = understand(connection, prepared.text)
  if (understood instanceof Promise || !lasts(connection, understood)) return understood
  const { meaning, nameChanges, target } = connection
  const { version } = target.catalog
  prepared.recent = { understood, version, searchPath: meaning.searchPath, nameChanges }
  return understood
}

/** Names of the session may mean something else each time, and some texts are read by a catalog of the moment each time. */
function lasts(connection: Connection, understood: Understood): boolean {
  const { objection, statements } = understood
  const hangsOnNames = statements.some(({ uses }) => uses)
  return !objection && !hangsOnNames && !needsFresh(connection, understood)
}

function understoodMade(connection: Connection, { text, statement }: Prepared, place: number): Understood {
  if (!statement?.touches.length) return unreadable(connection.target.resource, text, { objection: tooDeep })
  const { touches } = statement
  const objection = statement.objection ?? creationObjection(connection.target, touches)
  const usedTexts = [`statement ${place + 1} of this`]
  const sense = senseOf({ touches, objection, statements: [statement], used: [], usedTexts, hides: [statement.hides] })
  return followed(connection, { ...sense, text, proposals: [] })
}

/** What a name stands for at the target; waits where a change of it is still unanswered. */
export function look<K extends 'statements' | 'portals'>(
  connection: Connection,
  kind: K,
  name: string,
): Soon<(K extends 'statements' ? Prepared : Portal) | undefined> {
  const names = connection[kind]
  const known = names.look(name, connection.batch)
  if (known !== null) return known as never
  return connection.caughtUp().then(() => (names.look(name, connection.batch) ?? undefined) as never)
}

const tooDeep = refuse('unreadable', 'What was prepared runs nothing, or something else that was prepared.', [
  { do: 'change', hint: 'Send the statement itself.' },
])

function noSuchName(uses: SessionName): Refusal {
  const name = 'name' in uses ? `"${uses.name}" ` : ''
  const what = uses.does === 'execute' ? 'prepared statement' : 'cursor'
  return refuse(
    'unreadable',
    `The gateway knows no ${what} ${name}of this session, so it cannot tell what this would do.`,
    [{ do: 'change', hint: `Make the ${what} again in this session.` }],
  )
}

/** The operation that a text is. `portal`: the one it runs in, with its parameters. */
export function operationOf(
  connection: Connection,
  understood: Understood,
  stage: Operation['stage'],
  portal?: Portal,
): Operation {
  const { session, answers } = connection
  const { text, sent, touches, objection, usedTexts } = understood
  if (!isSome(touches)) throw new Fault('protocol', 'the gateway cannot tell what a statement touches')
  if (answers.quiet) connection.transactionMayChange = false
  const inTransaction = answers.status !== 'I' || connection.unsettled.operations > 0 || connection.transactionMayChange
  const certain = answers.quiet && answers.status === 'T'
  return {
    id: newId('op', session.core.clock.now()),
    stage,
    touches,
    text: usedTexts.length === 0 ? text : [text, ...usedTexts.map((used) => `-- runs: ${used}`)].join('\n'),
    ...(sent !== undefined && { sent }),
    parameters: portal?.parameters,
    digest: digestOf(connection, understood, stage, portal),
    effect: certain ? understood.effectInBlock : understood.effect,
    inTransaction,
    objection,
  }
}

function isSome(touches: readonly Touch[]): touches is readonly [Touch, ...Touch[]] {
  return touches.length > 0
}

import { createHash } from 'node:crypto'
import type { Digest, Effect, Operation, Refusal, Touch } from '../../gateway/domain.ts'
import { newId } from '../../gateway/ids.ts'
import { refuse } from '../../gateway/refusals.ts'
import type { Reading, SessionName, Statement } from '../../sql/reader.ts'
import type { Connection, Portal, Prepared } from './connection.ts'
import { creationObjection } from './creations.ts'
import type { Proposal } from './names.ts'

/** A text read, with the session's own names resolved. */
export type Understood = {
  readonly text: string
  readonly statements: readonly Statement[]
  readonly touches: readonly Touch[]
  readonly objection?: Refusal
  /** The prepared statements and cursors it runs, and the texts that made them: part of its meaning. */
  readonly used: readonly Statement[]
  readonly usedTexts: readonly string[]
  /** Changes to session names, each with the place of its statement in the text. */
  readonly proposals: readonly { readonly statement: number; readonly proposal: Proposal }[]
}

/** Reads a text against the target's catalog as it is now. */
export async function understand(connection: Connection, text: string): Promise<Understood> {
  const reading = await read(connection, text)
  if ('objection' in reading) return unreadable(connection.target.resource, text, reading)
  const understood = await resolve(connection, text, reading.statements)
  if ([...reading.statements, ...understood.used].some(({ changesSearchPath }) => changesSearchPath)) {
    connection.searchPath = undefined
    connection.searchPathChanges.push([text, ...understood.usedTexts].join('\n'))
  }
  return understood
}

function read({ target, session, searchPath }: Connection, text: string): Promise<Reading> {
  return target.read({ text, target: target.name, searchPath, hidden: session.opening.hidden })
}

/** What the client asked in a message that the gateway does not take at all. */
export function unreadable(
  resource: Touch['resource'],
  text: string,
  { objection }: { objection: Refusal },
): Understood {
  const facts = { unbounded: true, args: {}, own: {} }
  return {
    text,
    statements: [],
    touches: [{ action: 'sql.unknown', resource, facts }],
    objection,
    used: [],
    usedTexts: [],
    proposals: [],
  }
}

async function resolve(connection: Connection, text: string, statements: readonly Statement[]): Promise<Understood> {
  const used: Prepared[] = []
  const proposals: { statement: number; proposal: Proposal }[] = []
  let objection = statements.find((statement) => statement.objection)?.objection
  for (const [place, { uses }] of statements.entries()) {
    const name = uses && (await use(connection, uses, text))
    if (name === undefined) continue
    if (name === 'unknown') objection ??= noSuchName(uses!)
    else if ('confirm' in name) proposals.push({ statement: place, proposal: name })
    else used.push(name)
  }
  const inner = used.flatMap(({ statement }) => statement ?? [])
  const touches = [...statements, ...inner].flatMap(({ touches }) => touches)
  objection ??= inner.find((statement) => statement.objection)?.objection
  return {
    text,
    statements,
    touches,
    objection: objection ?? creationObjection(connection.target, touches),
    used: inner,
    usedTexts: used.map((prepared) => prepared.text),
    proposals,
  }
}

/** What a session name stands for, or what the statement would do to it. */
async function use(connection: Connection, uses: SessionName, text: string): Promise<Prepared | 'unknown' | Proposal> {
  const { statements, portals, batch } = connection
  switch (uses.does) {
    case 'prepare':
      return statements.propose(uses.name, { text, statement: uses.statement }, batch)
    case 'declare':
      return portals.propose(uses.name, cursor(text, uses.statement), batch)
    case 'execute':
      return renewed(connection, await look(connection, 'statements', uses.name), uses.name)
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
async function renewed(
  connection: Connection,
  prepared: Prepared | undefined,
  name: string,
): Promise<Prepared | 'unknown'> {
  if (!prepared) return 'unknown'
  const reading = await read(connection, prepared.text)
  if ('objection' in reading) return 'unknown'
  const made = reading.statements
    .map(({ uses }) => uses)
    .findLast((uses) => uses?.does === 'prepare' && uses.name === name)
  const statement = made?.does === 'prepare' ? made.statement : reading.statements[0]
  return { text: prepared.text, statement }
}

function cursor(text: string, statement: Statement): Portal {
  return { prepared: { text, statement }, parameters: [], described: false, started: false }
}

/** What a name stands for at the target; waits where a change of it is still unanswered. */
export async function look<K extends 'statements' | 'portals'>(
  connection: Connection,
  kind: K,
  name: string,
): Promise<(K extends 'statements' ? Prepared : Portal) | undefined> {
  const names = connection[kind]
  if (names.look(name, connection.batch) === null) await connection.answers.idle()
  return (names.look(name, connection.batch) ?? undefined) as never
}

function noSuchName(uses: SessionName): Refusal {
  const name = 'name' in uses ? `"${uses.name}" ` : ''
  const what = uses.does === 'execute' ? 'prepared statement' : 'cursor'
  return refuse(
    'unreadable',
    `The gateway knows no ${what} ${name}of this session, so it cannot tell what this would do.`,
    [{ do: 'change', hint: `Make the ${what} again in this session.` }],
  )
}

/** The operation that a text is. `touches` must not be empty. */
export function operationOf(
  connection: Connection,
  { text, statements, touches, objection, used, usedTexts }: Understood,
  stage: Operation['stage'],
  parameters?: readonly (string | null)[],
): Operation {
  const { session, answers, target } = connection
  if (answers.quiet) connection.transactionMayChange = false
  const inTransaction = answers.status !== 'I' || connection.unsettled.operations > 0 || connection.transactionMayChange
  const certain = answers.quiet && answers.status === 'T'
  const [first, ...others] = touches
  return {
    id: newId('op', session.core.clock.now()),
    stage,
    touches: [first!, ...others],
    text: [text, ...usedTexts.map((used) => `-- runs: ${used}`)].join('\n'),
    parameters,
    digest: digestOf([target.name, text, parameters ?? [], usedTexts, connection.searchPathChanges]),
    effect: effectOf([...statements, ...used], certain),
    inTransaction,
    objection,
  }
}

/** A write inside a transaction that is surely open can be rolled back; the COMMIT is what takes effect. */
function effectOf(statements: readonly Statement[], inTransaction: boolean): Effect {
  const effects = statements.map(({ effect, transaction }) =>
    effect === 'final' && inTransaction && transaction === undefined ? 'revocable' : effect,
  )
  return effects.find((effect) => effect === 'final') ?? effects.find((effect) => effect === 'revocable') ?? 'none'
}

/** SHA-256 over the JSON of everything that gives the operation its meaning. */
function digestOf(meaning: readonly unknown[]): Digest {
  return createHash('sha256').update(JSON.stringify(meaning)).digest('hex')
}

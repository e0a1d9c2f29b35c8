import type { Exchange } from '../../gateway/exchange.ts'
import { Fault } from '../../gateway/fault.ts'
import { refuse } from '../../gateway/refusals.ts'
import type { Result } from './answers.ts'
import type { Connection } from './connection.ts'
import type { Portal } from './portals.ts'
import { encodeDescribe } from './encode.ts'
import { PostgresExchange, type Making, type Outgoing } from './exchanges.ts'
import type { Frame } from './frames.ts'
import { BACKEND, frontendName } from './message-types.ts'
import {
  decodeBind,
  decodeClose,
  decodeDescribe,
  decodeExecute,
  decodeParse,
  decodeQuery,
  type Bind,
  type Format,
} from './messages-client.ts'
import { decodeRowDescription } from './messages-target.ts'
import type { Proposal } from './names.ts'
import { look, operationOf, understand, understandPrepared, unreadable, type Understood } from './operations.ts'

/** Messages kept back, at most, until it is known what they are for. */
const KEPT = 500

/**
 * The client's messages, in order, as exchanges. Bind and Describe of a portal are kept back for the Execute they
 * belong to, so that an operation that has to wait has sent nothing yet.
 */
export async function* readExchanges(connection: Connection): AsyncGenerator<Exchange> {
  let kept: Outgoing[] = []
  const flush = (): Exchange => {
    const harmlessTexts = !kept.some(({ sent }) => sent === 'Sync')
    const exchange = new PostgresExchange(connection, { style: 'keeping', messages: kept, harmlessTexts })
    kept = []
    return exchange
  }
  for await (const { from, frame } of connection.incoming()) {
    if (from === 'target') {
      yield unsolicited(connection, frame)
      continue
    }
    const name = frontendName(frame.type)
    if (connection.skipping && name !== 'Sync') continue
    switch (name) {
      case 'Query':
        if (kept.length > 0 || connection.unsettled.messages > 0) throw mixed()
        yield await readQuery(connection, frame)
        break
      case 'Parse':
        if (kept.length > 0) yield flush()
        yield await readParse(connection, frame)
        break
      case 'Execute':
        if (kept.length > 0 && !(await portalOf(connection, frame))) yield flush()
        yield await readExecute(connection, frame, kept)
        kept = []
        break
      case 'Bind':
        kept.push(await keepBind(connection, frame))
        break
      case 'Describe':
        kept.push(await keepDescribe(connection, frame))
        break
      case 'Close':
        kept.push(keepClose(connection, frame))
        break
      case 'Flush':
        kept.push({ bytes: frame.bytes })
        yield flush()
        break
      case 'Sync':
        connection.skipping = false
        kept.push({ bytes: frame.bytes, sent: 'Sync' })
        yield flush()
        break
      case 'FunctionCall':
        if (kept.length > 0 || connection.unsettled.messages > 0) throw mixed()
        yield functionCall(connection)
        break
      case 'CopyData':
      case 'CopyDone':
      case 'CopyFail':
        break // outside a COPY the server ignores them too
      default:
        throw new Fault('protocol', `a client does not send ${name ?? frame.type} here`)
    }
    if (kept.length >= KEPT) yield flush()
  }
}

/** A message the target sent of its own accord goes the same way as every answer: masked, recorded, replied. */
function unsolicited(connection: Connection, frame: Frame): Exchange {
  if (frame.type === BACKEND.ErrorResponse) throw new Fault('target', 'the target ended the connection')
  return new PostgresExchange(connection, { style: 'keeping', messages: [], received: [frame] })
}

async function readQuery(connection: Connection, frame: Frame): Promise<Exchange> {
  const understood = await understand(connection, decodeQuery(frame))
  const { proposals } = understood
  const message: Outgoing = {
    bytes: frame.bytes,
    sent: 'Query',
    done: (result) => settle(connection, understood, result),
  }
  if (isEmpty(understood)) return new PostgresExchange(connection, { style: 'simple', messages: [message] })
  return new PostgresExchange(connection, {
    style: 'simple',
    messages: [message],
    operation: operationOf(connection, understood, 'execute'),
    ...facts(understood),
    completed: (statement) =>
      proposals.filter((change) => change.statement === statement).forEach(({ proposal }) => proposal.confirm()),
  })
}

async function readParse(connection: Connection, frame: Frame): Promise<Exchange> {
  const { name, query, types } = decodeParse(frame)
  const understood = await understand(connection, query)
  const prepared = { text: query, statement: understood.statements[0], types }
  const proposal = connection.statements.propose(name, prepared, connection.batch)
  const message: Outgoing = { bytes: frame.bytes, sent: 'Parse', done: confirming(proposal) }
  understood.proposals.forEach((change) => change.proposal.drop())
  if (isEmpty(understood)) return new PostgresExchange(connection, { style: 'keeping', messages: [message] })
  const operation = operationOf(connection, understood, 'prepare')
  return new PostgresExchange(connection, { style: 'extended', messages: [message], operation, harmlessTexts: true })
}

function portalOf(connection: Connection, frame: Frame): Promise<Portal | undefined> {
  return look(connection, 'portals', decodeExecute(frame).portal)
}

async function readExecute(connection: Connection, frame: Frame, kept: readonly Outgoing[]): Promise<Exchange> {
  const { portal: name } = decodeExecute(frame)
  const portal = await portalOf(connection, frame)
  if (!portal) return noSuchPortal(connection, name)
  // The target may have skipped the Execute that began it: then this one is the first.
  const begunBefore = portal.started && portal.startedIn !== connection.batch
  if (begunBefore && !connection.answers.quiet) await connection.caughtUp()
  const before = [...kept, ...describe(connection, portal, name)]
  if (portal.started || !portal.prepared.statement) {
    const messages = [...before, { bytes: frame.bytes, sent: 'Execute' } as const]
    return new PostgresExchange(connection, { style: 'keeping', messages, portal })
  }
  const understood = await understandPrepared(connection, portal.prepared)
  const done: Outgoing['done'] = (result) => settle(connection, understood, result)
  return new PostgresExchange(connection, {
    style: 'extended',
    messages: [...before, { bytes: frame.bytes, sent: 'Execute', done }],
    portal,
    operation: operationOf(connection, understood, 'execute', portal),
    ...facts(understood),
    completed: () => understood.proposals.forEach(({ proposal }) => proposal.confirm()),
  })
}

/** The target has answered, or never will: what it has not completed did not happen. */
function settle(connection: Connection, { proposals, touches }: Understood, result: Result): void {
  proposals.forEach(({ proposal }) => proposal.drop())
  if (result !== 'skipped') renewCatalog(connection, touches)
}

function confirming(proposal: Proposal): (result: Result) => void {
  return (result) => (result === 'done' ? proposal.confirm() : proposal.drop())
}

/**
 * Rows can be masked only where their columns are known: a portal whose description is not there, nor on its way in this
 * batch, is described first. So is a cursor each time, because SQL may have put another one in its place.
 */
function describe(connection: Connection, portal: Portal, name: string): Outgoing[] {
  if (portal.describing === connection.batch || (portal.fields && portal.bind)) return []
  return [{ ...describing(connection, portal, encodeDescribe('P', name)), hidden: true }]
}

function describing(connection: Connection, portal: Portal, bytes: Buffer): Outgoing {
  portal.describing = connection.batch
  return { bytes, sent: 'DescribePortal', frame: keepFields(portal) }
}

function keepFields(portal: Portal): (frame: Frame) => void {
  return (frame) => {
    if (frame.type === BACKEND.RowDescription) portal.fields = decodeRowDescription(frame)
    if (frame.type === BACKEND.NoData) portal.fields = []
  }
}

/** Of a statement the gateway does not know it does not know the portal either. */
async function keepBind(connection: Connection, frame: Frame): Promise<Outgoing> {
  const bind = decodeBind(frame)
  const prepared = await look(connection, 'statements', bind.statement)
  const formats = bind.parameters.map((_, place) => formatOf(bind, place))
  const portal = prepared && {
    prepared,
    parameters: readable(bind),
    formats,
    bind: frame.bytes,
    started: false,
  }
  const proposal = connection.portals.propose(bind.portal, portal, connection.batch)
  return { bytes: frame.bytes, sent: 'Bind', done: confirming(proposal) }
}

/** Text as it is, binary as `\x…`: what an approver reads and the digest covers. */
function readable(bind: Bind): (string | null)[] {
  return bind.parameters.map((value, place) => {
    if (value === null) return null
    return formatOf(bind, place) === 1 ? `\\x${value.toString('hex')}` : value.toString('utf8')
  })
}

function formatOf({ formats }: Bind, place: number): Format {
  return (formats.length === 1 ? formats[0] : formats[place]) ?? 0
}

async function keepDescribe(connection: Connection, frame: Frame): Promise<Outgoing> {
  const { kind, name } = decodeDescribe(frame)
  if (kind === 'S') return { bytes: frame.bytes, sent: 'DescribeStatement' }
  const portal = await look(connection, 'portals', name)
  return portal ? describing(connection, portal, frame.bytes) : { bytes: frame.bytes, sent: 'DescribePortal' }
}

function keepClose(connection: Connection, frame: Frame): Outgoing {
  const { kind, name } = decodeClose(frame)
  const names = kind === 'S' ? connection.statements : connection.portals
  const proposal = names.propose(name, undefined, connection.batch)
  return { bytes: frame.bytes, sent: 'Close', done: confirming(proposal) }
}

function functionCall(connection: Connection): Exchange {
  const hint = 'Call the function in a SELECT.'
  const objection = refuse('unreadable', 'Function calls outside SQL are not taken.', [{ do: 'change', hint }])
  const understood = unreadable(connection.target.resource, 'FunctionCall', { objection })
  const operation = operationOf(connection, understood, 'execute')
  return new PostgresExchange(connection, { style: 'simple', messages: [], operation })
}

/** Nothing of it is sent: a Bind before it was, so that the target's own error comes first if there is one. */
function noSuchPortal(connection: Connection, name: string): Exchange {
  const objection = refuse('unreadable', `The gateway knows no portal "${name}" of this session.`)
  const understood = unreadable(connection.target.resource, `Execute of portal "${name}"`, {
    objection,
  })
  return new PostgresExchange(connection, {
    style: 'extended',
    messages: [],
    operation: operationOf(connection, understood, 'execute'),
  })
}

/** A text without a statement: the target answers it by EmptyQueryResponse. */
function isEmpty({ statements, objection }: Understood): boolean {
  return statements.length === 0 && objection === undefined
}

function facts({
  statements,
  used,
  usedTexts,
}: Understood): Pick<Making, 'explainable' | 'harmlessTexts' | 'controlsTransaction'> {
  const all = [...statements, ...used]
  return {
    harmlessTexts: all.every(({ effect, touchesHidden }) => effect === 'none' && !touchesHidden),
    explainable: statements.length === 1 && usedTexts.length === 0 && statements[0]!.explainable,
    controlsTransaction: statements.some(({ transaction }) => transaction !== undefined),
  }
}

/** What may have changed names or columns makes the catalog old: now, and again when its transaction ends. */
function renewCatalog(connection: Connection, touches: Understood['touches']): void {
  const changing = ['sql.create', 'sql.alter', 'sql.drop', 'sql.call', 'sql.do']
  if (!touches.some(({ action }) => changing.includes(action))) return
  connection.changedSchema = true
  connection.target.catalog.expire()
}

function mixed(): Fault {
  return new Fault('protocol', 'a Query inside a batch of the extended protocol that has no Sync yet')
}

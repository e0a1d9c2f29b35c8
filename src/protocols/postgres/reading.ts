import type { Exchange } from '../../gateway/exchange.ts'
import { Fault } from '../../gateway/fault.ts'
import { refuse } from '../../gateway/refusals.ts'
import type { Connection, Portal } from './connection.ts'
import { encodeDescribe } from './encode.ts'
import { PostgresExchange, type Outgoing } from './exchanges.ts'
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
} from './messages-client.ts'
import { decodeRowDescription } from './messages-target.ts'
import { look, operationOf, understand, unreadable, type Understood } from './operations.ts'

/** Messages kept back, at most, until it is known what they are for. */
const KEPT = 500

/**
 * The client's messages, in order, as exchanges. Bind and Describe of a portal are kept back for the Execute they
 * belong to, so that an operation that has to wait has sent nothing yet.
 */
export async function* readExchanges(connection: Connection): AsyncGenerator<Exchange> {
  let kept: Outgoing[] = []
  const flush = (): Exchange => {
    const exchange = new PostgresExchange(connection, { style: 'keeping', messages: kept })
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
  const message: Outgoing = { bytes: frame.bytes, sent: 'Query' }
  if (understood.touches.length === 0) return new PostgresExchange(connection, { style: 'simple', messages: [message] })
  return new PostgresExchange(connection, {
    style: 'simple',
    messages: [message],
    operation: operationOf(connection, understood, 'execute'),
    ...facts(understood),
    completed: (statement) =>
      proposals.filter((change) => change.statement === statement).forEach(({ proposal }) => proposal.confirm()),
    over: () => {
      proposals.forEach(({ proposal }) => proposal.drop())
      renewCatalog(connection, understood)
    },
  })
}

async function readParse(connection: Connection, frame: Frame): Promise<Exchange> {
  const { name, query } = decodeParse(frame)
  const understood = await understand(connection, query)
  const proposal = connection.statements.full
    ? undefined
    : connection.statements.propose(name, { text: query, statement: understood.statements[0] }, connection.batch)
  const message: Outgoing = {
    bytes: frame.bytes,
    sent: 'Parse',
    done: (result) => (result === 'done' ? proposal?.confirm() : proposal?.drop()),
  }
  understood.proposals.forEach((change) => change.proposal.drop())
  if (understood.touches.length === 0)
    return new PostgresExchange(connection, { style: 'keeping', messages: [message] })
  const operation = operationOf(connection, understood, 'prepare')
  return new PostgresExchange(connection, { style: 'extended', messages: [message], operation })
}

async function readExecute(connection: Connection, frame: Frame, kept: readonly Outgoing[]): Promise<Exchange> {
  const { portal: name } = decodeExecute(frame)
  const portal = await look(connection, 'portals', name)
  if (!portal) return noSuchPortal(connection, name, kept)
  const messages = [...kept, ...describe(portal, name), { bytes: frame.bytes, sent: 'Execute' } as const]
  if (portal.started || !portal.prepared.statement)
    return new PostgresExchange(connection, { style: 'keeping', messages, portal })
  const understood = await understand(connection, portal.prepared.text)
  const { proposals } = understood
  return new PostgresExchange(connection, {
    style: 'extended',
    messages,
    portal,
    operation: operationOf(connection, understood, 'execute', portal.parameters),
    ...facts(understood),
    completed: () => proposals.forEach(({ proposal }) => proposal.confirm()),
    over: () => {
      proposals.forEach(({ proposal }) => proposal.drop())
      renewCatalog(connection, understood)
    },
  })
}

/** Rows can be masked only where their columns are known: a portal nobody has described yet is described first. */
function describe(portal: Portal, name: string): Outgoing[] {
  if (portal.described) return []
  portal.described = true
  return [{ bytes: encodeDescribe('P', name), sent: 'DescribePortal', hidden: true, frame: keepFields(portal) }]
}

function keepFields(portal: Portal): (frame: Frame) => void {
  return (frame) => {
    if (frame.type === BACKEND.RowDescription) portal.fields = decodeRowDescription(frame)
    if (frame.type === BACKEND.NoData) portal.fields = []
  }
}

async function keepBind(connection: Connection, frame: Frame): Promise<Outgoing> {
  const bind = decodeBind(frame)
  const prepared = await look(connection, 'statements', bind.statement)
  if (!prepared || connection.portals.full) return { bytes: frame.bytes, sent: 'Bind' }
  const portal: Portal = {
    prepared,
    parameters: readable(bind),
    bind: frame.bytes,
    described: false,
    started: false,
  }
  const proposal = connection.portals.propose(bind.portal, portal, connection.batch)
  return {
    bytes: frame.bytes,
    sent: 'Bind',
    done: (result) => (result === 'done' ? proposal.confirm() : proposal.drop()),
  }
}

/** Text as it is, binary as `\x…`: what an approver reads and the digest covers. */
function readable({ parameters, formats }: Bind): (string | null)[] {
  return parameters.map((value, place) => {
    const format = formats.length === 1 ? formats[0] : formats[place]
    if (value === null) return null
    return format === 1 ? `\\x${value.toString('hex')}` : value.toString('utf8')
  })
}

async function keepDescribe(connection: Connection, frame: Frame): Promise<Outgoing> {
  const { kind, name } = decodeDescribe(frame)
  if (kind === 'S') return { bytes: frame.bytes, sent: 'DescribeStatement' }
  const portal = await look(connection, 'portals', name)
  if (portal) portal.described = true
  return { bytes: frame.bytes, sent: 'DescribePortal', frame: portal && keepFields(portal) }
}

function keepClose(connection: Connection, frame: Frame): Outgoing {
  const { kind, name } = decodeClose(frame)
  const names = kind === 'S' ? connection.statements : connection.portals
  const proposal = names.propose(name, undefined, connection.batch)
  return {
    bytes: frame.bytes,
    sent: 'Close',
    done: (result) => (result === 'done' ? proposal.confirm() : proposal.drop()),
  }
}

function functionCall(connection: Connection): Exchange {
  const hint = 'Call the function in a SELECT.'
  const objection = refuse('unreadable', 'Function calls outside SQL are not taken.', [{ do: 'change', hint }])
  const understood = unreadable(connection.target.resource, 'FunctionCall', { objection })
  const operation = operationOf(connection, understood, 'execute')
  return new PostgresExchange(connection, { style: 'simple', messages: [], operation })
}

function noSuchPortal(connection: Connection, name: string, messages: readonly Outgoing[]): Exchange {
  const objection = refuse('unreadable', `The gateway knows no portal "${name}" of this session.`)
  const understood = unreadable(connection.target.resource, `Execute of portal "${name}"`, { objection })
  return new PostgresExchange(connection, {
    style: 'extended',
    messages,
    operation: operationOf(connection, understood, 'execute'),
  })
}

function facts({ statements, used }: Understood): {
  explainable: boolean
  touchesHidden: boolean
  controlsTransaction: boolean
} {
  return {
    explainable: statements.length === 1 && statements[0]!.explainable,
    touchesHidden: [...statements, ...used].some(({ touchesHidden }) => touchesHidden),
    controlsTransaction: statements.some(({ transaction }) => transaction !== undefined),
  }
}

/** What may have changed names or columns makes the catalog old. */
function renewCatalog({ target }: Connection, { touches }: Understood): void {
  const changing = ['sql.create', 'sql.alter', 'sql.drop', 'sql.call', 'sql.do']
  if (touches.some(({ action }) => changing.includes(action))) target.catalog.expire()
}

function mixed(): Fault {
  return new Fault('protocol', 'a Query inside a batch of the extended protocol that has no Sync yet')
}

import { refuse } from '../../gateway/refusals.ts'
import type { Connection } from './connection.ts'
import { openBody } from './cursor.ts'
import { PostgresExchange } from './exchanges.ts'
import type { Frame } from './frames.ts'
import { readFormat, type Format } from './messages-client.ts'
import { operationOf, unreadable, type Understood } from './operations.ts'
import { privileged, senseOf } from './sense.ts'

export type FunctionCall = {
  readonly oid: number
  readonly formats: readonly Format[]
  readonly parameters: readonly (Buffer | null)[]
}

/**
 * A call by OID outside SQL ("Function Call"), as libpq calls for large objects. At an open target it is for policy to
 * say; elsewhere it is not taken.
 */
export function functionCall(connection: Connection, frame: Frame): PostgresExchange {
  const understood = connection.target.open ? understandCall(connection, frame) : notTaken(connection)
  return new PostgresExchange(connection, {
    style: 'simple',
    messages: connection.target.open ? [{ bytes: frame.bytes, sent: 'FunctionCall' }] : [],
    operation: operationOf(connection, understood, 'execute'),
    sense: understood,
  })
}

/** What is recorded and decided has the values: there is no text. */
function understandCall({ target }: Connection, frame: Frame): Understood {
  const { oid, parameters } = decodeFunctionCall(frame)
  const values = parameters.map((value) => (value === null ? 'NULL' : `'\\x${value.toString('hex')}'`))
  const own = { has_where: false, functions: [], predicates: [] }
  const facts = { unbounded: true, args: { '/function': `oid ${oid}` }, own }
  const call = { action: 'sql.call', resource: target.resource, facts }
  const sense = senseOf({
    statements: [],
    touches: [call, privileged(target.resource, 'code')],
    used: [],
    usedTexts: [],
  })
  const text = `FunctionCall of ${oid} (${values.join(', ')})`
  return { ...sense, effect: 'final', effectInBlock: 'revocable', harmlessTexts: false, text, proposals: [] }
}

function notTaken({ target }: Connection): Understood {
  const hint = 'Call the function in a SELECT.'
  const objection = refuse('unreadable', 'Function calls outside SQL are not taken.', [{ do: 'change', hint }])
  return unreadable(target.resource, 'FunctionCall', { objection })
}

/** Fault `protocol` for a body that is no such message. */
export function decodeFunctionCall(frame: Frame): FunctionCall {
  const cursor = openBody('FunctionCall', frame)
  const call = {
    oid: cursor.uint32(),
    formats: cursor.list(2, () => readFormat('FunctionCall', cursor)),
    parameters: cursor.list(4, () => cursor.value()),
  }
  readFormat('FunctionCall', cursor)
  return cursor.ended(call)
}

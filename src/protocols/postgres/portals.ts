import type { Statement } from '../../sql/reader.ts'
import type { Format } from './messages-client.ts'
import type { RowField } from './messages-target.ts'
import type { Described } from './descriptions.ts'
import type { Recent } from './operations.ts'
import type { Sense } from './sense.ts'

/** A prepared statement, by wire or by SQL. `statement` is absent for an empty text. */
export type Prepared = {
  readonly text: string
  readonly statement?: Statement
  /** OIDs of its parameters' types that the client named; none, or 0: the target finds them out. */
  readonly types?: readonly number[]
  /** Made by SQL: the place, in its text, of the statement that made it. */
  readonly place?: number
  /** As it was understood last. */
  recent?: Recent
  readonly described?: Described
}

/** A portal bound by wire, or a cursor declared by SQL. */
export type Portal = {
  readonly prepared: Prepared
  readonly parameters: readonly (string | null)[]
  /** Of each parameter. */
  readonly formats?: readonly Format[]
  /** The Bind that made it; a cursor has none. */
  readonly bind?: Buffer
  /** `MovingNames.now` of when that was read. */
  readonly boundAt?: number
  /** Its columns, once the target has described it. */
  fields?: readonly RowField[]
  /** What is hidden in its rows, since it was read for its first Execute. */
  hides?: Sense['hides']
  /** The batch in which a Describe of it was last asked. */
  describing?: number
  /** An Execute was sent: another one goes on with the same operation. */
  started: boolean
  /** The batch in which that was: a later one cannot count on it before it is answered. */
  startedIn?: number
}

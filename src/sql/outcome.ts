import type { Effect } from '../gateway/domain.ts'
import type { At } from './findings.ts'
import type { Hides } from './flow.ts'
import type { CopyForm, SessionName, Statement } from './reader.ts'
import type { Body, Node, NodeName } from './tree.ts'

/** What a statement is beyond its touches. */
export type Outcome = {
  /** Left out: `none` when it only reads, else `final`. */
  readonly effect?: Effect
  readonly uses?: SessionName
  readonly transaction?: Statement['transaction']
  readonly copy?: CopyForm
  /** What is hidden in the columns it returns. */
  readonly hides?: Hides
}

/** How one kind of statement is read: its touches and objections go to the findings. */
export type Rule<K extends NodeName> = (body: Body<K>, at: At, inner: ReadInner) => Outcome | void

/** Reads a statement inside another (PREPARE, EXPLAIN) on its own. */
export type ReadInner = (node: Node) => Statement

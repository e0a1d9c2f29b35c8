import type { Effect, Refusal, Touch } from '../gateway/domain.ts'
import type { Soon } from '../gateway/source.ts'
import type { Catalog } from './catalog.ts'
import type { Hides } from './flow.ts'

/** How a statement uses the names that live in a session: prepared statements and cursors share them with the wire. */
export type SessionName =
  | { readonly does: 'prepare'; readonly name: string; readonly statement: Statement }
  | { readonly does: 'execute'; readonly name: string }
  | { readonly does: 'deallocate'; readonly name: string | null }
  | { readonly does: 'declare'; readonly name: string; readonly statement: Statement }
  | { readonly does: 'fetch'; readonly name: string }
  | { readonly does: 'close'; readonly name: string | null }
  /** DISCARD ALL: both kinds. */
  | { readonly does: 'forget' }

/**
 * A name that a statement gives a meaning the catalog does not have yet. `name`: of a relation, without its schema; of a
 * routine or an operator, with `()` behind it; `*` when it may be any. `moved`: what had it, or has it now, was there
 * before. `shown`: it shows the data of other relations. `gone`: it is dropped. `made`: it is new. `reshaped`: it has other
 * columns. Whatever it is, the columns of a relation of that name are not known.
 */
export type NameChange = { readonly name: string; readonly now: 'moved' | 'shown' | 'gone' | 'made' | 'reshaped' }

/** How COPY over the connection writes its rows ("COPY", File Formats). */
export type CopyForm = {
  /** `out`: rows go to the client; `in`: the client sends them. */
  readonly direction: 'in' | 'out'
  readonly format: 'text' | 'csv' | 'binary'
  /** One character of ASCII each, or PostgreSQL takes none of it; quote and escape are those of csv. */
  readonly delimiter: string
  readonly quote: string
  readonly escape: string
}

/** What one statement would do. `null` in deallocate and close is ALL. */
export type Statement = {
  /** The parse tree's own node name: `SelectStmt`, `DropStmt`. */
  readonly node: string
  /** Empty only where `uses` says whose touches count instead (EXECUTE, FETCH). */
  readonly touches: readonly Touch[]
  /** For `final` also outside a transaction block only: the caller lowers it to `revocable` inside one. */
  readonly effect: Effect
  readonly uses?: SessionName
  /** BEGIN, COMMIT, ROLLBACK and the like. */
  readonly transaction?: 'begin' | 'commit' | 'rollback' | 'savepoint'
  /** Of a COPY. */
  readonly copy?: CopyForm
  /** True when it changes how later names resolve (`SET search_path`, DISCARD ALL, RESET ALL). */
  readonly changesSearchPath: boolean
  /** True for whatever makes, removes, renames or moves something that has a name. */
  readonly changesNames: boolean
  /** For `changed` of the texts that follow in the same transaction. */
  readonly nameChanges: readonly NameChange[]
  /** True when a relation with a hidden column is read or written: error texts of the session are then withheld. */
  readonly touchesHidden: boolean
  /** True when something is made of a hidden value: how large it is may be asked. */
  readonly computesHidden: boolean
  /** What is hidden in the columns it returns; absent: nothing. */
  readonly hides?: Hides
  /** EXPLAIN can be asked of it: one SELECT, INSERT, UPDATE, DELETE or MERGE with harmless functions only. */
  readonly explainable: boolean
  readonly objection?: Refusal
}

/** A text read whole: its statements in order, or why it is refused. */
export type Reading =
  | {
      readonly statements: readonly Statement[]
      /** As it is to be sent, when not as it is. */ readonly rewritten?: string
    }
  | { readonly objection: Refusal; readonly sqlstate?: string }

/** Whether columns that the identity must not see may be used in predicates, ordering and grouping. */
export type Inference = 'none' | 'equality' | 'any'

export type ReadRequest = {
  /** Exactly the bytes of the wire, decoded as UTF-8; contains no NUL. */
  readonly text: string
  /** The target's name, first segment of resource ids. */
  readonly target: string
  /** Schemas searched for unqualified names, in order; undefined when not known: then every schema counts. */
  readonly searchPath?: readonly string[]
  /** Data classes that the session's identity must not see. */
  readonly hidden: readonly string[]
  /** Left out: `none`. */
  readonly inference?: Inference
  /** The session's role cannot read hidden columns: the text is rewritten to read stand-ins. */
  readonly wall?: boolean
  /**
   * The target hides nothing from anybody, and its sessions run as the operator's own role: walls are matters of policy
   * (findings.ts `wall`). Absent: they stand.
   */
  readonly open?: boolean
  /**
   * The `nameChanges` of earlier texts whose transaction is still open, and of the open transactions of other sessions: the
   * catalog cannot know them.
   */
  readonly changed?: readonly NameChange[]
  /** Temporary schemas that are the session's own (`pg_temp_3`); undefined when not known: then all of them count. */
  readonly temporary?: readonly string[]
  /** Whose text it is: callers take turns, whatever each of them has waiting. */
  readonly caller?: string
}

/** Reads SQL text. Never throws for a bad text; rejects with Fault `parser` only when it is disposed. */
export interface SqlReader extends AsyncDisposable {
  /** At once when the reading is known, or the text is refused without it. */
  read(request: ReadRequest): Soon<Reading>
  /** Makes `catalog` the one that `target`'s names are resolved against from now on. */
  learn(target: string, catalog: Catalog): void
}

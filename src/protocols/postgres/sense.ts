import type { Effect, Refusal, Touch } from '../../gateway/domain.ts'
import type { Hides } from '../../sql/flow.ts'
import type { CopyForm, NameChange, Statement } from '../../sql/reader.ts'
import type { Described } from './descriptions.ts'

/** What a text was found to do, in parts. */
export type Found = {
  readonly statements: readonly Statement[]
  readonly touches: readonly Touch[]
  readonly objection?: Refusal
  /** The prepared statements and cursors it runs, and the texts that made them: part of its meaning. */
  readonly used: readonly Statement[]
  readonly usedTexts: readonly string[]
  /** What is hidden in the rows that each of its statements returns. */
  readonly hides: readonly (Hides | undefined)[]
}

/** All that follows from it, whenever it runs: worked out once for each reading. */
export type Sense = Found & {
  /** What it takes effect as; and inside a transaction block that is surely open. */
  readonly effect: Effect
  readonly effectInBlock: Effect
  /** It changes nothing and reads nothing that has a hidden column: no text of its answer can show a hidden value. */
  readonly harmlessTexts: boolean
  /** EXPLAIN may be asked of its text. */
  readonly explainable: boolean
  /** Its COPYs, in the order in which the target comes to them. */
  readonly copies: readonly CopyForm[]
  /** Its statements may open or end a transaction. */
  readonly controlsTransaction: boolean
  readonly changesSearchPath: boolean
  /** It may change a setting that gives texts their meaning. */
  readonly mayChangeSettings: boolean
  /** It may make, change or drop what the catalog is read from. */
  readonly changesSchema: boolean
  /** What stands in a temporary schema, or is hidden by something there, is that in one session only. */
  readonly isTemporary: boolean
  readonly nameChanges: readonly NameChange[]
  readonly described: Described
}

/** Statements of these actions leave every setting as it is. */
const LEAVE_SETTINGS = 'select insert update delete show lo_read lo_write'.split(' ').map((verb) => `sql.${verb}`)
const CHANGE_SCHEMA = ['sql.create', 'sql.alter', 'sql.drop', 'sql.call', 'sql.do']

export function senseOf(found: Found): Sense {
  const { statements, touches, used, usedTexts } = found
  const all = [...statements, ...used]
  return {
    ...found,
    effect: strongest(all.map(({ effect }) => effect)),
    effectInBlock: strongest(all.map(effectInBlock)),
    harmlessTexts: all.every(({ effect, touchesHidden }) => effect === 'none' && !touchesHidden),
    explainable: statements.length === 1 && usedTexts.length === 0 && statements[0]!.explainable,
    copies: all.flatMap(({ copy }) => copy ?? []),
    controlsTransaction: statements.some(({ transaction }) => transaction !== undefined),
    changesSearchPath: all.some(({ changesSearchPath }) => changesSearchPath),
    mayChangeSettings: touches.some(mayChangeSettings),
    changesSchema: touches.some(({ action }) => CHANGE_SCHEMA.includes(action)),
    isTemporary: touches.some(({ resource }) => resource.id.includes('/pg_temp')),
    nameChanges: all.flatMap(({ nameChanges }) => nameChanges),
    described: {},
  }
}

/** A write inside a transaction block can be rolled back; the COMMIT is what takes effect. */
function effectInBlock({ effect, transaction }: Statement): Effect {
  return effect === 'final' && transaction === undefined ? 'revocable' : effect
}

function strongest(effects: readonly Effect[]): Effect {
  return effects.find((effect) => effect === 'final') ?? effects.find((effect) => effect === 'revocable') ?? 'none'
}

function mayChangeSettings({ action, facts }: Touch): boolean {
  return !LEAVE_SETTINGS.includes(action) && facts.args['/kind'] !== 'begin'
}

/** At an open target it is for policy to say whether a cursor or prepared statement may run that the gateway does not know. */
export function unknownName(resource: Touch['resource']): Touch {
  const own = { has_where: false, functions: [], volatile_functions: [], predicates: [] }
  return { action: 'sql.privileged', resource, facts: { unbounded: true, args: { '/kind': 'names' }, own } }
}

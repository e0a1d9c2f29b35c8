import type { Touch } from '../../gateway/domain.ts'
import type { NameChange, Statement } from '../../sql/reader.ts'
import type { Sense } from './sense.ts'

/** Statements that change the columns of the relations that they alter or drop something of. */
const RESHAPES: ReadonlySet<string> = new Set(['AlterTableStmt', 'RenameStmt', 'DropStmt', 'AlterObjectSchemaStmt'])

/** What a statement does to names that the statements of other sessions may use. */
export function movesOf({ statements, used }: Sense): readonly NameChange[] {
  return [...statements, ...used].flatMap((statement) => movesOfOne(statement))
}

function movesOfOne({ node, nameChanges, touches }: Statement): readonly NameChange[] {
  const reshapes = RESHAPES.has(node)
  if (nameChanges.length === 0 && !reshapes) return []
  const definitions = touches.filter(({ action }) => /^sql\.(create|alter|drop)$/.test(action))
  if (definitions.length > 0 && definitions.every(isTemporary)) return []
  if (!reshapes) return nameChanges
  const anyColumn = definitions.some(reachesAnyColumn) ? [ANY_COLUMN] : []
  const columns = definitions.filter(isOfTable).map(({ resource }) => reshaped(nameOf(resource.id)))
  return [...nameChanges.filter(({ name }) => name !== '*.*'), ...columns, ...anyColumn]
}

const ANY_COLUMN: NameChange = { name: '*.*', now: 'moved' }
const reshaped = (name: string): NameChange => ({ name, now: 'reshaped' })

/** A column of any table may have as its type what goes with the rest, or what is changed. */
function reachesAnyColumn({ facts: { args } }: Touch): boolean {
  return args['/cascade'] === 'true' || /^(type|attribute)$/.test(args['/kind'] ?? '')
}

/** What lies in a temporary schema has a name in one session only. */
function isTemporary({ resource }: Touch): boolean {
  return /\/pg_temp(_\d+)?(\.|$)/.test(resource.id)
}

function isOfTable({ resource }: Touch): boolean {
  return resource.type === 'Table'
}

/** `orders/public.customers` -> `customers`. */
export const nameOf = (id: string): string => id.slice(id.indexOf('.') + 1)

/** Whether what a text was found to do may be something else after these changes. */
export function isAffected({ statements, used, touches }: Sense, moves: readonly NameChange[]): boolean {
  if (moves.length === 0) return false
  const touchesHidden = [...statements, ...used].some((statement) => statement.touchesHidden)
  const tables = touches.filter(isOfTable)
  return moves.some(({ name }) => {
    if (name === '*') return true
    if (name === '*.*' || name.endsWith('()')) return touchesHidden
    return tables.some(({ resource }) => resource.id.endsWith(`.${name}`))
  })
}

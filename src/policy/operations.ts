import { actionsIn, schemaText } from './schema.ts'

/** Actions that are no operations: they are asked about a session, and about what is shown in it. */
const NO_OPERATIONS = new Set(['connect', 'unmask'])

/**
 * The actions of the schema that names of actions and of groups of them (`sql.select`, `read`) stand for; `unknown` are
 * the names that stand for none.
 */
export function operationsNamed(names: readonly string[]): {
  readonly actions: ReadonlySet<string>
  readonly unknown: readonly string[]
} {
  const known = [...actionsIn(schemaText())].filter(([action]) => !NO_OPERATIONS.has(action))
  const named = (name: string): readonly string[] =>
    known.filter(([, { above }]) => above.has(name)).map(([action]) => action)
  return {
    actions: new Set(names.flatMap(named)),
    unknown: names.filter((name) => named(name).length === 0),
  }
}

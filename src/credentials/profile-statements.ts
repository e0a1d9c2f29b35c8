import { Fault } from '../gateway/fault.ts'
import { maskedView, type ProfileRelation, type Right, type Snapshot } from './profile.ts'
import { quoteName, quoteText } from './session-role.ts'

/** What the target says of a relation of the plan, read in the transaction that makes the snapshot. */
export type Described = ProfileRelation & {
  /** Quoted, with its schema. */
  readonly place: string
}

/** How a hidden column looks in a masked view. */
export type Stand = {
  /** As `format_type` writes it, with its modifier; of a domain its base type. */
  readonly type: string
  /** Undefined: no value of the type is known; NULL then. */
  readonly text: string | undefined
}

export type SnapshotPlan = {
  readonly snapshot: Snapshot
  readonly comment: string
  readonly rights: readonly Right[]
  readonly relations: readonly Described[]
  /** By relation and column number: `16384.3`. */
  readonly stands: ReadonlyMap<string, Stand>
  /** Schemas that PUBLIC has no USAGE on. */
  readonly closedSchemas: readonly string[]
  /** The database, when PUBLIC may not connect to it. */
  readonly closedDatabase: string | undefined
}

/** Run by the gateway's own login. */
export function createProfileRole({ snapshot, comment }: Pick<SnapshotPlan, 'snapshot' | 'comment'>): string {
  const name = quoteName(snapshot.role)
  return [
    `CREATE ROLE ${name} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT`,
    `COMMENT ON ROLE ${name} IS ${quoteText(comment)}`,
  ].join(';\n')
}

/** Run by whoever owns the relations: a masked view reads with the rights of its owner. */
export function fillSnapshot(plan: SnapshotPlan): string {
  const { snapshot, comment, closedDatabase } = plan
  const role = quoteName(snapshot.role)
  const schema = quoteName(snapshot.schema)
  return [
    `CREATE SCHEMA ${schema}`,
    `COMMENT ON SCHEMA ${schema} IS ${quoteText(comment)}`,
    ...[schema, ...plan.closedSchemas.map(quoteName)].map((each) => `GRANT USAGE ON SCHEMA ${each} TO ${role}`),
    ...(closedDatabase === undefined ? [] : [`GRANT CONNECT ON DATABASE ${quoteName(closedDatabase)} TO ${role}`]),
    ...grantWhole(plan, role),
    ...plan.relations.filter(({ access }) => access === 'columns').flatMap((each) => grantColumns(plan, each, role)),
  ].join(';\n')
}

/** Relations named in one GRANT. */
const BATCH = 500

function grantWhole({ rights, relations }: SnapshotPlan, role: string): readonly string[] {
  const whole = relations.filter(({ access }) => access === 'all')
  const places = (kind: ProfileRelation['kind']): readonly string[] =>
    whole.filter((each) => each.kind === kind).map(({ place }) => place)
  const sequences = rights.includes('insert') ? places('sequence') : []
  return [
    ...(rights.length === 0 ? [] : batches(places('table'))).map(
      (batch) => `GRANT ${words(rights)} ON TABLE ${batch} TO ${role}`,
    ),
    ...batches(sequences).map((batch) => `GRANT USAGE ON SEQUENCE ${batch} TO ${role}`),
  ]
}

function batches(places: readonly string[]): readonly string[] {
  const count = Math.ceil(places.length / BATCH)
  return Array.from({ length: count }, (_, i) => places.slice(i * BATCH, (i + 1) * BATCH).join(', '))
}

function words(rights: readonly Right[]): string {
  return rights.map((right) => right.toUpperCase()).join(', ')
}

function grantColumns(plan: SnapshotPlan, relation: Described, role: string): readonly string[] {
  const { rights } = plan
  const seen = relation.columns.filter(({ hidden }) => !hidden).map(({ name }) => quoteName(name))
  const read = rights.includes('select') && seen.length > 0 ? [`SELECT (${seen.join(', ')})`] : []
  const granted = [...read, ...rights.filter((right) => right !== 'select').map((right) => words([right]))]
  const grant = granted.length === 0 ? [] : [`GRANT ${granted.join(', ')} ON TABLE ${relation.place} TO ${role}`]
  const isShown = rights.includes('select') && !relation.filtersRows
  return isShown ? [...grant, ...createView(plan, relation, role)] : grant
}

/** UPDATE is there for SELECT … FOR UPDATE; whoever has it has it on the table too. */
function createView(plan: SnapshotPlan, relation: Described, role: string): readonly string[] {
  const view = maskedView(plan.snapshot, relation.oid)
  const columns = relation.columns.map((column) => {
    const name = quoteName(column.name)
    return column.hidden ? `${standIn(name, standOf(plan, relation, column.number))} AS ${name}` : name
  })
  const rights = plan.rights.filter((right) => right === 'select' || right === 'update')
  return [
    `CREATE VIEW ${view} AS SELECT ${columns.join(', ')} FROM ${relation.place}`,
    `GRANT ${words(rights)} ON TABLE ${view} TO ${role}`,
  ]
}

function standOf({ stands }: SnapshotPlan, { oid, place }: Described, column: number): Stand {
  const stand = stands.get(`${oid}.${column}`)
  if (stand === undefined) throw new Fault('target', `The type of column ${column} of ${place} is not known.`)
  return stand
}

/** Cast twice: a CASE has the type of its parts, but not its modifier. */
function standIn(name: string, { type, text }: Stand): string {
  if (text === undefined) return `CAST(NULL AS ${type})`
  return `CAST(CASE WHEN ${name} IS NOT NULL THEN CAST(${quoteText(text)} AS ${type}) END AS ${type})`
}

import type { ProfileRelation, Right } from './profile.ts'
import { quoteName, quoteText } from './session-role.ts'

/** A relation to give rights on. */
export type Described = ProfileRelation & {
  /** Quoted, with its schema, as the target names it in the transaction that gives the rights. */
  readonly place: string
}

export type ProfilePlan = {
  readonly role: string
  readonly rights: readonly Right[]
  readonly relations: readonly Described[]
  /** Schemas that PUBLIC has no USAGE on. */
  readonly closedSchemas: readonly string[]
  /** The database, when PUBLIC may not connect to it. */
  readonly closedDatabase: string | undefined
}

export function createProfileRole(role: string, comment: string): string {
  const name = quoteName(role)
  return [
    `CREATE ROLE ${name} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT`,
    `COMMENT ON ROLE ${name} IS ${quoteText(comment)}`,
  ].join(';\n')
}

/** Everything that the role of a plan gets; empty when that is nothing. */
export function grantProfile(plan: ProfilePlan): string {
  const { rights, relations, closedSchemas, closedDatabase } = plan
  const role = quoteName(plan.role)
  return [
    ...closedSchemas.map((schema) => `GRANT USAGE ON SCHEMA ${quoteName(schema)} TO ${role}`),
    ...(closedDatabase === undefined ? [] : [`GRANT CONNECT ON DATABASE ${quoteName(closedDatabase)} TO ${role}`]),
    ...grantWhole(plan, role),
    ...relations.filter(({ access }) => access === 'columns').flatMap((each) => grantColumns(rights, each, role)),
  ].join(';\n')
}

/** Relations named in one GRANT. */
const BATCH = 500

function grantWhole({ rights, relations }: ProfilePlan, role: string): readonly string[] {
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

function grantColumns(rights: readonly Right[], { columns, place }: Described, role: string): readonly string[] {
  const seen = columns.filter(({ hidden }) => !hidden).map(({ name }) => quoteName(name))
  const read = rights.includes('select') && seen.length > 0 ? [`SELECT (${seen.join(', ')})`] : []
  const granted = [...read, ...rights.filter((right) => right !== 'select').map((right) => words([right]))]
  return granted.length === 0 ? [] : [`GRANT ${granted.join(', ')} ON TABLE ${place} TO ${role}`]
}

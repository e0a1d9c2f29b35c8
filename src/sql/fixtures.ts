import { loadModule, parseSync } from 'libpg-query'
import { analyse } from './analyse.ts'
import { indexCatalog } from './catalog-index.ts'
import type { Catalog, CatalogRelation } from './catalog.ts'
import type { ReadRequest, Statement } from './reader.ts'
import { rewritten, type Rewrite } from './rewrites.ts'

type Shape = Partial<Omit<CatalogRelation, 'oid' | 'name' | 'columns'>> & {
  readonly secret?: readonly string[]
  readonly unique?: readonly string[]
}

/** The types of columns by their names: here a name is of one type everywhere. */
const TYPES: Readonly<Record<string, string>> = {
  id: 'integer',
  patient_id: 'integer',
  cost: 'numeric',
  day: 'date',
  name: 'text',
  mail: 'text',
  login: 'text',
  active: 'boolean',
}

function relation(oid: number, name: string, columns: string, shape: Shape = {}): CatalogRelation {
  const { kind = 'table', schema = 'public', reads = [], secret = [], unique = [], ...family } = shape
  return {
    oid,
    schema,
    name,
    kind,
    reads,
    ...family,
    columns: columns.split(' ').map((column, i) => ({
      name: column,
      number: i + 1,
      classes: secret.includes(column) ? ['pii'] : [],
      ...(secret.includes(column) && { standIn: `NULL::${TYPES[column] ?? 'text'}` }),
      ...(TYPES[column] !== undefined && { type: TYPES[column] }),
      ...(unique.includes(column) && { unique: true }),
    })),
  }
}

/** A small clinic: `patients` has hidden columns, `visits` has none. */
export const CLINIC: Catalog = {
  version: '1',
  relations: [
    relation(1, 'patients', 'id name mail born notes', { secret: ['mail', 'born'] }),
    relation(2, 'visits', 'id patient_id cost day', { referencedBy: [14] }),
    relation(3, 'mailing', 'id address', { kind: 'view', reads: [1] }),
    relation(4, 'busy_days', 'day visits', { kind: 'materialized-view', reads: [2] }),
    relation(5, 'visits', 'id cost', { schema: 'archive' }),
    relation(6, 'remote', 'id', { kind: 'foreign-table' }),
    relation(7, 'scratch', 'id', { schema: 'pg_temp_3' }),
    relation(8, 'people', 'id', { reads: [9], children: [9] }),
    relation(9, 'staff', 'id pin', { secret: ['pin'] }),
    relation(10, 'ticket', 'last_value log_cnt is_called', { kind: 'sequence' }),
    relation(11, 'pg_class', 'oid', { schema: 'archive' }),
    relation(12, 'sampled', 'x', { kind: 'view', reads: [13] }),
    relation(13, 'pg_statistic', 'x', { schema: 'pg_catalog' }),
    relation(14, 'bills', 'id visit_id', { referencedBy: [15] }),
    relation(15, 'payments', 'id bill_id', { schema: 'archive' }),
    relation(16, 'accounts', 'id login active', { secret: ['login'], unique: ['id', 'login'] }),
  ],
  functions: ['public.purge', 'archive.lower', 'public.mail_of'],
  stableFunctions: ['mail_of', 'random', 'nextval'],
  setFunctions: ['purge'],
  operators: ['<->'],
}

await loadModule()
const INDEX = indexCatalog(CLINIC)

/** The statements of `text` at the clinic, seen by somebody from whom `pii` is hidden. */
export function readAt(text: string, request: Partial<ReadRequest> = {}): readonly Statement[] {
  const full = { target: 'clinic', searchPath: ['public'], hidden: ['pii'], ...request }
  return analyse(parseSync(text), full, INDEX)
}

/** What the text is sent as to a target that does not let hidden columns be read; why not, if it is refused. */
export function sentAt(text: string): string {
  const rewrites = new Set<Rewrite>()
  const full = { target: 'clinic', searchPath: ['public'], hidden: ['pii'], wall: true }
  const statements = analyse(parseSync(text), full, INDEX, rewrites)
  const objection = statements.find((statement) => statement.objection)?.objection
  return objection?.message ?? rewritten(text, rewrites) ?? 'cannot be rewritten'
}

/** The only statement of `text`. */
export function readOne(text: string, request: Partial<ReadRequest> = {}): Statement {
  const [statement, ...others] = readAt(text, request)
  if (statement === undefined || others.length > 0) throw new Error(`not one statement: ${text}`)
  return statement
}

/** `sql.delete clinic/public.visits`, with ` unbounded` and the arguments behind it. */
export function touchesOf(text: string, request: Partial<ReadRequest> = {}): readonly string[] {
  return readOne(text, request).touches.map(({ action, resource, facts }) => {
    const args = Object.entries(facts.args).map(([name, value]) => ` ${name}=${value}`)
    return `${action} ${resource.id}${facts.unbounded ? ' unbounded' : ''}${args.join('')}`
  })
}

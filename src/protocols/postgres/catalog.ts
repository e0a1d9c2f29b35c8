import { escapeLiteral } from 'pg'
import { z } from 'zod'
import type { Clock } from '../../gateway/clock.ts'
import { Fault } from '../../gateway/fault.ts'
import type { Soon } from '../../gateway/source.ts'
import type { Catalog, CatalogColumn, CatalogRelation } from '../../sql/catalog.ts'
import { FIRST_OWN_OID, mentionsOf, Rules, RULES_FOUND, rulesFrom, rulesNow } from './catalog-rules.ts'
import type { KnownRules, Mentions } from './catalog-rules.ts'
import { changedSince, isUnchanged, Moment, MOMENT, Since } from './catalog-moment.ts'
import { versionsOf } from './catalog-versions.ts'
import { standIn } from './stand-in.ts'

/** Runs SQL on a connection of the gateway's own, whose search_path is pg_catalog alone. */
export type CatalogQuery = (sql: string) => Promise<readonly Readonly<Record<string, unknown>>[]>

/** Data class -> columns, each `schema.table.column`, spelled as in the catalog. */
export type Sensitive = Readonly<Record<string, readonly string[]>>

export type CatalogReading = {
  readonly catalog: Catalog
  /** Entries of `sensitive` that name no column there is: nothing protects what they meant. */
  readonly missing: readonly string[]
  /** OID -> name, of the target's own functions for large objects that a FunctionCall may ask for. */
  readonly largeObjects?: ReadonlyMap<number, string>
  /** For the next reading. */
  readonly rules?: KnownRules
  readonly moment?: Moment
}

const KINDS = {
  r: 'table',
  p: 'table',
  v: 'view',
  m: 'materialized-view',
  f: 'foreign-table',
  S: 'sequence',
  i: 'index',
  I: 'index',
  c: 'composite-type',
} as const

/**
 * What may stand for the column `a` of type `t`. `exact`: the type with its modifier, of a domain its base type, written so
 * that it is the same under any search_path; null for a pseudo-type. The names of format_type are qualified where they are
 * neither of pg_catalog nor words of the grammar.
 */
const STANDING = `(
  SELECT json_build_object('base', b.oid::int8, 'notNull', a.attnotnull AND t.typtype <> 'd', 'exact', CASE WHEN b.typtype <> 'p' THEN
    CASE WHEN w.written IN (quote_ident(b.typname), quote_ident(e.typname) || '[]') THEN 'pg_catalog.' ELSE '' END || w.written END)
  FROM (SELECT t.oid AS base, a.atttypmod AS modifier WHERE t.typtype <> 'd'
    UNION ALL SELECT base, modifier FROM domain WHERE domain.oid = t.oid) typed
  JOIN pg_type b ON b.oid = typed.base AND b.typtype <> 'd' LEFT JOIN pg_type e ON e.oid = b.typelem
  CROSS JOIN LATERAL (SELECT format_type(b.oid, typed.modifier) AS written) w)`

/**
 * One statement, so that all of it is of one moment. `viewed`: views that do nothing but show a query. `largeObjects`: those
 * that still are what they were made as. `shows`: what a rule's query mentions, by its own text and not by
 * pg_depend, which keeps no entries for system catalogs; `opaque`: a function or operator that is no built-in, and may
 * show anything. Relations with lower oids than `oldest` are left out.
 */
const readingFrom = (oldest: number, sensitive: Sensitive, known: KnownRules): string => `
WITH RECURSIVE relation AS (
  SELECT c.oid, n.nspname, c.relname, c.relkind,
    CASE WHEN c.relpersistence = 't' THEN pg_get_userbyid(c.relowner) END AS owner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = ANY ('{r,p,v,m,f,S,i,I,c}') AND c.oid >= ${oldest}
), ${rulesFrom(oldest, known)}, viewed AS (
  SELECT ev_class AS oid FROM pg_rewrite
  WHERE ev_class >= ${FIRST_OWN_OID} GROUP BY ev_class HAVING count(*) = 1 AND bool_and(ev_type = '1')
), compared AS MATERIALIZED (
  SELECT i.indrelid AS oid, unnest(i.indkey::int2[]) AS number
  FROM pg_index i WHERE i.indisunique OR i.indisexclusion
  UNION
  SELECT d.refobjid, d.refobjsubid FROM pg_index i JOIN pg_depend d
    ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refobjid = i.indrelid
  WHERE i.indisunique OR i.indisexclusion
), domain AS (
  SELECT oid, typbasetype AS base, typtypmod AS modifier FROM pg_type WHERE typtype = 'd'
  UNION ALL
  SELECT d.oid, t.typbasetype, t.typtypmod FROM domain d JOIN pg_type t ON t.oid = d.base WHERE t.typtype = 'd'
), generated AS (
  SELECT e.adrelid AS oid, e.adnum AS number, json_agg(d.refobjsubid) AS of FROM pg_attrdef e
    JOIN pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum AND a.attgenerated <> ''
    JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = e.oid AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = e.adrelid AND d.refobjsubid <> e.adnum
  GROUP BY e.adrelid, e.adnum
), columns AS (
  SELECT a.attrelid AS oid, json_agg(json_build_object('name', a.attname, 'number', a.attnum,
      'type', CASE WHEN t.typcategory = 'B' THEN 'boolean'
        ELSE format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL) END,
      'unique', (a.attrelid, a.attnum) IN (SELECT oid, number FROM compared), 'madeOf', generated.of,
      'standing', CASE WHEN viewed.oid IS NOT NULL OR a.attgenerated <> '' OR a.attname = ANY (${nameArray(sensitive)}) THEN ${STANDING} END
      ) ORDER BY a.attnum) AS list
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    JOIN relation r ON r.oid = a.attrelid AND r.relkind <> ALL ('{i,I}') LEFT JOIN viewed ON viewed.oid = r.oid
    LEFT JOIN generated ON generated.oid = a.attrelid AND generated.number = a.attnum
  WHERE a.attnum > 0 AND NOT a.attisdropped GROUP BY a.attrelid
), reference AS (
  SELECT confrelid AS oid, json_agg(DISTINCT conrelid::int8 ORDER BY conrelid::int8) AS by
  FROM pg_constraint WHERE contype = 'f' GROUP BY confrelid
), routine AS (
  SELECT p.proname AS name, bool_and(p.provolatile <> 'v') AS stable, bool_or(p.proretset) AS sets
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname <> 'pg_catalog' GROUP BY p.proname
)
SELECT json_build_object(
  'relations', (SELECT coalesce(json_agg(json_build_object(
      'oid', r.oid::int8, 'schema', r.nspname, 'name', r.relname, 'kind', r.relkind, 'owner', r.owner,
      'columns', columns.list,
      'children', (SELECT json_agg(i.inhrelid::int8 ORDER BY i.inhrelid) FROM pg_inherits i WHERE i.inhparent = r.oid),
      'referencedBy', reference.by, 'viewed', viewed.oid IS NOT NULL
    ) ORDER BY r.oid), '[]') FROM relation r LEFT JOIN columns ON columns.oid = r.oid LEFT JOIN viewed ON viewed.oid = r.oid
      LEFT JOIN reference ON reference.oid = r.oid),
  'rules', ${RULES_FOUND},
  'moment', ${MOMENT},
  'functions', (SELECT json_agg(DISTINCT n.nspname || '.' || p.proname ORDER BY n.nspname || '.' || p.proname)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname <> 'pg_catalog' AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')),
  'stable', (SELECT json_agg(name ORDER BY name) FILTER (WHERE stable) FROM routine),
  'sets', (SELECT json_agg(name ORDER BY name) FILTER (WHERE sets) FROM routine),
  'operators', (SELECT json_agg(DISTINCT o.oprname ORDER BY o.oprname)
    FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
    WHERE n.nspname <> 'pg_catalog' AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_operator'::regclass AND d.objid = o.oid AND d.deptype = 'e')),
  'largeObjects', (SELECT json_agg(json_build_array(p.oid::int8, p.proname) ORDER BY p.oid)
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND l.lanname = 'internal' AND p.prosrc = 'be_' || p.proname
      AND p.proname ~ '^lo(_|read$|write$)')
) AS catalog`

const Oids = z.array(z.int()).nullable()
const Column = z.object({
  name: z.string(),
  number: z.int(),
  type: z.string(),
  unique: z.boolean(),
  madeOf: z.array(z.int()).nullable(),
  standing: z.object({ base: z.int(), notNull: z.boolean(), exact: z.string().nullable() }).nullable(),
})
const Row = z.object({
  oid: z.int(),
  schema: z.string(),
  name: z.string(),
  kind: z.literal(['r', 'p', 'v', 'm', 'f', 'S', 'i', 'I', 'c']),
  owner: z.string().nullable(),
  columns: z.array(Column).nullable(),
  children: Oids,
  referencedBy: Oids,
  viewed: z.boolean(),
})
type Row = z.infer<typeof Row> & Partial<Mentions>
const Answer = z.object({
  relations: z.array(Row),
  rules: Rules,
  moment: Moment,
  functions: z.array(z.string()).nullable(),
  stable: z.array(z.string()).nullable(),
  sets: z.array(z.string()).nullable(),
  operators: z.array(z.string()).nullable(),
  largeObjects: z.array(z.tuple([z.int(), z.string()])).nullable(),
})

/**
 * What the target's names mean now; `ownOnly`: without the system's own relations; `known`: rules of an earlier reading.
 * Fault `target` when it cannot be read.
 */
export async function readCatalog(
  query: CatalogQuery,
  sensitive: Sensitive,
  ownOnly = false,
  known: KnownRules = new Map(),
): Promise<CatalogReading> {
  const answer = await ask(query, readingFrom(ownOnly ? FIRST_OWN_OID : 0, sensitive, known))
  const rules = rulesNow(answer.rules, known)
  const mentions = mentionsOf(answer.rules, rules)
  const rows = answer.relations.map((row): Row => ({ ...row, ...mentions.get(row.oid) }))
  const classified = classify(rows, sensitive)
  const relations = rows.map((row) => relationOf(row, classified))
  const { functions, stable, sets, operators } = answer
  const content = {
    relations,
    functions: functions ?? [],
    stableFunctions: stable ?? [],
    setFunctions: sets ?? [],
    operators: operators ?? [],
  }
  const largeObjects = new Map(answer.largeObjects)
  return {
    catalog: { ...versionsOf(content), ...content },
    missing: classified.missing,
    largeObjects,
    rules,
    moment: answer.moment,
  }
}

/** Names of columns that are in some class: an array of SQL. */
function nameArray(sensitive: Sensitive): string {
  const names = Object.values(sensitive).flatMap((columns) => columns.map((column) => column.split('.').at(-1)!))
  return `ARRAY[${[...new Set(names)].map(escapeLiteral).join(', ')}]::name[]`
}

async function ask(query: CatalogQuery, text: string): Promise<z.infer<typeof Answer>> {
  try {
    const [row] = await query(text)
    return Answer.parse(row?.['catalog'])
  } catch (cause) {
    throw new Fault('target', 'The catalog of the target could not be read.', cause)
  }
}

/** An earlier reading as of now, where nothing has changed since. Fault `target` when that cannot be told. */
async function readAgain(
  query: CatalogQuery,
  before: CatalogReading,
  moment: Moment,
): Promise<CatalogReading | undefined> {
  try {
    const [row] = await query(changedSince(moment))
    const since = Since.parse(row?.['since'])
    return isUnchanged(moment, since) ? { ...before, moment: since ?? moment } : undefined
  } catch (cause) {
    throw new Fault('target', 'The catalog of the target could not be read.', cause)
  }
}

type Classified = {
  /** Relation -> column name -> classes. */
  readonly classes: ReadonlyMap<number, ReadonlyMap<string, ReadonlySet<string>>>
  readonly missing: readonly string[]
}

/**
 * Finds each entry's column, and the same column of every partition and child table: a row is as sensitive when it is
 * read from the partition. An entry is compared as a whole, so a name with a dot in it can only match too much.
 */
function classify(rows: readonly Row[], sensitive: Sensitive): Classified {
  const classes = new Map<number, Map<string, Set<string>>>()
  const byOid = new Map(rows.map((row) => [row.oid, row]))
  const entries = invert(sensitive)
  const found = new Set<string>()
  for (const row of rows) {
    for (const { name } of row.columns ?? []) {
      const entry = `${row.schema}.${row.name}.${name}`
      const own = entries.get(entry)
      if (own === undefined) continue
      found.add(entry)
      for (const heir of familyOf(row, byOid)) mark(classes, heir.oid, name, own)
    }
  }
  for (const row of rows) markGenerated(classes, row)
  return { classes, missing: [...entries.keys()].filter((entry) => !found.has(entry)) }
}

/** A generated column is as sensitive as those that it is made of, none of which is generated itself. */
function markGenerated(classes: Map<number, Map<string, Set<string>>>, { oid, columns }: Row): void {
  for (const { name, madeOf } of columns ?? []) {
    const sources = (columns ?? []).filter(({ number }) => madeOf?.includes(number))
    const own = sources.flatMap((source) => [...(classes.get(oid)?.get(source.name) ?? [])])
    if (own.length > 0) mark(classes, oid, name, own)
  }
}

/** `schema.table.column` -> data classes. */
function invert(sensitive: Sensitive): ReadonlyMap<string, readonly string[]> {
  const entries = new Map<string, string[]>()
  for (const [name, columns] of Object.entries(sensitive)) {
    for (const column of columns) entries.set(column, [...(entries.get(column) ?? []), name])
  }
  return entries
}

function familyOf(parent: Row, byOid: ReadonlyMap<number, Row>): ReadonlySet<Row> {
  const family = new Set([parent])
  // A Set hands out what is added to it while it is walked.
  for (const member of family) {
    for (const oid of member.children ?? []) {
      const child = byOid.get(oid)
      if (child !== undefined) family.add(child)
    }
  }
  return family
}

function mark(
  classes: Map<number, Map<string, Set<string>>>,
  oid: number,
  column: string,
  names: readonly string[],
): void {
  const columns = classes.get(oid) ?? new Map<string, Set<string>>()
  columns.set(column, new Set([...(columns.get(column) ?? []), ...names]))
  classes.set(oid, columns)
}

function relationOf(row: Row, { classes }: Classified): CatalogRelation {
  const own = classes.get(row.oid)
  const isFollowable = row.viewed && row.opaque !== true
  const columns = (row.columns ?? []).map((column): CatalogColumn => {
    const { name, number, type, unique, standing } = column
    const classes = [...(own?.get(name) ?? [])].toSorted()
    const isStoodFor = standing !== null && (classes.length > 0 || isFollowable)
    const stand = isStoodFor ? standIn(standing) : undefined
    return { name, number, classes, type, ...(unique && { unique }), ...(stand !== undefined && { standIn: stand }) }
  })
  const { oid, schema, name, children, referencedBy, owner } = row
  const family = { ...(children && { children }), ...(referencedBy && { referencedBy }), ...(owner && { owner }) }
  const view = isFollowable && { followable: true as const }
  return { oid, schema, name, kind: KINDS[row.kind], columns, reads: readsOf(row, classes), ...family, ...view }
}

/** A rule that calls a function which is no built-in shows what that shows: taken for everything sensitive there is. */
function readsOf(row: Row, classes: Classified['classes']): readonly number[] {
  const hidden = row.opaque === true ? [...classes.keys()].filter((oid) => oid !== row.oid) : []
  return [...new Set([...(row.children ?? []), ...(row.shows ?? []), ...hidden])].toSorted((a, b) => a - b)
}

/** The catalog of one target, read again when it is old or known to have changed. */
export interface CatalogSource {
  /** Not older than the age limit; concurrent calls share one read. Fault `target` when it cannot be read. */
  get(): Soon<CatalogReading>
  /** A read that began after this call. When it fails, nothing older is served any more. */
  renew(): Promise<CatalogReading>
}

export type CatalogSourceOptions = {
  readonly query: CatalogQuery
  readonly sensitive: Sensitive
  /** Finds the classes of the columns of views. */
  readonly follow?: (catalog: Catalog) => Promise<Catalog>
  readonly clock: Clock
  readonly maxAgeMs?: number
  /** The system's own relations are left out: most of a catalog, and of interest only where something is hidden. */
  readonly ownOnly?: boolean
}

type Running = { readonly reading: Promise<CatalogReading>; next?: Promise<CatalogReading> }

export function catalogSource(options: CatalogSourceOptions): CatalogSource {
  const { clock, maxAgeMs = 10_000, follow = async (catalog) => catalog } = options
  let latest: { readonly since: number; readonly reading: CatalogReading } | undefined
  let running: Running | undefined
  let before: CatalogReading | undefined

  async function read(): Promise<CatalogReading> {
    const since = clock.monotonic()
    latest = undefined
    const { query, sensitive, ownOnly } = options
    const same = before?.moment && (await readAgain(query, before, before.moment))
    before = same ?? (await readCatalog(query, sensitive, ownOnly, before?.rules))
    const reading = { ...before, catalog: await follow(before.catalog) }
    latest = { since, reading }
    return reading
  }

  function begin(): Promise<CatalogReading> {
    const own: Running = { reading: read().finally(end) }
    running = own
    return own.reading
  }

  /** With another read to follow it stays the running one until that begins. */
  function end(): void {
    if (running?.next === undefined) running = undefined
  }

  /** Behind a read that is under way comes one more, however many ask for it. */
  function renew(): Promise<CatalogReading> {
    if (running === undefined) return begin()
    running.next ??= running.reading.then(begin, begin)
    return running.next
  }

  function get(): Soon<CatalogReading> {
    if (running !== undefined) return running.next ?? running.reading
    if (latest !== undefined && clock.monotonic() - latest.since < maxAgeMs) return latest.reading
    return begin()
  }
  return { get, renew }
}

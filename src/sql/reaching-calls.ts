import { OPAQUE_FUNCTIONS } from './builtin-functions.ts'
import { denied, touch, touchRelation, wall, type At, type Privilege } from './findings.ts'
import { usesLargeObjects } from './large-objects.ts'
import { targetResource } from './relations.ts'
import { as, constantText, parts, type Body, type Node } from './tree.ts'

/** Of the opaque functions, those that do not reach what is in relations or files, and run nothing. */
const REACHES_NOTHING =
  /^(current_query|amvalidate|plpgsql_validator|pg_config|pg_control_.+|pg_get_(wait_events|wal_.+|shmem_.+|backend_memory_contexts|loaded_modules)|pg_(ddl_command|dependencies|mcv_list|ndistinct|node_tree)_send|pg_isolation_test_session_is_blocked|pg_(last_committed_xact|xact_commit_timestamp_origin|current_logfile|log_backend_memory_contexts|log_standby_snapshot)|pg_stat_(force_next_flush|have_stats|get_xact_.+))$/

const RUNS_TEXT = /^((query|cursor|table|schema|database)_to_xml.*|ts_stat|ts_rewrite)$/
const USES_FILES =
  /^(pg_read_.+|pg_ls_.+|pg_stat_file|pg_file_.+|pg_hba_file_rules|pg_ident_file_mappings|pg_show_all_file_settings)$/

/**
 * Functions of PostgreSQL's own extensions (contrib, 18) that run SQL from text or read relations, pages or files by
 * what they are given, in whatever schema they are.
 */
const OF_EXTENSIONS =
  /^(dblink.*|crosstab(n|[234]|_hash)?|connectby|xpath_table|get_raw_page|pg_relpages|pgstat(tuple|tuple_approx|index|ginindex|hashindex)|verify_heapam|[bg]t_index_(parent_)?check|gin_index_check|pg_prewarm|autoprewarm_.+|pg_visibility.*|pg_check_(frozen|visible)|pg_truncate_visibility_map|pg_freespace|pgrowlocks|heap_force_(kill|freeze)|bt_(metap|page_.+|multi_page_stats)|brin_(page_type|page_items|metapage_info|revmap_data)|gist_page_.+|hash_page_.+|hash_bitmap_info|hash_metapage_info|gin_(metapage|page_opaque)_info|gin_leafpage_items|pg_get_wal_(record|block|stats).*|pg_get_logical_snapshot_.+|postgres_fdw_.+|pg_stat_statements)$/

/** Functions of the system that read or set a sequence by its name. */
const SEQUENCES: ReadonlyMap<string, string> = new Map([
  ['nextval', 'sql.update'],
  ['setval', 'sql.update'],
  ['pg_sequence_last_value', 'sql.select'],
])

/** What a call reaches besides what its statement names: rules about that are not evaded by a function. */
export function touchReached(at: At, name: readonly string[], args: readonly Node[]): void {
  const bare = name.at(-1) ?? ''
  if (OF_EXTENSIONS.test(bare)) return objectToReaching(at, bare, 'code')
  if (name.length > 1 && name[0] !== 'pg_catalog') return
  const action = SEQUENCES.get(bare)
  if (action !== undefined) return touchSequence(at, bare, action, args[0])
  if (bare === 'pg_notify') return touchChannel(at, args[0])
  // With three arguments it runs nothing.
  if (!OPAQUE_FUNCTIONS.has(bare) || usesLargeObjects(bare) || (bare === 'ts_rewrite' && args.length === 3)) return
  if (!REACHES_NOTHING.test(bare)) objectToReaching(at, bare, kindOf(bare))
}

function kindOf(name: string): Privilege {
  if (USES_FILES.test(name)) return 'file'
  return RUNS_TEXT.test(name) ? 'code' : 'catalog'
}

function objectToReaching(at: At, name: string, kind: Privilege): void {
  const message = `${name} is refused: what it would read or do cannot be told from the statement.`
  wall(at, kind, denied(message, 'name tables and columns in a statement of your own'))
}

function touchSequence(at: At, name: string, action: string, of: Node | undefined): void {
  const sequence = readRange(sequenceOf(of))
  if (sequence !== undefined) touchRelation(at, action, sequence)
  else wall(at, 'names', denied(`${name} needs the name of the sequence as a plain string.`, `write ${name}('name')`))
}

/** `'ticket'`, `'ticket'::regclass`; of `pg_get_serial_sequence('visits', 'id')` the table, whose rules hold for it. */
function sequenceOf(node: Node | undefined): string | undefined {
  const arg = as('NamedArgExpr', node)?.arg ?? node
  const cast = as('TypeCast', arg)
  if (cast !== undefined) return /^(regclass|text)$/.test(typeOf(cast)) ? sequenceOf(cast.arg) : undefined
  const call = as('FuncCall', arg)
  const own = parts(call?.funcname).filter((part) => part !== 'pg_catalog')
  return constantText(own.join('.') === 'pg_get_serial_sequence' ? call?.args?.[0] : arg)
}

function typeOf(cast: Body<'TypeCast'>): string {
  return parts(cast.typeName?.names).at(-1) ?? ''
}

const PART = String.raw`\s*(?:([a-z_][a-z0-9_$]*)|"((?:[^"]|"")+)")\s*`
const NAME = new RegExp(`^${PART}(?:[.]${PART})?$`, 'i')

/** A name as `regclass` reads it; undefined for an OID, and for what is not plain. */
function readRange(text: string | undefined): Body<'RangeVar'> | undefined {
  const found = NAME.exec(text ?? '')
  if (found === null) return undefined
  const [first, second] = [partOf(found[1], found[2]), partOf(found[3], found[4])]
  return second === undefined ? { relname: first! } : { schemaname: first!, relname: second }
}

function partOf(plain: string | undefined, quoted: string | undefined): string | undefined {
  return plain?.toLowerCase() ?? quoted?.replaceAll('""', '"')
}

/** NOTIFY in another form. */
function touchChannel(at: At, channel: Node | undefined): void {
  touch(at, 'sql.notify', targetResource(at.names), { args: { '/channel': constantText(channel) ?? '*' } })
}

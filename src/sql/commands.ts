import { readTruncate } from './cascades.ts'
import { readCopy } from './copy.ts'
import { walk, walkCopied } from './expressions.ts'
import { denied, object, objectToReplanning, touch, touchRelation, wall, type At } from './findings.ts'
import { callProcedure } from './functions.ts'
import type { Outcome, ReadInner, Rule } from './outcome.ts'
import { schemaResource, targetResource } from './relations.ts'
import { checkSetting } from './settings.ts'
import type { SessionName, Statement } from './reader.ts'
import { as, constantText, open, parts, type Body, type Node, type NodeName } from './tree.ts'

const NONE: Outcome = { effect: 'none' }

function names(does: 'execute' | 'fetch', name: string | undefined): SessionName {
  return { does, name: name ?? '' }
}

/** The relations of a list, or the whole target when there is none. */
function onEach(at: At, action: string, ranges: readonly (Body<'RangeVar'> | undefined)[]): void {
  for (const range of ranges) if (range !== undefined) touchRelation(at, action, range)
  if (ranges.length === 0) touch(at, action, targetResource(at.names))
}

const TRANSACTIONS: Readonly<Record<string, NonNullable<Statement['transaction']>>> = {
  TRANS_STMT_BEGIN: 'begin',
  TRANS_STMT_START: 'begin',
  TRANS_STMT_COMMIT: 'commit',
  TRANS_STMT_ROLLBACK: 'rollback',
  TRANS_STMT_SAVEPOINT: 'savepoint',
  TRANS_STMT_RELEASE: 'savepoint',
  TRANS_STMT_ROLLBACK_TO: 'savepoint',
}

function readTransaction(body: Body<'TransactionStmt'>, at: At): Outcome {
  const transaction = TRANSACTIONS[body.kind ?? '']
  const kind = (body.kind ?? '').replace('TRANS_STMT_', '').toLowerCase().replaceAll('_', ' ')
  touch(at, 'sql.transaction', targetResource(at.names), { args: { '/kind': kind } })
  if (transaction === undefined) {
    wall(
      at,
      'two-phase',
      denied('Two-phase commit is refused: it would outlive the session.', 'use COMMIT or ROLLBACK'),
    )
    return body.kind === 'TRANS_STMT_PREPARE' ? { transaction: 'commit', effect: 'final' } : {}
  }
  return { transaction, effect: transaction === 'commit' ? 'final' : 'none' }
}

function readSet(body: Body<'VariableSetStmt'>, at: At): Outcome {
  const name = (body.name ?? '').toLowerCase()
  if (body.kind === 'VAR_SET_MULTI') return readSetTransaction(body, name, at)
  const value = body.kind === 'VAR_SET_VALUE' ? (body.args ?? []).map(settingText).join(', ') : undefined
  const role = name === 'role' || name === 'session_authorization'
  const all = body.kind === 'VAR_RESET_ALL'
  set(at, role ? 'sql.set_role' : 'sql.set', all ? 'all' : name, value)
  if (all || name === 'search_path') at.findings.changesSearchPath = true
  return NONE
}

function set(at: At, action: string, name: string, value: string | undefined): void {
  touch(at, action, targetResource(at.names), { args: { '/name': name, '/value': value ?? 'DEFAULT' } })
  checkSetting(at, name, value)
}

function settingText(node: Node): string {
  return constantText(as('TypeCast', node)?.arg ?? node) ?? ''
}

/** SET TRANSACTION is about the transaction it is in; SESSION CHARACTERISTICS sets the defaults of those to come. */
function readSetTransaction(body: Body<'VariableSetStmt'>, name: string, at: At): Outcome {
  if (name !== 'session characteristics') {
    touch(at, 'sql.transaction', targetResource(at.names), { args: { '/kind': `set ${name}` } })
    return NONE
  }
  for (const node of body.args ?? []) {
    const option = as('DefElem', node)
    set(at, 'sql.set', `default_${option?.defname ?? ''}`, constantText(option?.arg))
  }
  return NONE
}

function readDiscard(body: Body<'DiscardStmt'>, at: At): Outcome {
  touch(at, 'sql.set', targetResource(at.names), { args: { '/name': 'all', '/value': 'DEFAULT' } })
  if (body.target === 'DISCARD_TEMP') touch(at, 'sql.drop', schemaResource(at.names, 'pg_temp'))
  if (body.target !== 'DISCARD_ALL') return NONE
  at.findings.changesSearchPath = true
  return { effect: 'none', uses: { does: 'forget' } }
}

/** EXPLAIN plans its statement, with ANALYZE it runs it. Functions of constants are called by planning alone. */
function readExplain(body: Body<'ExplainStmt'>, at: At, inner: ReadInner): Outcome {
  const statement = inner(body.query ?? ({} as Node))
  const runs = (body.options ?? []).some((node) => isAnalyze(as('DefElem', node)))
  adopt(statement, at)
  if (runs) objectToMeasuring(statement, at)
  for (const each of statement.touches) {
    const planned = runs || /^sql\.(call|select|unknown)$/.test(each.action) || each.resource.type !== 'Table'
    at.findings.touches.push(
      planned ? each : { ...each, action: 'sql.select', facts: { ...each.facts, unbounded: false } },
    )
  }
  const uses = statement.uses?.does === 'execute' ? { uses: statement.uses } : {}
  return runs ? { effect: statement.effect, ...uses } : uses
}

/** EXPLAIN ANALYZE tells how much memory and output values take: of what is made of one, `translate` makes any question. */
function objectToMeasuring({ computesHidden, uses }: Statement, at: At): void {
  const mayCompute = computesHidden || (uses?.does === 'execute' && at.hidden.columns.size > 0)
  if (!mayCompute || at.inference === 'any') return
  const hint = 'leave out ANALYZE, or select masked columns as they are'
  object(at, denied('EXPLAIN ANALYZE may tell the size of what is made of columns that are masked for you.', hint))
}

function isAnalyze(option: Body<'DefElem'> | undefined): boolean {
  if (option?.defname?.toLowerCase() !== 'analyze') return false
  const value = as('String', option.arg)?.sval ?? as('Integer', option.arg)?.ival
  const off =
    option.arg !== undefined &&
    (/^(off|false)$/i.test(String(value)) || ('Integer' in option.arg && (value ?? 0) === 0))
  return !off
}

/** What is found in the inner statement counts for the outer one. */
function adopt(statement: Statement, at: At): void {
  const facts = statement.touches[0]?.facts.own
  for (const name of (facts?.functions as readonly string[] | undefined) ?? []) at.findings.functions.add(name)
  for (const name of (facts?.volatile_functions as readonly string[] | undefined) ?? []) at.findings.volatile.add(name)
  if (statement.objection !== undefined) object(at, statement.objection)
  at.findings.touchesHidden ||= statement.touchesHidden
  at.findings.computesHidden ||= statement.computesHidden
  at.findings.changesSearchPath ||= statement.changesSearchPath
  at.findings.nameChanges.push(...statement.nameChanges)
}

function readNamed(
  does: 'prepare' | 'declare',
  name: string | undefined,
  query: Node | undefined,
  at: At,
  inner: ReadInner,
): Outcome {
  const statement = inner(query ?? ({} as Node))
  adopt(statement, at)
  at.findings.touches.push(...statement.touches)
  return { effect: 'none', uses: { does, name: name ?? '', statement } }
}

function rangesOf(nodes: readonly Node[] | undefined): readonly (Body<'RangeVar'> | undefined)[] {
  return (nodes ?? []).map((node) => as('RangeVar', node) ?? as('VacuumRelation', node)?.relation)
}

function channel(action: string, outcome: Outcome): (body: { readonly conditionname?: string }, at: At) => Outcome {
  return (body, at) => {
    touch(at, action, targetResource(at.names), { args: { '/channel': body.conditionname ?? '*' } })
    return outcome
  }
}

function readReindex(body: Body<'ReindexStmt'>, at: At): void {
  const schema = body.kind === 'REINDEX_OBJECT_SCHEMA' ? body.name : undefined
  if (schema !== undefined) touch(at, 'sql.maintain', schemaResource(at.names, schema))
  else onEach(at, 'sql.maintain', body.relation === undefined ? [] : [body.relation])
}

/** The rows of a table then come in the order of its index. */
function readCluster(body: Body<'ClusterStmt'>, at: At): void {
  const found = body.relation === undefined ? [] : touchRelation(at, 'sql.maintain', body.relation)
  if (found.length === 0) touch(at, 'sql.maintain', targetResource(at.names))
  if (found.some(({ relation }) => relation !== undefined && at.hidden.columns.has(relation.oid)))
    object(at, denied('CLUSTER would order rows by columns that may be masked for you.', 'use VACUUM FULL'))
}

/** What runs, steers the session, or keeps the database in order. */
export const COMMANDS = {
  CallStmt: (body, at) => {
    callProcedure(at, parts(body.funccall?.funcname))
    walk(body.funccall?.args, at)
  },
  CheckPointStmt: (_, at) => touch(at, 'sql.maintain', targetResource(at.names)),
  ClosePortalStmt: (body, at) => {
    touch(at, 'sql.transaction', targetResource(at.names), { args: { '/kind': 'close' } })
    return { effect: 'none', uses: { does: 'close', name: body.portalname ?? null } }
  },
  ClusterStmt: readCluster,
  ConstraintsSetStmt: (_, at) => {
    touch(at, 'sql.transaction', targetResource(at.names), { args: { '/kind': 'set constraints' } })
    return { effect: 'final' } // IMMEDIATE checks and fires what was put off, as COMMIT does
  },
  CopyStmt: readCopy,
  DeallocateStmt: (body, at) => {
    touch(at, 'sql.transaction', targetResource(at.names), { args: { '/kind': 'deallocate' } })
    return { effect: 'none', uses: { does: 'deallocate', name: body.isall === true ? null : (body.name ?? '') } }
  },
  DeclareCursorStmt: (body, at, inner) => readNamed('declare', body.portalname, body.query, at, inner),
  DiscardStmt: readDiscard,
  DoStmt: (_, at) => {
    touch(at, 'sql.do', targetResource(at.names))
    wall(
      at,
      'code',
      denied('DO is refused: what its code would do cannot be analysed.', 'send the statements themselves'),
    )
    at.findings.changesSearchPath = true
  },
  ExecuteStmt: (body, at) => {
    walkCopied(body.params, at)
    objectToReplanning(body.name, at)
    return { effect: 'final', uses: names('execute', body.name) }
  },
  ExplainStmt: readExplain,
  FetchStmt: (body) => ({ effect: 'none', uses: names('fetch', body.portalname) }),
  ListenStmt: channel('sql.listen', NONE),
  LockStmt: (body, at) => {
    onEach(at, 'sql.lock', rangesOf(body.relations))
    return NONE
  },
  NotifyStmt: channel('sql.notify', {}),
  PrepareStmt: (body, at, inner) => readNamed('prepare', body.name, body.query, at, inner),
  RefreshMatViewStmt: (body, at) => onEach(at, 'sql.maintain', [body.relation]),
  ReindexStmt: readReindex,
  TransactionStmt: readTransaction,
  TruncateStmt: readTruncate,
  UnlistenStmt: channel('sql.listen', NONE),
  VacuumStmt: (body, at) => onEach(at, 'sql.maintain', rangesOf(body.rels)),
  VariableSetStmt: readSet,
  VariableShowStmt: (body, at) => {
    touch(at, 'sql.show', targetResource(at.names), { args: { '/name': (body.name ?? '').toLowerCase() } })
    return NONE
  },
} satisfies { readonly [K in NodeName]?: Rule<K> }

/** True for the node of a query: SELECT, INSERT, UPDATE, DELETE, MERGE. */
export function isQuery(node: Node): boolean {
  return /^(Select|Insert|Update|Delete|Merge)Stmt$/.test(open(node)?.[0] ?? '')
}

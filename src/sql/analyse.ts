import type { ParseResult } from 'libpg-query'
import type { Touch } from '../gateway/domain.ts'
import { refuse } from '../gateway/refusals.ts'
import type { CatalogIndex } from './catalog-index.ts'
import { COMMANDS, isQuery } from './commands.ts'
import { DEFINITIONS } from './definitions.ts'
import { hidesAny } from './flow.ts'
import { newFindings, object, touch, type At, type Findings } from './findings.ts'
import type { Outcome, Rule } from './outcome.ts'
import type { Rewrite } from './rewrites.ts'
import { readQuery } from './queries.ts'
import type { NameChange, ReadRequest, Statement } from './reader.ts'
import { targetResource, type Names } from './relations.ts'
import { open as opened, type Node, type NodeName } from './tree.ts'
import { objectToTouches } from './walls.ts'

/** Every statement of PostgreSQL 18's grammar that is not a query. What is not here is not known, and refused. */
const RULES: ReadonlyMap<string, Rule<NodeName>> = new Map(
  Object.entries({ ...DEFINITIONS, ...COMMANDS }) as [string, Rule<NodeName>][],
)

/** Reads every statement of a parsed text; behind the wall, notes in `rewrites` what has to be written instead. */
export function analyse(
  tree: ParseResult,
  request: Omit<ReadRequest, 'text'>,
  catalog: CatalogIndex,
  rewrites: Set<Rewrite> = new Set(),
): readonly Statement[] {
  const hidden = catalog.hidden(request.hidden)
  const { open = false } = request
  const readWith = (names: Names, node: Node): Statement => {
    const { inference = 'none' } = request
    const findings = newFindings()
    const wall = request.wall === true ? { rewrites } : {}
    const reading = { names, hidden, open, inference, ...wall, findings }
    const at: At = { ...reading, scope: undefined, ctes: new Map(), query: readQuery }
    return readStatement(node, at, (inner) => readWith(names, inner))
  }
  let searchPath = request.searchPath
  const changed = new Map<string, NameChange['now']>()
  addChanges(changed, request.changed ?? [])
  return (tree.stmts ?? []).map((raw) => {
    const { target, temporary } = request
    const statement = readWith({ target, catalog, searchPath, temporary, changed }, raw.stmt ?? ({} as Node))
    // What comes behind a change of the path in the same text is resolved in every schema.
    if (statement.changesSearchPath) searchPath = undefined
    addChanges(changed, statement.nameChanges)
    return statement
  })
}

/** The change that says least about the name counts. */
function addChanges(changed: Map<string, NameChange['now']>, changes: readonly NameChange[]): void {
  const doubt = { made: 1, reshaped: 2, gone: 3, shown: 4, moved: 5 }
  for (const { name, now } of changes) {
    const before = changed.get(name)
    if (before === undefined || doubt[now] > doubt[before]) changed.set(name, now)
  }
}

function readStatement(node: Node, at: At, read: (node: Node) => Statement): Statement {
  const [name, body] = opened(node) ?? ['', {}]
  const outcome = isQuery(node) ? readQueryStatement(node, at) : applyRule(RULES.get(name), name, body, at, read)
  objectToTouches(at)
  const touches = settle(at.findings)
  const reads = touches.every((each) => /^sql\.(select|lo_read)$/.test(each.action))
  const { findings } = at
  return {
    node: name,
    touches,
    effect: outcome.effect ?? (reads ? 'none' : 'final'),
    ...(outcome.uses !== undefined && { uses: outcome.uses }),
    ...(outcome.transaction !== undefined && { transaction: outcome.transaction }),
    ...(outcome.copy !== undefined && { copy: outcome.copy }),
    ...(outcome.hides !== undefined && hidesAny(outcome.hides) && { hides: outcome.hides }),
    changesSearchPath: findings.changesSearchPath,
    changesNames: findings.nameChanges.length > 0 || touches.some(({ action }) => /^sql\.(create|drop)$/.test(action)),
    nameChanges: findings.nameChanges,
    touchesHidden: findings.touchesHidden,
    computesHidden: findings.computesHidden,
    explainable: isQuery(node) && findings.objection === undefined && !touches.some((each) => !isData(each)),
    ...(findings.objection !== undefined && { objection: findings.objection }),
  }
}

function isData(each: Touch): boolean {
  return /^sql\.(select|insert|update|delete)$/.test(each.action)
}

/** A SELECT that touches no relation is asked for on the target. */
function readQueryStatement(node: Node, at: At): Outcome {
  const { hides } = readQuery(node, at)
  const reads = at.findings.touches.some((each) => !/^sql\.(call|lo_read|lo_write)$/.test(each.action))
  if (!reads) touch(at, 'sql.select', targetResource(at.names))
  return { hides }
}

function applyRule(
  rule: Rule<NodeName> | undefined,
  name: string,
  body: object,
  at: At,
  read: (node: Node) => Statement,
): Outcome {
  if (rule !== undefined) return rule(body as never, at, read) ?? {}
  touch(at, 'sql.unknown', targetResource(at.names), { unbounded: true })
  object(
    at,
    refuse('unreadable', `A statement of kind ${name || 'unknown'} cannot be read.`, [
      { do: 'change', hint: 'leave it out: no rule can allow what is not understood' },
    ]),
  )
  return { effect: 'final' }
}

/** Each action on each resource once, unbounded when any of its touches is; with the functions of the whole statement. */
function settle(findings: Findings): readonly Touch[] {
  const functions = [...findings.functions].sort()
  const predicates = [...findings.uses].sort()
  const volatile_functions = [...findings.volatile].sort()
  const merged = new Map<string, Touch>()
  for (const each of findings.touches) {
    const key = JSON.stringify([each.action, each.resource.type, each.resource.id, each.facts.args])
    const before = merged.get(key)?.facts
    const unbounded = each.facts.unbounded || before?.unbounded === true
    const hasWhere = each.facts.own.has_where === true && before?.own.has_where !== false
    const own = { ...each.facts.own, has_where: hasWhere, functions, volatile_functions, predicates }
    merged.set(key, { ...each, facts: { ...each.facts, unbounded, own } })
  }
  return [...merged.values()]
}

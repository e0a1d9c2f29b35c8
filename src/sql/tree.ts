import type { Node } from 'libpg-query'

/** A parse tree as PostgreSQL's own node names: `{ SelectStmt: { targetList: [...] } }`. Fields at their zero are absent. */
export type { Node } from 'libpg-query'

type Keys<N> = N extends unknown ? keyof N : never
export type NodeName = Keys<Node>
/** The fields of a node by its name: `Body<'SelectStmt'>`. */
export type Body<K extends NodeName> = Extract<Node, Record<K, unknown>>[K]

/** Any object of a tree, when its node does not matter. */
export type Tree = { readonly [field: string]: unknown }

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The node's name and fields, or undefined for the empty node the parser writes for NULL. */
export function open(node: Node | undefined): readonly [NodeName, Tree] | undefined {
  if (node === undefined) return undefined
  const entry = Object.entries(node)[0] as [NodeName, Tree] | undefined
  return entry
}

/** The fields of `node` when it is a `name`. */
export function as<K extends NodeName>(name: K, node: Node | undefined): Body<K> | undefined {
  return node !== undefined && name in node ? (node as unknown as Record<K, Body<K>>)[name] : undefined
}

/** The text of a String node. */
export function textOf(node: Node | undefined): string | undefined {
  const body = as('String', node)
  return body === undefined ? undefined : (body.sval ?? '')
}

/** A dotted name as its parts: a List of String, a list of String, or a String. Anything else in it is left out. */
export function parts(node: Node | readonly Node[] | undefined): readonly string[] {
  if (node === undefined) return []
  const found: string[] = []
  for (const each of Array.isArray(node) ? (node as readonly Node[]) : [node as Node]) {
    const items = as('List', each)?.items
    const text = textOf(each)
    if (items !== undefined) found.push(...parts(items))
    else if (text !== undefined) found.push(text)
  }
  return found
}

/** A constant's canonical text; undefined for NULL and for what is no constant. */
export function constantText(node: Node | undefined): string | undefined {
  const constant = as('A_Const', node)
  if (constant === undefined || constant.isnull) return undefined
  if (constant.ival !== undefined) return String(constant.ival.ival ?? 0)
  if (constant.fval !== undefined) return constant.fval.fval ?? '0'
  if (constant.boolval !== undefined) return String(constant.boolval.boolval ?? false)
  if (constant.bsval !== undefined) return constant.bsval.bsval ?? ''
  return constant.sval?.sval ?? ''
}

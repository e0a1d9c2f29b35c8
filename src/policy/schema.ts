import { readFileSync } from 'node:fs'
import { schemaToJson } from '@cedar-policy/cedar-wasm/nodejs'
import type { NamespaceDefinition } from '@cedar-policy/cedar-wasm/nodejs'
import { Fault } from '../gateway/fault.ts'
import type { Actions } from './scope.ts'

/** The published Cedar schema, as `sallyport policy schema` prints it. */
export function schemaText(): string {
  return readFileSync(new URL('../../src/policy/schema.cedarschema', import.meta.url), 'utf8')
}

/** Throws Fault `policy` when the schema is not one. */
function parse(schema: string): NamespaceDefinition<string> {
  const answer = schemaToJson(schema)
  if (answer.type === 'failure') throw new Fault('policy', `The policy schema: ${answer.errors[0]?.message}`)
  return answer.json['']!
}

/** The actions of a schema that can be asked for; a group of them is none. Throws Fault `policy`. */
export function actionsIn(schema: string): Actions {
  const { actions } = parse(schema)
  const above = (name: string): readonly string[] => [
    name,
    ...(actions[name]?.memberOf ?? []).flatMap(({ id }) => above(id)),
  ]
  const asked = Object.entries(actions).filter(([, { appliesTo }]) => (appliesTo?.resourceTypes ?? []).length > 0)
  return new Map(
    asked.map(([name, { appliesTo }]) => [
      name,
      { above: new Set(above(name)), on: new Set(appliesTo?.resourceTypes) },
    ]),
  )
}

/** Names of the facts that some action's `context` has. Throws Fault `policy` when the schema is not one. */
export function contextFacts(schema: string): ReadonlySet<string> {
  const { actions, commonTypes = {} } = parse(schema)
  const contexts = Object.values(actions).map((action) => action.appliesTo?.context)
  return new Set([...Object.values(commonTypes), ...contexts].flatMap(attributeNames))
}

function attributeNames(type: object | undefined): readonly string[] {
  return type && 'attributes' in type ? Object.keys(type.attributes as object) : []
}

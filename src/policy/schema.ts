import { readFileSync } from 'node:fs'
import { schemaToJson } from '@cedar-policy/cedar-wasm/nodejs'
import { Fault } from '../gateway/fault.ts'

/** The published Cedar schema, as `sallyport policy schema` prints it. */
export function schemaText(): string {
  return readFileSync(new URL('../../src/policy/schema.cedarschema', import.meta.url), 'utf8')
}

/** Names of the facts that some action's `context` has. Throws Fault `policy` when the schema is not one. */
export function contextFacts(schema: string): ReadonlySet<string> {
  const answer = schemaToJson(schema)
  if (answer.type === 'failure') throw new Fault('policy', `The policy schema: ${answer.errors[0]?.message}`)
  const { actions, commonTypes = {} } = answer.json['']!
  const contexts = Object.values(actions).map((action) => action.appliesTo?.context)
  return new Set([...Object.values(commonTypes), ...contexts].flatMap(attributeNames))
}

function attributeNames(type: object | undefined): readonly string[] {
  return type && 'attributes' in type ? Object.keys(type.attributes as object) : []
}

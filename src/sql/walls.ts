import type { Resource, Touch } from '../gateway/domain.ts'
import { denied, object, outdated, type At } from './findings.ts'
import { targetResource } from './relations.ts'
import { isSystemSchema } from './system-relations.ts'

const WRITE = /^sql\.(insert|update|delete|truncate|create|alter|drop)$/

/** What stands before every statement whatever the policy says, seen from what it touches. */
export function objectToTouches(at: At, touches: readonly Touch[]): void {
  for (const { action, resource } of touches) {
    const schema = schemaName(at, resource)
    if (schema === undefined) continue
    const system = isSystem(schema)
    if (system && WRITE.test(action)) object(at, writesSystem(schema))
    if (!system && at.names.changed.has('*')) object(at, outdated(resource.id))
  }
}

/** An UPDATE of pg_settings is a SET; other system relations are what names, rights and rules are made of. */
function writesSystem(schema: string): ReturnType<typeof denied> {
  return denied(`Nothing in the schema ${schema} may be changed here.`, 'use the statement that is made for it')
}

function schemaName(at: At, resource: Resource): string | undefined {
  const schema = resource.type === 'Table' ? resource.parent : resource
  return schema?.type === 'Schema' ? schema.id.slice(targetResource(at.names).id.length + 1) : undefined
}

function isSystem(schema: string): boolean {
  return isSystemSchema(schema) || schema.startsWith('pg_toast')
}

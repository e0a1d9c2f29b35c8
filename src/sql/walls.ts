import type { Resource } from '../gateway/domain.ts'
import { denied, outdated, wall, type At } from './findings.ts'
import { targetResource } from './relations.ts'
import { isSystemSchema } from './system-relations.ts'

const WRITE = /^sql\.(insert|update|delete|truncate|create|alter|drop)$/

/** The walls before every statement, seen from what it touches. */
export function objectToTouches(at: At): void {
  const found = at.findings.touches.slice()
  for (const { action, resource } of found) {
    const schema = schemaName(at, resource)
    if (schema === undefined) continue
    const system = isSystem(schema)
    if (system && WRITE.test(action)) wall(at, 'catalog', writesSystem(schema))
    if (!system && at.names.changed.has('*')) wall(at, 'names', outdated(resource.id))
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

import type { Refusal, Resource, Touch } from '../../gateway/domain.ts'
import { refuse } from '../../gateway/refusals.ts'
import { createsLargeObject } from '../../sql/large-objects.ts'
import type { PostgresTarget } from './postgres-target.ts'

/** What lies there is gone with the connection. PostgreSQL lets nobody give a schema of their own such a name. */
const TEMPORARY = /\/pg_temp(_\d+)?$/

/**
 * Where the lease names no owner, what a session creates would be dropped with its role: it is refused, whatever the
 * policy says. Temporary objects are nobody's loss.
 */
export function creationObjection(target: PostgresTarget, touches: readonly Touch[]): Refusal | undefined {
  if (target.keepsCreations) return undefined
  const created = touches.find(isCreation)
  if (created === undefined) return undefined
  const { type, id } = created.resource
  const message = `${verbOf(created)} on ${type} ${id} is refused: target ${target.name} names nobody to own what sessions create.`
  return refuse('denied', message, [
    { do: 'change', hint: 'Use a temporary table, which lasts as long as the session.' },
    { do: 'ask', hint: `An operator can name an owner in the lease of target ${target.name}.` },
  ])
}

function isCreation({ action, resource, facts }: Touch): boolean {
  if (action === 'sql.lo_write') return createsLargeObject(facts.args['/function'] ?? '')
  return action === 'sql.create' && !isTemporary(resource)
}

function verbOf({ facts }: Touch): string {
  return facts.args['/function'] ?? 'CREATE'
}

function isTemporary(resource: Resource): boolean {
  const schema = resource.type === 'Table' ? resource.parent : resource
  return schema?.type === 'Schema' && TEMPORARY.test(schema.id)
}

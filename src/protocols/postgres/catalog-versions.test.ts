import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { CatalogRelation } from '../../sql/catalog.ts'
import { versionsOf } from './catalog-versions.ts'

function relation(oid: number, more: Partial<CatalogRelation> = {}): CatalogRelation {
  return { oid, schema: 'public', name: `r${oid}`, kind: 'table', columns: [], reads: [], ...more }
}

const temporary = (oid: number, more: Partial<CatalogRelation> = {}): CatalogRelation =>
  relation(oid, { schema: 'pg_temp_3', owner: 'ana', ...more })
const versions = (...relations: readonly CatalogRelation[]) => versionsOf({ relations, functions: [], operators: [] })

describe('the versions of a catalog', () => {
  it('change for everybody with what everybody sees', () => {
    assert.notEqual(versions(relation(1)).shared, versions(relation(1), relation(2)).shared)
    assert.notEqual(
      versionsOf({ relations: [], functions: ['a.b'], operators: [] }).shared,
      versionsOf({ relations: [], functions: [], operators: [] }).shared,
    )
  })

  it('change only for its session with a temporary relation', () => {
    const before = versions(relation(1), temporary(2), temporary(3, { schema: 'pg_temp_4' }))
    const after = versions(relation(1), temporary(2), temporary(3, { schema: 'pg_temp_4', name: 'other' }))
    assert.notEqual(after.version, before.version)
    assert.equal(after.shared, before.shared)
    assert.equal(after.temporary?.['pg_temp_3'], before.temporary?.['pg_temp_3'])
    assert.notEqual(after.temporary?.['pg_temp_4'], before.temporary?.['pg_temp_4'])
  })

  it('change for everybody with a temporary relation that others read through, or that is sensitive', () => {
    const parent = relation(1, { reads: [2], children: [2] })
    const child = (reads: readonly number[]) => temporary(2, { reads, children: reads })
    const grandchild = (name: string) => temporary(3, { name })
    assert.notEqual(
      versions(parent, child([3]), grandchild('a')).shared,
      versions(parent, child([3]), grandchild('b')).shared,
    )
    const sensitive = temporary(2, { columns: [{ name: 'a', number: 1, classes: ['pii'] }] })
    assert.notEqual(versions(sensitive).shared, versions().shared)
  })
})

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Catalog, CatalogRelation, RelationKind } from '../../sql/catalog.ts'
import type { SqlReader } from '../../sql/reader.ts'
import { startSqlReader } from '../../sql/worker-reader.ts'
import type { CatalogQuery } from './catalog.ts'
import { viewFollower } from './view-lineage.ts'

let reader: SqlReader
before(() => {
  reader = startSqlReader()
})
after(() => reader?.[Symbol.asyncDispose]())

function relation(oid: number, name: string, kind: RelationKind, columns: readonly string[]): CatalogRelation {
  const made = columns.map((column, i) => ({ name: column, number: i + 1, classes: [] }))
  return { oid, schema: 'public', name, kind, columns: made, reads: [] }
}

const CUSTOMERS: CatalogRelation = {
  ...relation(1, 'customers', 'table', []),
  columns: [
    { name: 'id', number: 1, classes: [] },
    { name: 'email', number: 2, classes: ['pii'] },
    { name: 'card', number: 3, classes: ['card'] },
  ],
}

type View = CatalogRelation & { readonly definition?: string }

function view(oid: number, name: string, columns: readonly string[], definition: string, reads = [1]): View {
  return { ...relation(oid, name, 'view', columns), followable: true, definition, reads }
}

async function classesOf(...relations: readonly View[]): Promise<Record<string, string>> {
  const catalog: Catalog = {
    version: '1',
    relations: [CUSTOMERS, ...relations],
    functions: ['public.f'],
    operators: [],
  }
  const query: CatalogQuery = async (sql) => relations.filter(({ oid }) => sql.includes(`pg_get_viewdef(${oid})`))
  const follow = viewFollower({ query, classes: ['pii', 'card'], reader, target: 'shop' })
  const { relations: followed } = await follow(catalog)
  const told = followed.slice(1).map(({ name, columns, followed: known }) => {
    return [name, `${columns.map(({ classes }) => classes.join('+') || '-').join(' ')}${known ? '' : ' ?'}`]
  })
  return Object.fromEntries(told) as Record<string, string>
}

describe('the classes of the columns of a view', () => {
  it('are those of what they are made of', async () => {
    const definition =
      'SELECT id, upper(email) AS e, email || card AS both, count(*) OVER () AS n FROM public.customers;'
    assert.deepEqual(await classesOf(view(2, 'v', ['id', 'e', 'both', 'n'], definition)), { v: '- pii card+pii -' })
  })

  it('are followed through other views, whatever their order', async () => {
    const second = view(2, 'second', ['x'], 'SELECT e AS x FROM public.first;', [3])
    const first = view(3, 'first', ['id', 'e'], 'SELECT id, email AS e FROM public.customers;')
    assert.deepEqual(await classesOf(second, first), { second: 'pii', first: '- pii' })
  })

  it('are not those of conditions, which whoever made it chose', async () => {
    const definition = "SELECT id FROM public.customers WHERE email ~~ '%@example.com' ORDER BY card;"
    assert.deepEqual(await classesOf(view(2, 'v', ['id'], definition)), { v: '-' })
  })

  it('are not known where a function may do anything, and then neither are those of views of it', async () => {
    const opaque = view(2, 'opaque', ['x'], 'SELECT public.f(email) AS x FROM public.customers;')
    const above = view(3, 'above', ['x'], 'SELECT x FROM public.opaque;', [2])
    assert.deepEqual(await classesOf(opaque, above), { opaque: '- ?', above: '- ?' })
  })

  it('are not known where the query gives another number of columns', async () => {
    assert.deepEqual(await classesOf(view(2, 'v', ['id'], 'SELECT id, email FROM public.customers;')), { v: '- ?' })
  })

  it('are not known while its query cannot be told, or names what the catalog does not have', async () => {
    const locked: View = { ...relation(2, 'locked', 'view', ['x']), followable: true, reads: [1] }
    const newer = view(3, 'newer', ['x'], 'SELECT customers.id AS x FROM public.customers, public.newest;')
    assert.deepEqual(await classesOf(locked, newer), { locked: '- ?', newer: '- ?' })
  })

  it('are asked for again once its query can be told, and not while nothing has changed', async () => {
    const locked: View = { ...relation(2, 'locked', 'view', ['x']), followable: true, reads: [1] }
    const definition = 'SELECT email AS x FROM public.customers;'
    let asked = 0
    const query: CatalogQuery = async () => (asked++ === 0 ? Promise.reject(new Error('locked')) : [{ definition }])
    const follow = viewFollower({ query, classes: ['pii'], reader, target: 'shop' })
    const none = { functions: [], operators: [], stableFunctions: [], setFunctions: [] }
    const catalog: Catalog = { version: '1', shared: '1', relations: [CUSTOMERS, locked], ...none }
    const classes: unknown[] = []
    for (let time = 0; time < 3; time++) classes.push((await follow(catalog)).relations[1]!.columns[0]!.classes)
    assert.deepEqual(classes, [[], ['pii'], ['pii']])
    assert.equal(asked, 2)
  })

  it('leave alone what has nothing to do with any class', async () => {
    const plain = relation(4, 'plain', 'table', ['id'])
    const over = view(5, 'over', ['id'], 'SELECT id FROM public.plain;', [4])
    assert.deepEqual(await classesOf(plain, over), { plain: '- ?', over: '- ?' })
  })
})

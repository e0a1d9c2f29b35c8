import type { Catalog } from '../../sql/catalog.ts'
import type { Touch } from '../../gateway/domain.ts'
import { Fault } from '../../gateway/fault.ts'
import { soon, type Soon } from '../../gateway/source.ts'
import type { CatalogReading, CatalogSource } from './catalog.ts'

/** Of a column of a result; a `tableOid` of 0: it comes from no relation. */
type Origin = { readonly tableOid: number; readonly columnNumber: number }

/** The catalog of one target as its sessions use it: fresh when a text is read, looked up when a row is masked. */
export class TargetCatalog {
  readonly #source: CatalogSource
  readonly #target: string
  readonly #hidesNothing: boolean
  #classes = new Map<number, Map<number, readonly string[]>>()
  /** Of relations, by resource: `orders/public.customers`. */
  #oids = new Map<string, number>()
  #identified = new WeakMap<readonly Touch[], string>()
  /** Temporary schemas, by the role whose they are. */
  #temporary = new Map<string, readonly string[]>()
  #version: string | undefined
  /** Columns that it has, all of them. */
  #learned = new WeakSet<readonly Origin[]>()
  #largeObjects: ReadonlyMap<number, string> = new Map()
  #expired = false

  /** `target`: the first segment of resource ids. `hidesNothing`: no column has a class, whatever its relation is. */
  constructor(source: CatalogSource, target: string, hidesNothing = false) {
    this.#hidesNothing = hidesNothing
    this.#source = source
    this.#target = target
  }

  /** Not older than the source allows. Throws Fault `target`. */
  get(): Soon<Catalog> {
    const read = this.#expired ? this.#source.renew() : this.#source.get()
    this.#expired = false
    return soon(read, (reading) => this.#keep(reading))
  }

  /** Of what it was when it was last asked for; undefined before that. */
  get version(): string | undefined {
    return this.#version
  }

  /** Something changed it: the next reader reads it again. */
  expire(): void {
    this.#expired = true
  }

  /** Reads it again if a column that rows come from is not in it. */
  learn(origins: readonly Origin[]): Promise<void> | undefined {
    if (origins.length === 0 || this.#learned.has(origins)) return undefined
    if (!origins.every((origin) => origin.tableOid === 0 || this.classesOf(origin.tableOid, origin.columnNumber)))
      return this.#source.renew().then((reading) => void this.#keep(reading))
    this.#learned.add(origins)
    return undefined
  }

  /**
   * What is touched, as JSON: actions, resources, and the OIDs of the relations that have these names by now, because a
   * name can be given to another one.
   */
  identify(touches: readonly Touch[]): string {
    const known = this.#identified.get(touches)
    if (known !== undefined) return known
    const told = touches.map(({ action, resource: { type, id } }) => [action, type, id, this.#oids.get(id)])
    const text = JSON.stringify(told)
    this.#identified.set(touches, text)
    return text
  }

  /** The temporary schemas with something of this role's in them. */
  temporaryOf(role: string): readonly string[] {
    return this.#temporary.get(role) ?? NONE
  }

  /** True when it has the relation of this resource id. */
  knows(id: string): boolean {
    return this.#oids.has(id)
  }

  /** The name of a function for large objects, by its OID at the target. */
  largeObjectFunction(oid: number): Soon<string | undefined> {
    return soon(this.get(), () => this.#largeObjects.get(oid))
  }

  /** True when it has the relation, whatever its columns. */
  has(table: number): boolean {
    return this.#classes.has(table)
  }

  /**
   * Data classes of a column by table OID and attribute number: 0 is the whole row, which has the classes of all its
   * columns, and system columns have none. Undefined when the catalog does not have it.
   */
  classesOf(table: number, column: number): readonly string[] | undefined {
    if (this.#hidesNothing) return []
    const columns = this.#classes.get(table)
    if (column === 0) return columns && [...columns.values()].flat()
    return column < 0 ? columns && [] : columns?.get(column)
  }

  /** A sensitive column that is not there may have been renamed: nothing is read until the config says so too. */
  #keep({ catalog, missing, largeObjects }: CatalogReading): Catalog {
    if (missing.length > 0) throw new Fault('target', `sensitive columns do not exist: ${missing.join(', ')}`)
    if (largeObjects) this.#largeObjects = largeObjects
    if (catalog.version === this.#version) return catalog
    this.#version = catalog.version
    this.#identified = new WeakMap()
    this.#learned = new WeakSet()
    this.#classes = new Map(
      catalog.relations.map(({ oid, columns }) => [
        oid,
        new Map(columns.map(({ number, classes }) => [number, classes])),
      ]),
    )
    this.#oids = new Map(catalog.relations.map(({ oid, schema, name }) => [`${this.#target}/${schema}.${name}`, oid]))
    const temporary = catalog.relations.filter(({ owner }) => owner !== undefined)
    const byOwner = Map.groupBy(temporary, ({ owner }) => owner!)
    this.#temporary = new Map(
      [...byOwner].map(([owner, own]) => [owner, [...new Set(own.map(({ schema }) => schema))]]),
    )
    return catalog
  }
}

const NONE: readonly string[] = []

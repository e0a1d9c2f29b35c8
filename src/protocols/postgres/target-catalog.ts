import type { Catalog } from '../../sql/catalog.ts'
import { Fault } from '../../gateway/fault.ts'
import type { CatalogReading, CatalogSource } from './catalog.ts'

type Origin = { readonly tableOid: number; readonly columnNumber: number }

/** The catalog of one target as its sessions use it: fresh when a text is read, looked up when a row is masked. */
export class TargetCatalog {
  readonly #source: CatalogSource
  readonly #target: string
  #classes = new Map<number, Map<number, readonly string[]>>()
  #oids = new Map<string, number>()
  /** Temporary schemas, by the role whose they are. */
  #temporary = new Map<string, readonly string[]>()
  #version: string | undefined
  #expired = false

  /** `target`: the first segment of resource ids. */
  constructor(source: CatalogSource, target: string) {
    this.#source = source
    this.#target = target
  }

  /** Not older than the source allows. Throws Fault `target`. */
  async get(): Promise<Catalog> {
    const read = this.#expired ? this.#source.renew() : this.#source.get()
    this.#expired = false
    return this.#keep(await read)
  }

  /** Something changed it: the next reader reads it again. */
  expire(): void {
    this.#expired = true
  }

  /** Reads it again if a column that rows come from is not in it. */
  async learn(origins: readonly Origin[]): Promise<void> {
    if (origins.every(({ tableOid, columnNumber }) => this.classesOf(tableOid, columnNumber))) return
    this.#keep(await this.#source.renew())
  }

  /** OID of the relation that is the resource `orders/public.customers` by now: a name can be given to another one. */
  oidOf(resource: string): number | undefined {
    return this.#oids.get(resource)
  }

  /** The temporary schemas with something of this role's in them. */
  temporaryOf(role: string): readonly string[] {
    return this.#temporary.get(role) ?? []
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
    const columns = this.#classes.get(table)
    if (column === 0) return columns && [...columns.values()].flat()
    return column < 0 ? columns && [] : columns?.get(column)
  }

  /** A sensitive column that is not there may have been renamed: nothing is read until the config says so too. */
  #keep({ catalog, missing }: CatalogReading): Catalog {
    if (missing.length > 0) throw new Fault('target', `sensitive columns do not exist: ${missing.join(', ')}`)
    if (catalog.version === this.#version) return catalog
    this.#version = catalog.version
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

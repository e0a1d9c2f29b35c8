/** What names mean at a target: read there by the gateway itself, never taken from the client. Plain data. */

export type CatalogColumn = {
  readonly name: string
  /** `pg_attribute.attnum`; 1-based. */
  readonly number: number
  /** Data classes from the target's `sensitive`; empty for an ordinary column. */
  readonly classes: readonly string[]
  /** As `format_type` writes it, of a domain its base type: `integer`, `boolean`. Absent when not known. */
  readonly type?: string
  /** True when a unique index or an exclusion constraint compares it. */
  readonly unique?: boolean
  /**
   * SQL of exactly the column's type (of a domain its base type) and modifier that stands for its values, under any
   * search_path: `'***'::character varying(20)`, `NULL::public.mood`. Absent where nothing hides the column or can, and
   * where no value of its type can be written.
   */
  readonly standIn?: string
}

/** `table` includes partitioned tables. */
export type RelationKind =
  | 'table'
  | 'view'
  | 'materialized-view'
  | 'foreign-table'
  | 'sequence'
  | 'index'
  | 'composite-type'

export type CatalogRelation = {
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly kind: RelationKind
  /** Of a temporary relation: the role whose session it belongs to. */
  readonly owner?: string
  readonly columns: readonly CatalogColumn[]
  /** Oids of relations whose data this one shows: a view's sources, an inheritance or partition parent's children. */
  readonly reads: readonly number[]
  /** A view that does nothing but show a query of built-in functions: its columns can be followed to what they are made of. */
  readonly followable?: true
  /** True when its columns' classes say all that it shows, although it reads others: a view that was followed. */
  readonly followed?: true
  /** Oids of its partitions and of the tables that inherit from it. */
  readonly children?: readonly number[]
  /** Oids of the tables with a foreign key to it. */
  readonly referencedBy?: readonly number[]
}

export type Catalog = {
  /** Changes whenever the content does. */
  readonly version: string
  /** Changes whenever that does which is no session's temporary relation, nor reached from it. Absent when not known. */
  readonly shared?: string
  /** The same for what lies in each temporary schema (`pg_temp_3`). */
  readonly temporary?: Readonly<Record<string, string>>
  readonly relations: readonly CatalogRelation[]
  /** Names of functions, procedures and aggregates outside pg_catalog and of no extension, as `schema.name`. */
  readonly functions: readonly string[]
  /**
   * Bare names, outside pg_catalog, of which every function is stable or immutable; those of extensions too. Absent: no
   * function is known to be.
   */
  readonly stableFunctions?: readonly string[]
  /** Bare names, outside pg_catalog, of which some function returns a set; of extensions too. Absent: any of them may. */
  readonly setFunctions?: readonly string[]
  /** Names of operators outside pg_catalog and of no extension (`+`, `~~`). */
  readonly operators: readonly string[]
}

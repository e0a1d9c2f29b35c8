import type { Frame } from './frames.ts'
import type { Hides } from '../../sql/flow.ts'
import { decodeRowDescription, type RowField } from './messages-target.ts'
import type { RowPlan } from './rows.ts'
import type { TargetCatalog } from './target-catalog.ts'

/** The RowDescription that came last for a statement: the next one is most often the same. */
export type Described = { last?: { readonly bytes: Buffer; readonly fields: readonly RowField[] } }

/** The fields of a RowDescription: the very same list for the same bytes as last time. */
export function fieldsOf(described: Described, frame: Frame): readonly RowField[] {
  const { last } = described
  if (last?.bytes.equals(frame.bytes)) return last.fields
  const fields = decodeRowDescription(frame)
  described.last = { bytes: Buffer.from(frame.bytes), fields }
  return fields
}

/** How a session's results are masked, remembered as long as the catalog that says so is the same. */
export class Plans {
  readonly #catalog: TargetCatalog
  #version: string | undefined
  #made = new WeakMap<readonly RowField[], { readonly hides: Hides | undefined; readonly plan: RowPlan }>()

  constructor(catalog: TargetCatalog) {
    this.#catalog = catalog
  }

  /** The plan for these very fields; else `make` makes one. */
  of(fields: readonly RowField[], hides: Hides | undefined, make: () => RowPlan): RowPlan {
    const { version } = this.#catalog
    if (version !== this.#version) this.#made = new WeakMap()
    this.#version = version
    const known = this.#made.get(fields)
    if (known && known.hides === hides) return known.plan
    const plan = make()
    // What comes from a relation that the catalog does not have is judged by the moment.
    if (fields.every(({ tableOid }) => tableOid === 0 || this.#catalog.has(tableOid)))
      this.#made.set(fields, { hides, plan })
    return plan
  }
}

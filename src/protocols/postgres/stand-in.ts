import { placeholderText } from './placeholders.ts'

export type Standing = {
  /** `pg_type.oid`; of a domain its base type. */
  readonly base: number
  /** The type with its modifier, as SQL; null: no value of it can be written. */
  readonly exact: string | null
  readonly notNull: boolean
}

/**
 * SQL of exactly a column's type that stands for its values: the placeholder of the type where the column is never NULL and
 * the type has one, else NULL. Undefined where no value of the type can be written.
 */
export function standIn({ base, exact, notNull }: Standing): string | undefined {
  if (exact === null) return undefined
  const text = notNull ? placeholderText(base) : undefined
  return text === undefined ? `NULL::${exact}` : `'${text}'::${exact}`
}

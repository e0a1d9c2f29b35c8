/**
 * The most rows that something gives, as far as its text says so; Infinity where they are not bounded. One value, or one
 * value of a column, counts as one row; what is written out counts as what it is, however long.
 */
export type Rows = number

/** A LIMIT names few rows up to this, and so do sums and products. */
export const MOST_ROWS = 1000

/** What is in an array that is not written out value by value. */
export const ARRAY_ROWS: Rows = MOST_ROWS

/** Each with each of the others. Two lists may be written in few words and give very many rows. */
export function product(counts: readonly Rows[]): Rows {
  return within(
    counts.reduce((all, each) => all * each, 1),
    Math.max(1, ...counts),
  )
}

/** One after the other. */
export function sum(counts: readonly Rows[]): Rows {
  return within(
    counts.reduce((all, each) => all + each, 0),
    counts.length,
  )
}

function within(count: number, written: number): Rows {
  return count <= Math.max(MOST_ROWS, written) ? count : Infinity
}

import type { Table } from '../figure.ts'
import { median, ratio } from './statistics.ts'

/** One arm of a table in numbers. */
export type Line = {
  readonly arm: string
  readonly min: number
  readonly median: number
  readonly max: number
  /** Rival to how many times it this is. */
  readonly ratios: Readonly<Record<string, number>>
}

export function linesOf({ arms, rivals }: Table): readonly Line[] {
  return Object.entries(arms).map(([arm, samples]) => {
    const compared = rivals.filter((rival) => rival !== arm && arms[rival])
    const ratios = Object.fromEntries(compared.map((rival) => [rival, ratio(samples, arms[rival]!)]))
    return { arm, min: Math.min(...samples), median: median(samples), max: Math.max(...samples), ratios }
  })
}

/** The table as text for a terminal. */
export function tableText(table: Table): string {
  const present = table.rivals.filter((rival) => table.arms[rival])
  const head = ['', 'min', 'median', 'max', ...present.map((rival) => `x ${rival}`)]
  const rows = linesOf(table).map(({ arm, min, median, max, ratios }) => [
    arm,
    ...[min, median, max].map(amount),
    ...present.map((rival) => (ratios[rival] === undefined ? '' : ratios[rival].toFixed(2))),
  ])
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]!.length)))
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  ')
  return [`${table.title} (${table.unit}, ${table.better} is better)`, ...[head, ...rows].map(line)].join('\n  ')
}

/** Four digits that count. */
function amount(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en')
  return Number(value.toPrecision(4)).toString()
}

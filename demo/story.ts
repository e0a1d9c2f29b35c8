import { styleText } from 'node:util'

/** How the demo tells what happens: every kind of thing looks its own way. */
export interface Story {
  /** A numbered heading. */
  chapter(title: string): void
  say(text: string): void
  /** Something that was checked, and is so. */
  tick(text: string): void
  /** What somebody types, behind a prompt that says who. */
  types(prompt: string, text: string): void
  /** What a program printed. Long lines are cut. */
  output(text: string): void
  rows(rows: readonly Readonly<Record<string, unknown>>[]): void
  warn(text: string): void
}

type Style = Parameters<typeof styleText>[0]

const WIDTH = 118
const INDENT = '    '

/** Tells it line by line; in colour on a terminal. */
export function createStory(print: (line: string) => void, warn: (line: string) => void): Story {
  let chapters = 0
  const styled = (style: Style, text: string): string => styleText(style, text, { stream: process.stdout })
  const output = (text: string): void => {
    for (const line of text.trimEnd().split('\n')) print(styled('gray', cut(INDENT + line, WIDTH).trimEnd()))
  }
  return {
    chapter: (title) => print(styled('bold', `\n${++chapters}. ${title}\n`)),
    say: (text) => print(`  ${text}`),
    tick: (text) => print(`  ${styled('green', '✓')} ${text}`),
    types: (prompt, text) => print(`  ${styled('cyan', prompt)} ${text}`),
    output,
    rows: (rows) => output(table(rows)),
    warn,
  }
}

/** Rows as psql shows them. */
function table(rows: readonly Readonly<Record<string, unknown>>[]): string {
  const names = Object.keys(rows[0] ?? {})
  const cells = rows.map((row) => names.map((name) => cellText(row[name])))
  const widths = names.map((name, column) => Math.max(name.length, ...cells.map((row) => row[column]!.length)))
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => ` ${cell.padEnd(widths[column]!)} `).join('|')
  const rule = widths.map((width) => '-'.repeat(width + 2)).join('+')
  return [line(names), rule, ...cells.map(line)].join('\n')
}

function cellText(value: unknown): string {
  if (value instanceof Date) return value.toISOString()
  if (value === null || value === undefined) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function cut(line: string, width: number): string {
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`
}

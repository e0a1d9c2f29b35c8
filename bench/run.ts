import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { BIG_SESSIONS, FULL, QUICK, type Figure, type Size, type Table } from './figure.ts'
import { commit, describeMachine, type Machine } from './report/machine.ts'
import { linesOf, tableText } from './report/report.ts'
import { openStage } from './stage/stage.ts'

/** `of`: the commit that was measured. */
type Run = {
  readonly of: string
  readonly tables: readonly Table[]
  readonly machine: Machine
  readonly size: Size
}

const USAGE = `Usage: npm run bench -- [--quick] [--big] [--save] [FIGURE ...]

  --quick   everything small, in under two minutes: shows that it works, not to be quoted
  --big     ${BIG_SESSIONS} idle sessions instead of ${FULL.idleSessions}
  --save    write the results down although not every figure was run in full

Figures:`

/** Runs the figures that `args` name, all when they name none; prints tables, and writes down what a full run found. */
export async function runFigures(figures: readonly Figure[], args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: 'boolean' },
      big: { type: 'boolean' },
      save: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  const unknown = positionals.filter((name) => !figures.some((figure) => figure.name === name))
  if (values.help || unknown.length > 0) {
    console.log([USAGE, ...figures.map(({ name, about }) => `  ${name.padEnd(13)}${about}`)].join('\n'))
    process.exitCode = values.help ? 0 : 2
    return
  }
  const chosen = figures.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
  const size = { ...(values.quick ? QUICK : FULL), ...(values.big && { idleSessions: BIG_SESSIONS }) }
  const of = commit(import.meta.dirname)
  const { tables, machine } = await measure(chosen, size)
  const complete = !values.quick && figures.length > 1 && chosen.length === figures.length
  if (complete || values.save) console.log(`\nwritten to ${await save({ of, tables, machine, size })}`)
}

async function measure(
  figures: readonly Figure[],
  size: Size,
): Promise<{ readonly tables: readonly Table[]; readonly machine: Machine }> {
  const load = loadavg()[0]!
  await using stage = await openStage({
    rows: size.rows,
    sessions: Math.max(...figures.map(({ sessions }) => sessions?.(size) ?? 50)),
    note: (line) => console.log(line),
  })
  endOnSignal(stage)
  const machine = describeMachine(stage.versions, load)
  console.log(
    Object.entries(machine)
      .map(([key, value]) => `${key} ${value}`)
      .join(', '),
  )
  const tables: Table[] = []
  for (const { name, about, run } of figures) {
    console.log(`\n${name}: ${about}`)
    for (const table of await run(stage, size)) {
      console.log(`\n${tableText(table)}`)
      tables.push(table)
    }
  }
  return { tables, machine }
}

/** Whoever stops a run leaves no process behind. */
function endOnSignal(stage: AsyncDisposable): void {
  for (const name of ['SIGINT', 'SIGTERM']) {
    process.once(name, () => {
      const end = (): void => process.exit(1)
      stage[Symbol.asyncDispose]().then(end, end)
    })
  }
}

/** One file a day and commit, `results/<date>-<commit>.json`: figures that this run did not measure stay in it. */
async function save({ of, tables, machine, size }: Run): Promise<string> {
  const results = join(import.meta.dirname, 'results')
  await mkdir(results, { recursive: true })
  const at = new Date().toISOString()
  const file = join(results, `${at.slice(0, 10)}-${of.replace('+', '-changed')}.json`)
  const measured = tables.map((table) => ({ ...table, summary: linesOf(table) }))
  const names = new Set(measured.map(({ name }) => name))
  const figures = [...(await figuresIn(file)).filter(({ name }) => !names.has(name)), ...measured]
  await writeFile(file, `${JSON.stringify({ v: 1, at, commit: of, machine, size, figures }, null, 2)}\n`)
  return file
}

async function figuresIn(file: string): Promise<readonly { readonly name: string }[]> {
  if (!existsSync(file)) return []
  return (JSON.parse(await readFile(file, 'utf8')) as { readonly figures: readonly { readonly name: string }[] })
    .figures
}

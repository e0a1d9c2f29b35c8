import { readdir, readFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { openArm, type Arm } from './arm.ts'
import { differences, type Difference } from './compare.ts'
import { makeFolders } from './folders.ts'
import { runScript, type Printed } from './script.ts'

/** Left out: test_setup is run before each of them; what a second run of the same script prints is no comparison. */
const SETUP = 'test_setup'
const STRINGS = 'changes standard_conforming_strings, by which the gateway reads texts'
/** Why a script prints something else through a gateway, and always will. */
const REASONS: Readonly<Record<string, string>> = {
  strings: STRINGS,
  plpgsql: STRINGS,
  reindex_catalog:
    "locks the system's own catalog in a transaction: the gateway, which reads it beside, waits 5 s and gives up",
}
/** Lines shown of a file that differs. */
const SHOWN = 12

type Verdict = {
  readonly name: string
  readonly found: readonly Difference[]
  readonly ms: { readonly direct: number; readonly through: number }
}

/**
 * Runs the scripts of a folder, all unless some are named, and prints which of them print something else through a gateway;
 * true when each of these is known. `kept`: a directory for what was printed.
 */
export async function compareScripts(
  folder: string,
  names: readonly string[],
  kept: string | undefined,
): Promise<boolean> {
  const scripts = await scriptsIn(resolve(folder), names)
  await using folders = await makeFolders(kept)
  await using direct = await openArm('direct', folders, resolve(folder))
  await using through = await openArm('through', folders, resolve(folder))
  const verdicts: Verdict[] = []
  for (const script of scripts) {
    const verdict = await compare(script, direct, through)
    verdicts.push(verdict)
    tell(verdict)
  }
  sum(verdicts, direct)
  return verdicts.every(({ name, found }) => found.length === 0 || REASONS[name] !== undefined)
}

async function scriptsIn(folder: string, names: readonly string[]): Promise<readonly string[]> {
  const all = (await readdir(folder)).filter((file) => file.endsWith('.sql') && file !== `${SETUP}.sql`).sort()
  return all
    .filter((file) => names.length === 0 || names.includes(basename(file, '.sql')))
    .map((file) => join(folder, file))
}

/** Both arms have seen the same scripts before, so that even OIDs are mostly the same. */
async function compare(script: string, direct: Arm, through: Arm): Promise<Verdict> {
  const printed = { direct: await printBy(direct, script), through: await printBy(through, script) }
  const found = differences(await readFile(printed.direct.file, 'utf8'), await readFile(printed.through.file, 'utf8'))
  return { name: basename(script, '.sql'), found, ms: { direct: printed.direct.ms, through: printed.through.ms } }
}

async function printBy(arm: Arm, script: string): Promise<Printed> {
  await using door = await arm.fresh()
  return await runScript(script, door, arm.outputOf(basename(script, '.sql')))
}

function tell({ name, found, ms }: Verdict): void {
  const reason = REASONS[name] === undefined ? '' : `: ${REASONS[name]}`
  const took = `${(ms.direct / 1000).toFixed(1)} s, ${(ms.through / 1000).toFixed(1)} s`
  console.log(`${found.length === 0 ? 'equal  ' : 'DIFFERS'} ${name} (${took})${found.length === 0 ? '' : reason}`)
  if (found.length === 0) return
  const lines = found.flatMap(({ direct, through }) => [
    ...direct.map((l) => `  - ${l}`),
    ...through.map((l) => `  + ${l}`),
  ])
  console.log([...lines.slice(0, SHOWN), `  ${found.length} places differ`].join('\n'))
}

function sum(verdicts: readonly Verdict[], direct: Arm): void {
  const differ = verdicts.filter(({ found }) => found.length > 0)
  const { statements, errors } = direct.counts()
  const seconds = (of: 'direct' | 'through'): string =>
    (verdicts.reduce((total, { ms }) => total + ms[of], 0) / 1000).toFixed(0)
  console.log(`files: ${verdicts.length}`)
  console.log(`statements run directly: ${statements}, of them failed as they may: ${errors}`)
  console.log(`files equal: ${verdicts.length - differ.length}, in ${seconds('direct')} s and ${seconds('through')} s`)
  console.log(`files that differ: ${differ.length} ${differ.map(({ name }) => name).join(' ')}`)
}

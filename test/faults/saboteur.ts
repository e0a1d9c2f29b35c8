import { renameSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** What no tool can do to a process from outside without being root. */
export type Sabotage = {
  /** By so much the wall clock is off. */
  readonly wallMs: number
  /** So much more time has passed. */
  readonly elapsedMs: number
  /** No fdatasync(2) returns. */
  readonly slowDisk: boolean
}

export interface Saboteur extends AsyncDisposable {
  /** For the process of the gateway. */
  readonly environment: NodeJS.ProcessEnv
  /** In effect when this returns. */
  set(sabotage: Partial<Sabotage>): void
}

export async function startSaboteur(): Promise<Saboteur> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-sabotage-'))
  const file = join(directory, 'sabotage.json')
  const set = (sabotage: Partial<Sabotage>): void => {
    writeFileSync(`${file}.new`, JSON.stringify(sabotage))
    renameSync(`${file}.new`, file)
  }
  set({})
  const preload = pathToFileURL(join(import.meta.dirname, 'sabotage.ts')).href
  return {
    environment: { NODE_OPTIONS: `--import=${preload}`, SALLYPORT_SABOTAGE: file },
    set,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  }
}

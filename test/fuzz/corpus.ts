import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CatalogRelation } from '../../src/sql/catalog.ts'

/** A captured session as its file has it: each message is `> hex` from the client or `< hex` from the target. */
export type Recorded = { readonly name: string; readonly frames: readonly string[] }

export type CapturedFrame = { readonly from: 'client' | 'target'; readonly bytes: Buffer }
export type Captured = { readonly name: string; readonly frames: readonly CapturedFrame[] }

/** Captured sessions and the catalog of the database they ran in: made by `capture.ts`. */
export const CORPUS = join(import.meta.dirname, 'corpus')
export const PLACE = '.json'

export function loadCatalog(): readonly CatalogRelation[] {
  return read('catalog.json') as readonly CatalogRelation[]
}

export function loadSessions(): readonly Captured[] {
  const files = readdirSync(CORPUS).filter((file) => file.endsWith(PLACE) && file !== 'catalog.json')
  return files.sort().map((file) => {
    const { name, frames } = read(file) as Recorded
    return { name, frames: frames.map(readFrame) }
  })
}

function read(file: string): unknown {
  return JSON.parse(readFileSync(join(CORPUS, file), 'utf8')) as unknown
}

function readFrame(line: string): CapturedFrame {
  return { from: line.startsWith('>') ? 'client' : 'target', bytes: Buffer.from(line.slice(2), 'hex') }
}

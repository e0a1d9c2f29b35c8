import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join, normalize } from 'node:path'
import { describe, it } from 'node:test'

type Import = { readonly of: string; readonly types: boolean }
type Source = { readonly path: string; readonly lines: number; readonly imports: readonly Import[] }

const ROOT = join(import.meta.dirname, '..')
const FOLDERS = ['src', 'test', 'demo', 'bench', 'compat', 'examples', 'docs', 'bin', 'console', 'deploy']
const MOST_LINES = 400
const EMPTY_NAMES = /^(utils?|helpers?|common|shared|misc|lib|v2|new)(\.|$)/

/** Folders of `src` that a folder may import besides its own (ARCHITECTURE.md, The house). */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  gateway: ['approvals', 'grants', 'identity', 'mask', 'policy', 'record'],
  sql: ['gateway'],
  mask: ['gateway'],
  policy: ['gateway'],
  identity: ['gateway', 'config'],
  approvals: ['gateway', 'store'],
  grants: ['gateway', 'store'],
  credentials: ['gateway', 'grants'],
  record: ['gateway', 'approvals'],
  store: ['gateway', 'record'],
  config: ['gateway'],
  admin: ['gateway', 'approvals', 'config', 'grants', 'http', 'identity', 'store'],
  http: ['gateway', 'config'],
  'sweep.ts': ['gateway', 'grants', 'record'],
  protocols: ['gateway', 'sql', 'mask', 'http', 'config', 'grants', 'credentials'],
}
/** What a protocol may know by its types only. */
const TYPES_ONLY = ['grants', 'credentials']
/** All that `sql` and `mask` may know of the gateway. */
const NOUNS = ['src/gateway/domain.ts', 'src/gateway/source.ts', 'src/gateway/refusals.ts', 'src/gateway/fault.ts']
/** The composition root, which knows everything, and `cli`, which stands on it. */
const ROOTS = ['main', 'start', 'targets', 'registry', 'in-force', 'review', 'reload'].map((name) => `src/${name}.ts`)

/** `src/sql/reader.ts` -> `sql`; a file directly in `src` is its own folder. */
function folderOf(path: string): string {
  return path.split('/')[1] ?? ''
}

/** `src/protocols/postgres/frames.ts` -> `postgres`. */
function protocolOf(path: string): string | undefined {
  const [, folder, protocol, file] = path.split('/')
  return folder === 'protocols' && file !== undefined ? protocol : undefined
}

/** Why an import is not allowed; undefined when it is. */
function wrongImport(path: string, { of, types }: Import): string | undefined {
  const [from, to] = [folderOf(path), folderOf(of)]
  if (path === 'src/gateway/domain.ts') return 'domain.ts imports nothing'
  if (of === 'src/main.ts') return 'nothing imports main.ts'
  if (!of.startsWith('src/')) return from === 'cli' && of === 'package.json' ? undefined : 'outside of src'
  if (ROOTS.includes(path) || from === 'cli') return undefined
  if (protocolOf(of) !== protocolOf(path) && to === 'protocols')
    return 'a protocol is known to itself and the root only'
  if (to === from) return undefined
  if (!MAY_IMPORT[from]?.includes(to)) return `${from} does not import ${to}`
  if (from === 'protocols' && TYPES_ONLY.includes(to) && !types) return `a protocol knows ${to} by its types only`
  if ((from === 'sql' || from === 'mask') && !NOUNS.includes(of)) return `${from} knows the nouns of the gateway only`
  return undefined
}

function wrongImports(sources: readonly Source[]): readonly string[] {
  return sources.flatMap(({ path, imports }) =>
    imports.flatMap((one) => {
      const why = wrongImport(path, one)
      return why === undefined ? [] : [`${path} imports ${one.of}: ${why}`]
    }),
  )
}

const IMPORT =
  /^(?:import|export)(?<types>\s+type)?\s[^'"]*?from\s+'(?<from>\.[^']*)'|^import\s+'(?<bare>\.[^']*)'|\bimport\('(?<late>\.[^']*)'\)/gm

function importsOf(path: string, text: string): readonly Import[] {
  return [...text.matchAll(IMPORT)].map(({ groups = {} }) => ({
    of: normalize(join(dirname(path), groups.from ?? groups.bare ?? groups.late ?? '')),
    types: groups.types !== undefined,
  }))
}

async function filesOf(folder: string): Promise<readonly string[]> {
  const entries = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true }).catch(() => [])
  return entries
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1))
    .filter((path) => !path.split('/').includes('node_modules'))
}

async function sourcesOf(folder: string): Promise<readonly Source[]> {
  const paths = (await filesOf(folder)).filter((path) => path.endsWith('.ts'))
  return Promise.all(
    paths.map(async (path) => {
      const text = await readFile(join(ROOT, path), 'utf8')
      return { path, lines: text.trimEnd().split('\n').length, imports: importsOf(path, text) }
    }),
  )
}

describe('the layout', () => {
  it('has imports only as ARCHITECTURE.md allows them', async () => {
    const sources = (await sourcesOf('src')).filter(({ path }) => !path.endsWith('.test.ts'))
    assert.ok(sources.length > 100 && sources.some(({ imports }) => imports.length > 10))
    assert.deepEqual(wrongImports(sources), [])
  })

  it('would notice an import that is not allowed', () => {
    const source = (path: string, text: string): Source => ({ path, lines: 1, imports: importsOf(path, text) })
    const wrong = [
      source('src/gateway/session.ts', `import { Connection } from '../protocols/postgres/connection.ts'`),
      source('src/gateway/domain.ts', `import type { Stored } from '../record/recorder.ts'`),
      source('src/protocols/http/http.ts', `export type { Frame } from '../postgres/frames.ts'`),
      source('src/protocols/postgres/target.ts', `import { postgresRole } from '../../credentials/postgres-role.ts'`),
      source('src/protocols/postgres/target.ts', `import { openStore } from '../../store/store.ts'`),
      source('src/policy/decider.ts', `import type { Options } from '../cli/terminal.ts'`),
      source('src/admin/admin.ts', `import { startGateway } from '../start.ts'`),
      source('src/sql/analyse.ts', `import {\n  Session,\n} from '../gateway/session.ts'`),
      source('src/mask/mask.ts', `const late = await import('../config/config.ts')`),
      source('src/record/line.ts', `import '../../test/scene.ts'`),
      source('src/cli/serve.ts', `import { main } from '../main.ts'`),
    ]
    assert.equal(wrongImports(wrong).length, wrong.length)
    const right = [
      source(
        'src/protocols/postgres/target.ts',
        `import type { Lease } from '../../grants/lease.ts'\nimport { a } from './frames.ts'`,
      ),
      source('src/start.ts', `import { postgres } from './protocols/postgres/postgres.ts'`),
      source('src/cli/command-line.ts', `import manifest from '../../package.json' with { type: 'json' }`),
    ]
    assert.deepEqual(wrongImports(right), [])
  })

  it(`has no file of more than ${MOST_LINES} lines`, async () => {
    const sources = (await Promise.all(FOLDERS.map(sourcesOf))).flat()
    assert.deepEqual(
      sources.filter(({ lines }) => lines > MOST_LINES).map(({ path, lines }) => `${path}: ${lines} lines`),
      [],
    )
  })

  it('has no file or folder whose name says nothing', async () => {
    const paths = (await Promise.all(FOLDERS.map(filesOf))).flat()
    assert.ok(paths.includes('src/gateway/session.ts') && EMPTY_NAMES.test('utils.ts') && EMPTY_NAMES.test('lib'))
    assert.deepEqual(
      paths.filter((path) => EMPTY_NAMES.test(basename(path))),
      [],
    )
  })
})

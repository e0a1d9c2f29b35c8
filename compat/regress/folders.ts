import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { wisconsin } from './wisconsin.ts'

/** Where the scripts find their data and leave their results; the server, which may be another user, writes there too. */
export interface Folders extends AsyncDisposable {
  readonly source: string
  readonly build: string
  /** What psql printed. */
  readonly printed: string
}

/** `kept`: a directory for what was printed, that stays. */
export async function makeFolders(kept: string | undefined): Promise<Folders> {
  const root = await mkdtemp(join(tmpdir(), 'sallyport-regress-'))
  const folders = { source: join(root, 'source'), build: join(root, 'build'), printed: kept ?? join(root, 'printed') }
  for (const path of [join(folders.source, 'data'), join(folders.build, 'results'), folders.printed])
    await mkdir(path, { recursive: true })
  await writeFile(join(folders.source, 'data', 'onek.data'), wisconsin(1_000))
  await writeFile(join(folders.source, 'data', 'tenk.data'), wisconsin(10_000))
  await chmod(root, 0o755)
  await chmod(join(folders.build, 'results'), 0o777)
  return { ...folders, [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }) }
}

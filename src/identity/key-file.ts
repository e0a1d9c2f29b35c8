import { randomBytes } from 'node:crypto'
import { link, mkdir, open, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Fault } from '../gateway/fault.ts'

/**
 * The text of a key file. Makes it on first use, mode 0600 in a directory of mode 0700, whole or not at all: when two
 * processes do so at once, both get the one that was first. Throws Fault `identity` when others can read it.
 */
export async function readOrCreate(file: string, create: () => Promise<string>): Promise<string> {
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    const existing = await readPrivate(file)
    if (existing !== undefined) return existing
    await writeFirst(file, await create())
    const written = await readPrivate(file)
    if (written !== undefined) return written
  } catch (error) {
    if (error instanceof Fault) throw error
    throw new Fault('identity', `the key ${file} cannot be read or made`, error)
  }
  throw new Fault('identity', `the key ${file} is gone`)
}

async function readPrivate(file: string): Promise<string | undefined> {
  const info = await stat(file).catch(unlessMissing)
  if (info === undefined) return undefined
  for (const path of [dirname(file), file]) {
    const { mode } = await stat(path)
    if ((mode & 0o077) !== 0) throw new Fault('identity', `${path} must not be open to others: chmod go= '${path}'`)
  }
  await using handle = await open(file, 'r')
  return handle.readFile('utf8')
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined
  throw error
}

/** Writes beside and links into place: `link` fails where a file exists, and what appears is complete. */
async function writeFirst(file: string, text: string): Promise<void> {
  const draft = `${file}.${randomBytes(8).toString('hex')}`
  try {
    await using handle = await open(draft, 'wx', 0o600)
    await handle.writeFile(text)
    await handle.sync()
    await link(draft, file).catch(unlessExisting)
  } finally {
    await rm(draft, { force: true })
  }
}

function unlessExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'

/** A digest of the contents of files, in any order. A file that cannot be read counts by why not. */
export async function fingerprint(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const path of [...new Set(paths)].sort()) {
    const content = await readFile(path).catch((error: NodeJS.ErrnoException) => error.code ?? 'unknown')
    hash.update(JSON.stringify([path, typeof content, content.length])).update(content)
  }
  return hash.digest('hex')
}

import { isUtf8 } from 'node:buffer'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { problemAt } from './problem.ts'
import type { PolicyFile, PolicyProblem } from './problem.ts'

/**
 * Paths of every `*.cedar` file below a directory, sorted. Names that begin with a dot are not looked at. Throws what the
 * file system throws.
 */
export function policyPaths(dir: string): readonly string[] {
  const names = readdirSync(dir).filter((name) => !name.startsWith('.'))
  const paths = names.flatMap((name) => {
    const path = join(dir, name)
    // Editors leave names that are gone a moment later.
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return policyPaths(path)
    return name.endsWith('.cedar') ? [path] : []
  })
  return paths.sort()
}

/** Reads every policy file below a directory. Throws what the file system throws. */
export function readPolicyFiles(dir: string): { files: readonly PolicyFile[]; problems: readonly PolicyProblem[] } {
  const files: PolicyFile[] = []
  const problems: PolicyProblem[] = []
  for (const path of policyPaths(dir)) {
    const bytes = readFileSync(path)
    const file = { path, source: bytes.toString('utf8') }
    if (isUtf8(bytes)) files.push(file)
    else problems.push(problemAt(file, 0, 'the file is not UTF-8'))
  }
  return { files, problems }
}

import type { Config } from './config.ts'
import { keyText } from './issues.ts'
import { same } from './same.ts'
import type { Protocols } from './schema.ts'
import type { ConfigError, Path } from './source.ts'

/** What is put in place once, when a gateway starts. */
const FIXED = [['url'], ['data'], ['listen', 'admin'], ['listen', 'postgres'], ['listen', 'http']] as const

const TEXT = 'cannot be changed while the gateway runs: it needs a restart'
const NO_LISTENER = 'there is no listener for http yet: the first http target needs a restart'

/** Every change that a running gateway cannot make. `http`: it has a listener for http. */
export function restartErrors<P extends Protocols>(
  running: Config<P>,
  next: Config<P>,
  line: (path: Path) => number,
  http: boolean,
): readonly ConfigError[] {
  const error = (path: Path, text: string): ConfigError => {
    return { file: next.file, line: line(path), key: keyText(path), text }
  }
  const fixed = FIXED.filter((path) => !same(valueAt(running, path), valueAt(next, path)))
  const first = http ? -1 : next.targets.findIndex(({ protocol }) => protocol === 'http')
  return [
    ...fixed.map((path) => error(path, TEXT)),
    ...(first < 0 ? [] : [error(['targets', first, 'http'], NO_LISTENER)]),
  ].sort((a, b) => a.line - b.line)
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, key) => (at as Readonly<Record<string, unknown>> | undefined)?.[key], value)
}

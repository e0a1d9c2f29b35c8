import { frame, str, u32, untyped } from '../frames-builder.ts'
import { TOKEN } from './fuzz-scene.ts'
import { whole } from './mutate.ts'
import type { Random } from './random.ts'

/** How one client starts ("Start-up"), and what it has to hear of that. */
export type Login = {
  readonly bytes: Buffer
  /** The NegotiateProtocolVersion that declines what it asks for; undefined when nothing of it is declined. */
  readonly declined: Buffer | undefined
  /** Of the key to cancel with. */
  readonly keyBytes: number
}

const MAJOR = 3 << 16
const LATEST_MINOR = 2
const OPTION = '_pq_.command'

function loginWith(minor: number, options: readonly string[]): Login {
  const parameters = ['user', 'agent', 'database', 'orders', ...options.flatMap((option) => [option, 'x'])]
  const spoken = Math.min(minor, LATEST_MINOR)
  const declines = minor > spoken || options.length > 0
  return {
    bytes: Buffer.concat([untyped(u32(MAJOR | minor), ...parameters.map(str), Buffer.of(0)), whole('p', str(TOKEN))]),
    declined: declines ? frame('v', u32(MAJOR | spoken), u32(options.length), ...options.map(str)) : undefined,
    keyBytes: spoken < LATEST_MINOR ? 4 : 32,
  }
}

export function anyLogin(random: Random): Login {
  return loginWith(random.pick([0, 0, 0, 1, 2, 2, 3, 9_999]), random.once(8) ? [OPTION] : [])
}
